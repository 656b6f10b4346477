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
    sink.flush()
    assert [decode(line) for line in stream.getvalue().splitlines()] == events(3)


def test_records_of_the_bus_are_bounded() -> None:
    bus = MemoryBus()
    sink = BusSink(bus)
    sink.write(events(2 * BATCH + 1))
    sink.write([])
    reader = bus.reader("test")
    batches = reader.poll(10)
    assert [batch.count for batch in batches] == [BATCH, BATCH]
    sink.flush()
    sink.flush()
    batches += reader.poll(10)
    assert [batch.count for batch in batches] == [BATCH, BATCH, 1]
    lines = b"".join(batch.lines for batch in batches).splitlines()
    assert [decode(line) for line in lines] == events(2 * BATCH + 1)
    assert sink.lost == 0


def test_small_writes_make_large_records() -> None:
    bus = MemoryBus()
    sink = BusSink(bus)
    for event in events(BATCH + 3):
        sink.write([event])
    sink.flush()
    assert [batch.count for batch in bus.reader("test").poll(10)] == [BATCH, 3]


def put(sink: BusSink, some: list[Event]) -> None:
    sink.write(some)
    sink.flush()


class Full:
    def __init__(self, room: int, error: OSError | None = None) -> None:
        self.room = room
        self.error = error or BusFull("no room")

    def publish(self, lines: bytes, count: int) -> int:
        if self.room <= 0:
            raise self.error
        self.room -= 1
        return 0


@pytest.mark.parametrize("error", [BusFull("no room"), OSError(5, "Input/output error")])
def test_what_finds_no_room_is_counted_and_told_once(caplog: pytest.LogCaptureFixture, error: OSError) -> None:
    sink = BusSink(Full(1, error))  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        sink.write(events(2 * BATCH + 1))
        sink.write(events(3))
        sink.flush()
    assert sink.lost == BATCH + 4
    assert [record.message for record in caplog.records] == [f"events are being lost: {error}"]


def test_the_end_of_it_is_told_once_none_was_lost_for_a_while(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = Full(0)
    sink = BusSink(bus)  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        for lost in (3, 4):
            monkeypatch.setattr("agent.sink.QUIET", 60.0)
            bus.room = 0
            put(sink, events(lost))
            bus.room = 1
            put(sink, events(1))  # a small batch may find room now and then
            monkeypatch.setattr("agent.sink.QUIET", 0.0)
            put(sink, events(1))
            bus.room = 2
            put(sink, events(1))
            put(sink, events(1))
    assert sink.lost == 9
    assert [record.message for record in caplog.records] == [
        "events are being lost: no room",
        "events are kept again, 4 were lost",
        "events are being lost: no room",
        "events are kept again, 5 were lost",
    ]
