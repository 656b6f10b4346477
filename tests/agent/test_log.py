from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.log import MAX_LINE, SAMPLE, LogFile, open_log
from agent.logs import FORMATS
from agent.logs.gateway import Gateway
from agent.protocol import Fact

LOGS = Path(__file__).parents[1] / "data" / "logs"


def line(second: float = 1_700_000_000.25, **more: object) -> bytes:
    return json.dumps({"msec": second, "client": "10.0.0.1", "uri": "/v2/models/lung/infer", **more}).encode() + b"\n"


def read(path: Path, content: bytes) -> tuple[list[Fact], dict[str, int], list[tuple[int, int]]]:
    path.write_bytes(content)
    log = LogFile(path, Gateway())
    out: list[tuple[None, Fact]] = []
    steps = list(log.read(out))
    return [fact for _, fact in out], log.faults, steps


def test_each_line_is_a_fact(tmp_path: Path) -> None:
    content = line(1.5) + b"\n  \r\n" + line(2.5).replace(b"\n", b"\r\n") + line(3.5).rstrip()
    facts, faults, steps = read(tmp_path / "log", content)
    assert [fact.when for fact in facts] == [1_500_000, 2_500_000, 3_500_000]
    assert [when for when, _ in steps] == [1_500_000, 2_500_000, 3_500_000]
    assert steps[-1][1] == (tmp_path / "log").stat().st_size
    assert faults == {}


@pytest.mark.parametrize(
    "bad",
    [b"nonsense", b"{}", b"[1]", b"\xff\xfe", b'{"msec": 1' * 3, b'{"x":' * 30_000, b'{"x": ' + b"[" * 50_000, b"\0" * 100],
)
def test_an_unreadable_line_costs_itself(tmp_path: Path, bad: bytes) -> None:
    facts, faults, _ = read(tmp_path / "log", line() + bad + b"\n" + line())
    assert len(facts) == 2
    assert sum(faults.values()) == 1
    assert set(faults) == {"long_line" if len(bad) > MAX_LINE else "unreadable_line"}


def test_a_deeply_nested_line_costs_itself(tmp_path: Path) -> None:
    deep = line().rstrip(b"}\n") + b', "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}\n"
    facts, faults, _ = read(tmp_path / "log", line() + deep + line())
    assert len(facts) + sum(faults.values()) == 3


@pytest.mark.parametrize("size", [MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, 5 * MAX_LINE])
def test_a_long_line_is_passed_over(tmp_path: Path, size: int) -> None:
    long = line(more="")
    long = long[:-3] + b"x" * (size - len(long)) + long[-3:]
    assert len(long) == size
    facts, faults, steps = read(tmp_path / "log", line() + long + line())
    fits = size <= MAX_LINE
    assert (len(facts), faults) == (3 if fits else 2, {} if fits else {"long_line": 1})
    assert steps[-1][1] == (tmp_path / "log").stat().st_size


@given(st.lists(st.binary(max_size=100)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_facts_or_counted(tmp_path: Path, lines: list[bytes]) -> None:
    content = b"\n".join(lines)
    facts, faults, _ = read(tmp_path / "log", content)
    assert len(facts) + faults.get("unreadable_line", 0) == sum(bool(part.strip()) for part in content.split(b"\n"))


def test_the_format_is_told_by_the_first_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"# a comment\n" * (SAMPLE - 1) + line())
    found = open_log(path)
    assert found is not None
    assert isinstance(found.form, Gateway)
    for other in (b"# a comment\n" * SAMPLE + line(), b"", b"\n\n", b"\x7fELF" + bytes(3000), b"{}\n"):
        path.write_bytes(other)
        assert open_log(path) is None


def test_formats_have_names() -> None:
    assert [make(None).name for make in FORMATS.values()] == list(FORMATS)
    assert {make(None).framing for make in FORMATS.values()} == {"lines", "objects"}


@pytest.mark.parametrize(
    ("name", "form", "facts"),
    [
        ("orthanc.log", "orthanc", 17),
        ("nvflare_audit.log", "nvflare-audit", 8),
        ("triton_trace.json", "triton-trace", 3),
        ("atna_dicom.xml", "dicom-audit", 1),
        ("atna_rfc3881.xml", "dicom-audit", 1),
    ],
)
def test_a_file_of_each_format_is_known_and_read(name: str, form: str, facts: int) -> None:
    found = open_log(LOGS / name)
    assert found is not None
    assert found.form.name == form
    out: list[tuple[None, Fact]] = []
    assert [done for _, done in found.read(out)][-1] <= found.size
    assert (len(out), found.faults) == (facts, {})


def test_lines_without_a_year_are_of_the_year_in_which_the_file_ends(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(
        b"W1231 12:00:00.000000 main.cpp:2017] Orthanc version: 1.10.1\n"
        b"W0101 12:00:00.000000 main.cpp:1] Orthanc is stopping\n"
    )
    os.utime(path, (1_704_200_000, 1_704_200_000))  # 2 January 2024
    found = open_log(path)
    assert found is not None
    out: list[tuple[None, Fact]] = []
    list(found.read(out))
    assert [datetime.fromtimestamp(fact.when / 1e6, tz=UTC).year for _, fact in out] == [2023, 2024]


def test_the_first_fault_has_its_place(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(line() + b"\n" + line() + b"nonsense\n" + line())
    log = LogFile(path, Gateway())
    list(log.read([]))
    assert log.place == "line 4"


def test_a_log_of_something_else_is_not_taken_for_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"2026-08-21 14:26:03.123 INFO something else altogether\n" * 50)
    assert open_log(path) is None
