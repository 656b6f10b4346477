"""`nigrani rules check`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nigrani import cli
from tests.detector.rule_files import rule, write


def test_the_shipped_rules_are_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules", "check"]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert " rules, " in told.err


def test_faults_and_warnings_of_all_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a.yml", rule(level="severe"))
    custom = {"tests": [{"event": {"event.action": "c-move"}, "match": True}]}
    write(tmp_path / "b.yml", rule("b", custom=custom), rule("c", custom={"expires": "2020-01-01"}))
    assert cli.main(["rules", "check", str(tmp_path)]) == 78
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["fault", "fault", "warning"]
    assert f"{tmp_path}/a.yml:4: fault: `severe` is no level; use one of" in lines[0]
    assert "a test says that the rule matches, and it does not" in lines[1]
    assert "the rule expired and no longer alerts" in lines[2]
    assert told.err == "nigrani: 2 rules, 1 test; 2 faults, 1 warning\n"


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.yml", rule(level="severe"))
    assert cli.main(["rules", "check", str(path), "--json"]) == 78
    [fault] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (fault["severity"], fault["path"], fault["line"]) == ("fault", str(path), 4)
    assert fault["remedy"].startswith("use one of")


def test_a_path_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules", "check", str(tmp_path / "x")]) == 78
    assert "there is no such folder" in capsys.readouterr().out
