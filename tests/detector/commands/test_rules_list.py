"""`nigrani rules list`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nigrani import cli
from tests.detector.rule_files import rule, write


def test_a_table_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    custom = {"stage": "shadow", "owner": "team", "expires": "2030-01-31", "suppress": {"by": ["host.id"], "for": "1h"}}
    write(tmp_path / "site.yml", rule(custom=custom))
    assert cli.main(["rules", "list", "--rules", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["file", "level", "stage", "risk"]
    [row] = [line for line in lines if line.startswith("site ")]
    assert " ".join(row.split()) == "site high shadow 70 60 min team 2030-01-31 Title of query"
    assert cli.main(["rules", "list", "--rules", str(tmp_path), "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(found) == len(lines) - 1
    [one] = [data for data in found if data["name"] == "query"]
    assert one["suppress"] == {"by": ["host.id"], "for": 3600}
    assert one["expires"] == "2030-01-31"
