from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.account import Account, Unit
from agent.check import Finding
from agent.checks.logs import SAMPLE, tasks
from tests.agent.checks.subjects import levels, nobody, subject

LINE = '{"msec": 1700000000, "client": "10.0.0.1", "uri": "/v2/models/chest/infer", "method": "POST", "status": 200}\n'


def look(folder: Path, text: str, who: Account | None = None) -> list[Finding]:
    return [finding for task in tasks(subject(folder, text, who)) for finding in task.work()]


def test_a_file_of_its_format(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("nonsense\n" + LINE * (SAMPLE // len(LINE) + 10))
    (found,) = look(tmp_path, f"logs: {{files: {{x: {{path: {path}, format: ai-gateway}}}}}}")
    assert found.level == "ok"
    assert "0 unreadable" in found.message, "the line that the sample begins in is no fault"


def test_a_file_of_another_format(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("nonsense\n" * 3)
    text = f"logs:\n  files:\n    x:\n      path: {path}\n      format: ai-gateway\n"
    (found,) = look(tmp_path, text)
    assert (found.level, found.place[-2:]) == ("warn", ":5")
    assert "none of the last 3 lines" in found.message
    path.write_text("")
    assert levels(look(tmp_path, text)) == ["ok"], "an empty file is no fault"


def test_what_is_not_there_may_come_and_what_is_no_file_may_not(tmp_path: Path) -> None:
    assert levels(look(tmp_path, f"logs: {{files: {{x: {{path: {tmp_path}/no, format: orthanc}}}}}}")) == ["warn"]
    assert levels(look(tmp_path, f"logs: {{files: {{x: {{path: {tmp_path}, format: orthanc}}}}}}")) == ["fail"]


def test_folders(tmp_path: Path) -> None:
    assert levels(look(tmp_path, f"logs: {{folders: {{m: {{path: {tmp_path}}}}}}}")) == ["ok"]
    (found,) = look(tmp_path, f"logs: {{folders: {{m: {{path: {tmp_path}, manifest: {tmp_path}/SUMS}}}}}}")
    assert found.level == "warn"
    assert "SUMS is not there" in found.message
    assert levels(look(tmp_path, f"logs: {{folders: {{m: {{path: {tmp_path}/agent.yaml}}}}}}")) == ["fail"]


def test_a_journal_without_its_program_or_its_units(tmp_path: Path) -> None:
    text = "logs: {{journal: {{o: {{units: [o.service], format: orthanc, command: [{}]}}}}}}"
    assert levels(look(tmp_path, text.format("/nowhere/journalctl"))) == ["fail"]
    for script, level in (("exit 1", "warn"), ("true", "warn"), ("echo an entry", "ok")):
        program = tmp_path / "journalctl"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        assert levels(look(tmp_path, text.format(program))) == [level]


@pytest.mark.skipif(os.geteuid() != 0, reason="asks for another user")
def test_what_the_services_user_may_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text(LINE)
    path.chmod(0o640)
    (found,) = look(tmp_path, f"logs: {{files: {{x: {{path: {path}, format: ai-gateway}}}}}}", nobody())
    assert found.level == "fail"
    assert f"put nobody into the group {path.group()}" in found.remedy


def test_what_the_unit_hides(tmp_path: Path) -> None:
    unit = Unit(())
    unit.settings["ProtectHome"] = ["yes"]
    who = Account("x", os.geteuid(), 0, (), False, unit)
    (found,) = look(tmp_path, "logs: {files: {x: {path: /home/me/x.log, format: orthanc}}}", who)
    assert found.level == "fail"
    assert "ProtectHome" in found.remedy
