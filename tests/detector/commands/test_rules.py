"""What the verbs of the rules have in common: which rule is meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detector.commands import rules
from detector.rule import Fault
from nigrani import cli
from tests.detector.rule_files import rule, write


def titles(capsys: pytest.CaptureFixture[str], *words: str | Path) -> list[str]:
    assert cli.main(["rules", "explain", *map(str, words), "--json"]) == 0
    return [json.loads(line)["title"] for line in capsys.readouterr().out.splitlines()]


def test_a_rule_by_file_id_name_title_or_file_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert titles(capsys, "a11c0239-88f7-4dba-a4e9-60f66fa7ce25") == ["Port scan"]
    assert titles(capsys, "Port scan") == ["Port scan"]
    assert titles(capsys, "port_scan") == ["Port scan", "Network sweep"]
    assert titles(capsys, "dicom_association_rejected") == ["DICOM association rejected"], "one that is only counted"
    assert titles(capsys, write(tmp_path / "own.yml", rule())) == ["Title of query"]
    write(tmp_path / "own.yml", rule())
    assert titles(capsys, "query", "--rules", tmp_path) == ["Title of query"]


def test_an_unknown_rule_is_told_with_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules", "explain", "port_scam"]) == 1
    assert "there is no rule port_scam, and no file; did you mean `port_scan`?" in capsys.readouterr().err


def test_a_file_that_holds_no_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.yml").write_text("---\n")
    assert cli.main(["rules", "explain", str(tmp_path / "empty.yml")]) == 1
    assert capsys.readouterr().err == f"nigrani: {tmp_path}/empty.yml holds no rule\n"


def test_faults_are_told_all_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "own.yml", rule(level="severe"), rule("b", status="new"))
    assert cli.main(["rules", "try", str(path), "-"]) == 78
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_the_sites_own_folders_are_those_of_the_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rules").mkdir()
    write(tmp_path / "rules" / "site.yml", rule())
    config = tmp_path / "detector.yaml"
    config.write_text(f"rules: [{tmp_path}/rules]\n")
    assert titles(capsys, "site", "--config", config) == ["Title of query"]


def test_nothing_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    rules.put_faults([Fault(Path("a\x1b[2J"), 1, "m\nn", "r")], "fault", as_json=False)
    assert capsys.readouterr().out == "a [2J:1: fault: m n; r\n"
