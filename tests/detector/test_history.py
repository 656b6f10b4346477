"""Events of some time back: of files and of the bus."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from detector.config import Bus, DetectorConfig
from detector.history import History
from nigrani.service.errors import Problem
from nigrani.stream.spool import Spool

NOW = datetime.now(UTC)


def line(hours: float, number: int = 0) -> bytes:
    when = (NOW - timedelta(hours=hours)).isoformat()
    plain = {"event.dataset": "agent.status", "@timestamp": when, "event.id": f"e{number}", "event.sequence": number}
    return json.dumps(plain | {"agent.id": "a", "host.id": "h"}).encode()


@pytest.fixture
def bus(tmp_path: Path) -> Path:
    path = tmp_path / "bus"
    with Spool.open(path) as spool:
        for number in range(4):
            spool.publish(line(3 - number, number) + b"\n", 1)
        spool.publish(b"not an event\n", 1)
    return path


def test_the_bus(bus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = History(DetectorConfig(bus=Bus(path=bus)), [], None, None)
    assert [event.sequence for event in history.read()] == [0, 1, 2, 3]
    assert "1 lines on the bus are no events" in capsys.readouterr().err
    assert [event.sequence for event in History(DetectorConfig(), [], bus, None).read()] == [0, 1, 2, 3]


def test_since(bus: Path) -> None:
    history = History(DetectorConfig(), [], bus, 1.5 * 3600)
    assert [event.sequence for event in history.read()] == [2, 3]
    assert (history.events, history.before) == (2, 2)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(line(100, 1) + b"\n" + line(1, 2) + b"\n")
    assert [event.sequence for event in History(DetectorConfig(), [str(path)], None, None).read()] == [1, 2]
    assert [event.sequence for event in History(DetectorConfig(), [str(path)], None, 7200).read()] == [2]


def test_nothing_to_try_on_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(line(100) + b"\n")
    with pytest.raises(Problem, match="all 1 events are older than was asked for"):
        list(History(DetectorConfig(), [str(path)], None, 3600).read())
    Spool.open(tmp_path / "empty").close()
    with pytest.raises(Problem, match="there are no events to try it on"):
        list(History(DetectorConfig(), [], tmp_path / "empty", None).read())
