"""A case out of the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.cases.store import Store
from detector.reports import dossier
from detector.reports.dossier import gather
from tests.detector.cases.made import finding


def test_all_of_one_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dossier, "PAGE", 3)
    store = Store(tmp_path / "cases.db")
    store.add([finding("port_scan", "ip:a", minutes=number) for number in range(8)])
    store.note(1, "asha", "seen")
    case, findings, history = gather(store, 1)
    assert case.findings == len(findings) == 8
    assert [one.when for one in findings] == sorted(one.when for one in findings)
    assert all(one.ocsf for one in findings)
    assert history[-1].text == "seen"
    assert len(gather(store, 1, most=2).findings) == 2
    with pytest.raises(LookupError, match="no case 99"):
        gather(store, 99)
    store.close_store()
