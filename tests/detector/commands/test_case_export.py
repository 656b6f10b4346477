"""nigrani case export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.detector.commands.cases import actions, make, nigrani


def test_ndjson_with_filters_and_a_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = make(tmp_path)
    assert nigrani(store, "export") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["finding_info"]["title"] for line in lines] == ["Tunnel", "Port scan"]
    assert actions(store, 0) == [("exported", "2 findings")]
    assert nigrani(store, "export", "--case", "1", "--severity", "high") == 0
    assert json.loads(capsys.readouterr().out)["unmapped"]["case"] == 1
    assert actions(store, 1)[-1] == ("exported", "1 findings")
    assert nigrani(store, "export", "--suppressed", "yes") == 0
    assert capsys.readouterr().out == ""
