"""What comes out; tests/kafka reads real topics."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nigrani import cli
from nigrani.stream.bus import BusError
from nigrani.stream.kafka import past
from nigrani.stream.kafka.message import NDJSON, TYPE, Header

SERVERS = ("--set", "kafka.servers=[127.0.0.1:1]")


class Past:
    """Stands in for a topic."""

    asked: tuple[str, float]

    def __init__(self, _: object, topic: str) -> None:
        self.total = 3
        self._topic = topic

    def read(self, since: float) -> Iterator[tuple[bytes | None, list[Header]]]:
        Past.asked = self._topic, since
        yield b'{"a":1}', []
        yield b'{"a":2}\n{"a":3}\n', [(TYPE, NDJSON)]
        yield None, []


@pytest.fixture(autouse=True)
def topic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "Past", Past)


def test_lines(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert cli.main(["topics", "cat", *SERVERS]) == 0
    told = capfdbinary.readouterr()
    assert told.out == b'{"a":1}\n{"a":2}\n{"a":3}\n'
    assert told.err == b"nigrani: 1 messages hold no events, and were left out\n"
    assert Past.asked == ("nigrani.events", 0.0)


def test_a_limit(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert cli.main(["topics", "cat", *SERVERS, "--limit", "2"]) == 0
    assert capfdbinary.readouterr().out == b'{"a":1}\n{"a":2}\n'
    assert cli.main(["topics", "cat", *SERVERS, "--limit", "-1"]) == 2


def test_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_000_000.0)
    assert cli.main(["topics", "cat", *SERVERS, "--since", "1d"]) == 0
    assert Past.asked == ("nigrani.events", 1_000_000.0 - 86_400)


def test_alerts_that_were_taken_back_are_no_fault(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert cli.main(["topics", "cat", *SERVERS, "--topic", "alerts"]) == 0
    assert capfdbinary.readouterr().err == b""
    assert Past.asked[0] == "nigrani.alerts"


def test_a_topic_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def read(_: Past, since: float) -> Iterator[tuple[bytes | None, list[Header]]]:
        yield b'{"a":1}', []
        raise BusError("the broker is gone; look for it")

    monkeypatch.setattr(Past, "read", read)
    assert cli.main(["topics", "cat", *SERVERS]) == 1
    assert capsys.readouterr().err == "nigrani: the broker is gone; look for it\n"
