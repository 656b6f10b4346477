"""`tests/data/logs/orthanc.log` is from Orthanc 1.10.1, recorded for this project."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given

from agent.logs.clock import EPOCH
from agent.logs.orthanc import Orthanc
from agent.protocol import Fact
from tests.agent.logs.hostile import hold, lines

RECORDED = (Path(__file__).parents[2] / "data" / "logs" / "orthanc_recorded.log").read_bytes().splitlines()
LINES = (Path(__file__).parents[2] / "data" / "logs" / "orthanc.log").read_bytes().splitlines()
ARRIVAL = (datetime(2026, 11, 22, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
WITH_THREAD = (
    b"I0604 17:50:45.123456          DICOM-0 CommandDispatcher.cpp:334] (dicom) "
    b"Association Received from AET X on IP 10.1.2.3"
)
HTTP = "I1121 20:14:41.084224 HttpServer.cpp:1244] (http) {}"


def parse(line: bytes | str) -> Fact:
    fact = Orthanc(UTC).parse(line if isinstance(line, bytes) else line.encode(), ARRIVAL)
    assert fact is not None
    return fact


def test_a_real_log() -> None:
    facts = [Orthanc(UTC).parse(line, ARRIVAL) for line in LINES]
    told = Counter(str(fact.fields["action"]) for fact in facts if fact)
    assert told == {
        "start": 1, "associate": 2, "echo": 1, "release": 1, "store": 2, "abort": 1, "query": 1, "move": 2, "connect": 1,
        "reject": 2, "malformed": 2, "stop": 1,
    }  # fmt: skip
    assert sum(fact is None for fact in facts) == len(LINES) - told.total()
    assert [fact.when for fact in facts if fact] == sorted(fact.when for fact in facts if fact)


def test_what_another_server_recorded() -> None:
    facts = [fact for line in RECORDED if (fact := Orthanc(UTC).parse(line, ARRIVAL))]
    assert Counter(str(fact.fields["action"]) for fact in facts) == {
        "start": 1, "associate": 8, "echo": 1, "store": 1, "abort": 2, "query": 1, "move": 2, "retrieve": 1, "connect": 3,
        "release": 5, "reject": 1, "export": 2, "import": 1, "config": 1, "delete": 1, "stop": 1,
    }  # fmt: skip
    refused = [fact.fields for fact in facts if fact.fields.get("outcome") == "failure"]
    assert [(fields["action"], fields["calling_ae"]) for fields in refused] == [("reject", "ROGUE"), ("move", "ROGUE")]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            b"Association Received from AET CT1",
            {"action": "associate", "outcome": "", "source": "127.0.0.1", "calling_ae": "CT1"},
        ),
        (b"Association Received from AET  on", {"action": "associate", "outcome": "", "source": "127.0.0.1"}),
        (
            b"Incoming Store",
            {"action": "store", "outcome": "", "source": "127.0.0.1", "calling_ae": "CT1", "called_ae": "ORTHANC"},
        ),
        (b"Move-SCU", {"action": "move", "outcome": "", "move_destination": "WS1"}),
        (
            b"Opening",
            {"action": "connect", "outcome": "", "destination": "127.0.0.1", "calling_ae": "ORTHANC", "called_ae": "WS1"},
        ),
        (b"authorization", {"action": "reject", "outcome": "failure", "source": "127.0.0.1", "calling_ae": "ROGUE"}),
        (b"Rejected Move", {"action": "move", "outcome": "failure", "source": "127.0.0.1", "calling_ae": "ROGUE"}),
        (b"bad called", {"action": "reject", "outcome": "failure", "called_ae": "PACS"}),
        (b"PDU too large", {"action": "malformed", "outcome": "failure"}),
    ],
)
def test_one_line(part: bytes, expected: dict[str, object]) -> None:
    (line,) = [line for line in LINES if part in line][:1]
    assert parse(line).fields == {"provider": "orthanc", **expected}


def test_a_line_with_the_name_of_its_thread() -> None:
    fact = parse(WITH_THREAD)
    assert fact.fields["calling_ae"] == "X"
    assert fact.when == (datetime(2026, 6, 4, 17, 50, 45, 123_456, UTC) - EPOCH) // timedelta(microseconds=1)


def test_a_line_of_the_old_year_read_in_the_new_one() -> None:
    arrival = (datetime(2027, 1, 1, 0, 0, 5, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
    line = WITH_THREAD.replace(b"I0604 17:50", b"I1231 23:59")
    fact = Orthanc(UTC).parse(line, arrival)
    assert fact is not None
    assert (EPOCH + timedelta(microseconds=fact.when)).year == 2026


@pytest.mark.parametrize(
    ("line", "action"),
    [
        ("DELETE /studies/27f7126f", "delete"),
        ("POST /tools/bulk-delete", "delete"),
        ("GET /studies/27f7126f/archive", "export"),
        ("POST /tools/create-archive", "export"),
        ("POST /modalities/ROGUE/store", "export"),
        ("POST /modalities/PACS/move", "move"),
        ("POST /instances", "import"),
        ("POST /tools/find", "query"),
        ("GET /instances/27f7126f/file", "access"),
        ("PUT /tools/log-level-dicom", "config"),
        ("POST /tools/execute-script", "config"),
        ("PUT /modalities/ROGUE", "config"),
    ],
)
def test_an_http_line(line: str, action: str) -> None:
    assert parse(HTTP.format(line)).fields == {"provider": "orthanc", "action": action}


@pytest.mark.parametrize("line", ["GET /changes?since=4", "GET /system", "GET /", "GET instances", "Incoming connection"])
def test_an_http_line_that_tells_nothing(line: str) -> None:
    assert Orthanc(UTC).parse(HTTP.format(line).encode(), ARRIVAL) is None


def test_a_message_cannot_be_forged_by_an_ae_title() -> None:
    line = LINES[3].replace(b"CT1", b"A on IP 10.0.0.9")  # sixteen characters are a title's bound
    assert parse(line).fields["calling_ae"] == "A on IP 10.0.0.9"
    assert parse(line).fields["source"] == "127.0.0.1"


@pytest.mark.parametrize(
    "line",
    [b"", b"x", b"I1399 20:13:16.1 main.cpp:1] x", b"I0230 20:13:16.1 main.cpp:1] x", b"I1121 25:13:16.1 main.cpp:1] x"],
)
def test_another_line_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Orthanc(UTC).parse(line, ARRIVAL)


@given(lines([*LINES, WITH_THREAD]))
def test_any_bytes_are_a_fact_or_a_value_error(line: bytes) -> None:
    hold(Orthanc(UTC), line)
    hold(Orthanc(), line)


@pytest.mark.parametrize("piece", [b" ", b"x", b'"', b" on IP ", b"1."])
def test_a_long_line_costs_little(piece: bytes) -> None:
    hold(Orthanc(UTC), LINES[3] + piece * (65_000 // len(piece)))
    hold(Orthanc(UTC), b"I1121 20:14:41.084224" + piece * (65_000 // len(piece)))
