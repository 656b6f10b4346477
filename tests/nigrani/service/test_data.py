from __future__ import annotations

from pathlib import Path

import pytest

from nigrani.service import data
from tests.agent.packets import ROOT


@pytest.mark.parametrize("name", ["rules", "config"])
def test_in_a_checkout_the_folders_stand_beside_the_packages(name: str) -> None:
    assert data.data_folder(name) == ROOT / name


def test_installed_they_stand_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "nigrani" / "data" / "rules"
    inside.mkdir(parents=True)
    monkeypatch.setattr(data, "_PACKAGE", tmp_path / "nigrani")
    assert data.data_folder("rules") == inside
    with pytest.raises(FileNotFoundError, match="no folder config"):
        data.data_folder("config")
