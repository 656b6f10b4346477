"""`nigrani case stix`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nigrani import cli
from tests.detector.commands.test_case_report import history, store

__all__ = ["store"]


def test_a_bundle(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["case", "stix", "1"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["type"] == "bundle"
    assert history(store)[-1] == ("exported", f"STIX bundle, {len(whole['objects'])} objects")
    out = tmp_path / "s.json"
    assert cli.main(["case", "stix", "1", "--out", str(out)]) == 0
    assert {thing["type"] for thing in json.loads(out.read_bytes())["objects"]} >= {
        "report",
        "identity",
        "observed-data",
        "note",
    }
    assert cli.main(["case", "stix", "2"]) == 1
