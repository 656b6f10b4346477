"""`tests/data/logs/nvflare_audit.log` was written by the auditor of NVFlare 2.9.0."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given

from agent.logs.clock import EPOCH
from agent.logs.nvflare_audit import NvflareAudit
from agent.protocol import Fact
from tests.agent.logs.hostile import hold, lines

RECORDED = (Path(__file__).parents[2] / "data" / "logs" / "nvflare_recorded.log").read_bytes().splitlines()
LINES = (Path(__file__).parents[2] / "data" / "logs" / "nvflare_audit.log").read_bytes().splitlines()
NO_SPACE = b"[E:16392ed4-d6c7-490a-a84b-12685297e912][T:2022-09-1412:59:47.691957][U:trainer@b.org][A:train.deploy]"
JOB = "[E:1][T:2026-11-22 01:43:24.653336][S:private][J:c4886aa3][A:train#39027d22]{}"


def parse(line: bytes | str) -> Fact:
    return NvflareAudit(UTC).parse(line if isinstance(line, bytes) else line.encode())


def test_a_real_log() -> None:
    facts = [parse(line) for line in LINES]
    assert {fact.dataset for fact in facts} == {"ai.training"}
    assert [fact.fields["action"] for fact in facts] == [
        "login",
        "submit",
        "job-start",
        "task",
        "task",
        "filter",
        "run",
        "job",
    ]
    assert facts[0].when == (datetime(2026, 11, 22, 1, 43, 24, 653_259, UTC) - EPOCH) // timedelta(microseconds=1)
    assert facts[0].fields["user"] == "admin@b.org"
    assert facts[3].fields["site"] == "site-1"
    assert (facts[3].fields["job"], facts[3].fields["task"]) == ("c4886aa3-9547-4ba7-902e-eb5e52085bc2", "train")
    assert (facts[7].fields["task"], facts[7].fields["user"]) == ("", "")


def test_what_a_server_a_site_and_a_job_recorded() -> None:
    facts = [parse(line) for line in RECORDED]
    told = [str(fact.fields["action"]) for fact in facts]
    assert told[:9] == ["login", "admin", "logout", "login", "submit", "logout", "login", "admin", "logout"]
    assert told[9:14] == ["admin", "job-start", "job-start", "admin", "admin"]
    assert told[14:] == ["task", "run", "result"] * 2
    assert {fact.fields["job"] for fact in facts[14:]} == {"eeb33601-cee6-442f-be89-e60ac858c06b"}


def test_a_time_without_its_space() -> None:
    assert parse(NO_SPACE).when == (datetime(2022, 9, 14, 12, 59, 47, 691_957, UTC) - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("received result from client 'site-1'", {"action": "update", "site": "site-1"}),
        ("submit result OK", {"action": "result", "outcome": "success", "site": ""}),
        ("submit result: EXECUTION_EXCEPTION", {"action": "result", "outcome": "failure", "site": ""}),
        ("something of tomorrow", {"action": "job"}),
        ("[A:delete_job][U:root]", {"action": "job", "user": ""}),
    ],
)
def test_a_line_of_a_job(message: str, expected: dict[str, str]) -> None:
    fields = parse(JOB.format(message)).fields
    assert {name: fields[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("command", "action", "task"),
    [
        ("delete_job c4886aa3", "delete", "delete_job"),
        (
            "component_authorization.unlisted_class_allowed",
            "unlisted-code",
            "component_authorization.unlisted_class_allowed",
        ),
        ("sh rm -rf /", "admin", "sh"),
        ("RAO^ANITA", "admin", "other"),
    ],
)
def test_a_command(command: str, action: str, task: str) -> None:
    fields = parse(f"[E:1][T:2026-11-22 01:43:24][U:?][A:{command}]").fields
    assert (fields["action"], fields["task"], fields["user"]) == (action, task, "")


@pytest.mark.parametrize(
    "line", [b"", b"[E:1]", b"[E:1][A:x]", b"[T:2026-11-22 01:43:24][A:x]", b"[E:1][T:x][A:x]", b"[[[[", b" [E:1]"]
)
def test_another_line_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(line)


@given(lines([*LINES, NO_SPACE]))
def test_any_bytes_are_a_fact_or_a_value_error(line: bytes) -> None:
    hold(NvflareAudit(UTC), line)
