from __future__ import annotations

import io
import logging

import pytest

from agent.privacy import Privacy
from agent.sink import BATCH, BusSink, StreamSink
from nigrani.stream.bus import BusFull
from nigrani.stream.codec import decode
from nigrani.stream.event import Event
from nigrani.stream.memory import MemoryBus
from tests.agent.packets import START


def events(count: int) -> list[Event]:
    privacy = Privacy(bytes(32), agent="probe", boot="1")
    return [privacy.status(START + number, "1", number, 0, {}) for number in range(count)]


def test_one_line_an_event() -> None:
    stream = io.BytesIO()
    sink = StreamSink(stream)
    sink.write(events(3))
    sink.write([])
    assert [decode(line) for line in stream.getvalue().splitlines()] == events(3)


def test_records_of_the_bus_are_bounded() -> None:
    bus = MemoryBus()
    sink = BusSink(bus)
    sink.write(events(2 * BATCH + 1))
    sink.write([])
    batches = bus.reader("test").poll(10)
    assert [batch.count for batch in batches] == [BATCH, BATCH, 1]
    lines = b"".join(batch.lines for batch in batches).splitlines()
    assert [decode(line) for line in lines] == events(2 * BATCH + 1)
    assert sink.lost == 0


class Full:
    def __init__(self, room: int) -> None:
        self.room = room

    def publish(self, lines: bytes, count: int) -> int:
        if self.room <= 0:
            raise BusFull("no room")
        self.room -= 1
        return 0


def test_what_finds_no_room_is_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    sink = BusSink(Full(1))  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        sink.write(events(2 * BATCH + 1))
        sink.write(events(3))
    assert sink.lost == BATCH + 4
    assert [record.message for record in caplog.records] == ["events are being lost: no room"]
