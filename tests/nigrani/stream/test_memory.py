from __future__ import annotations

import time

import pytest

from nigrani.stream.bus import BusFull
from nigrani.stream.memory import MemoryBus


def test_the_bound_is_of_bytes_and_drops_single_batches() -> None:
    bus = MemoryBus(max_bytes=10)
    for _ in range(4):
        bus.publish(b"1234", 2)
    assert (bus.dropped_records, bus.dropped_events) == (2, 4)
    assert (bus.next_offset, bus.next_event) == (4, 8)


def test_a_batch_beyond_the_whole_bound_drops_nothing_else() -> None:
    bus = MemoryBus(max_bytes=4)
    bus.publish(b"1234", 1)
    with pytest.raises(BusFull, match="raise max_bytes"):
        bus.publish(b"12345", 1)
    assert [batch.lines for batch in bus.reader("one").poll(9)] == [b"1234"]


def test_an_empty_poll_takes_its_time() -> None:
    began = time.monotonic()
    assert MemoryBus().reader("one").poll(1, timeout=0.02) == []
    assert time.monotonic() - began >= 0.02
