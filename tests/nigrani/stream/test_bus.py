"""How every implementation of the bus behaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from nigrani.stream.bus import Batch, BusError, BusFull, Publisher, Reader
from nigrani.stream.memory import MemoryBus
from nigrani.stream.segment import HEADER_BYTES
from nigrani.stream.spool import Spool, SpoolReader

LINE = b'{"n":%06d}\n'
SIZE = len(LINE % 0)
ROOM = 8
"""Batches of one line that a small bus keeps, at most."""


class SomePublisher(Publisher, Protocol):
    dropped_records: int
    dropped_events: int


class SomeBus(Protocol):
    publisher: SomePublisher

    def reader(self, group: str) -> Reader: ...


class InMemory:
    def __init__(self, directory: Path, *, small: bool) -> None:
        self.publisher = MemoryBus(ROOM * SIZE) if small else MemoryBus()
        self.reader = self.publisher.reader


class OnDisk:
    def __init__(self, directory: Path, *, small: bool) -> None:
        record = HEADER_BYTES + SIZE
        self.directory = directory
        self.publisher = (
            Spool.open(directory, max_bytes=ROOM * record, segment_bytes=2 * record, fsync="never")
            if small
            else Spool.open(directory, fsync="never")
        )

    def reader(self, group: str) -> Reader:
        return SpoolReader(self.directory, group)


def batch(number: int, count: int = 1) -> Batch:
    return Batch(number, count, LINE % number)


def fill(publisher: Publisher, numbers: range) -> None:
    for number in numbers:
        assert publisher.publish(LINE % number, 1) == number


@pytest.mark.parametrize("make", [InMemory, OnDisk])
class TestEveryBus:
    @pytest.fixture
    def bus(self, make: Callable[..., SomeBus], tmp_path: Path) -> SomeBus:
        return make(tmp_path, small=False)

    @pytest.fixture
    def small(self, make: Callable[..., SomeBus], tmp_path: Path) -> SomeBus:
        return make(tmp_path, small=True)

    def test_gives_what_was_published_in_its_order(self, bus: SomeBus) -> None:
        fill(bus.publisher, range(5))
        reader = bus.reader("one")
        assert reader.position == 0
        assert reader.poll(3) == [batch(0), batch(1), batch(2)]
        assert reader.poll(9) == [batch(3), batch(4)]
        assert reader.position == 5
        assert reader.poll(9) == []

    def test_counts_records_and_events_ahead(self, bus: SomeBus) -> None:
        reader = bus.reader("one")
        assert reader.lag() == (0, 0)
        bus.publisher.publish(b"{}\n" * 500, 500)
        bus.publisher.publish(b"{}\n" * 20, 20)
        assert reader.lag() == (2, 520)
        reader.poll(1)
        assert reader.lag() == (1, 20)
        bus.publisher.publish(b"{}\n" * 7, 7)
        assert reader.lag() == (2, 27)

    def test_an_empty_batch_and_any_bytes_come_back_as_they_were(self, bus: SomeBus) -> None:
        payloads = [b"", bytes(range(256)), b"\xffNS1" * 40]
        for payload in payloads:
            bus.publisher.publish(payload, 0)
        assert [each.lines for each in bus.reader("one").poll(9)] == payloads

    def test_a_restart_begins_at_the_commit(self, bus: SomeBus) -> None:
        fill(bus.publisher, range(5))
        reader = bus.reader("one")
        reader.poll(4)
        reader.commit(2)
        reader.close()
        again = bus.reader("one")
        assert again.position == 2
        assert again.poll(1) == [batch(2)]

    def test_without_a_commit_everything_comes_again(self, bus: SomeBus) -> None:
        fill(bus.publisher, range(3))
        for _ in range(2):
            reader = bus.reader("one")
            assert len(reader.poll(9)) == 3
            reader.close()

    def test_a_commit_never_moves_back_nor_beyond_what_was_read(self, bus: SomeBus) -> None:
        fill(bus.publisher, range(5))
        reader = bus.reader("one")
        reader.poll(3)
        with pytest.raises(ValueError, match="offset 4 was not read yet"):
            reader.commit(4)
        reader.commit(3)
        reader.commit(1)
        assert bus.reader("one").position == 3

    def test_groups_read_independently(self, bus: SomeBus) -> None:
        fill(bus.publisher, range(3))
        one, two = bus.reader("one"), bus.reader("two")
        assert one.poll(9) == two.poll(9) == [batch(0), batch(1), batch(2)]
        one.commit(3)
        assert bus.reader("one").position == 3
        assert bus.reader("two").position == 0

    def test_a_group_may_come_before_the_first_batch(self, bus: SomeBus) -> None:
        reader = bus.reader("early")
        assert reader.poll(1) == []
        fill(bus.publisher, range(1))
        assert reader.poll(1) == [batch(0)]

    def test_a_reader_behind_a_drop_goes_on_and_counts_what_it_missed(self, small: SomeBus) -> None:
        reader = small.reader("one")
        fill(small.publisher, range(3))
        assert reader.poll(1) == [batch(0)]
        fill(small.publisher, range(3, 40))
        kept = 40 - small.publisher.dropped_records
        assert reader.lag() == (kept, kept)
        delivered = 1
        while batches := reader.poll(3):
            delivered += len(batches)
            assert batches == [batch(each.offset) for each in batches]
        assert delivered <= 1 + ROOM + 2
        assert delivered + reader.missed_records == delivered + reader.missed_events == 40
        assert reader.position == 40

    def test_what_was_missed_is_remembered_with_the_commit(self, small: SomeBus) -> None:
        reader = small.reader("one")
        fill(small.publisher, range(40))
        reader.poll(1)
        missed = reader.missed_records
        assert missed > 0
        reader.commit(reader.position)
        reader.close()
        assert small.reader("one").missed_events == missed
        assert small.reader("two").missed_events == 0  # it was not there to miss anything

    def test_a_reader_that_was_away_misses_what_was_dropped_meanwhile(self, small: SomeBus) -> None:
        small.reader("one").close()
        fill(small.publisher, range(40))
        reader = small.reader("one")
        delivered = len(reader.poll(99))
        assert 0 < delivered <= ROOM
        assert delivered + reader.missed_events == 40

    def test_offered_is_kept_and_dropped(self, small: SomeBus) -> None:
        fill(small.publisher, range(40))
        kept = small.reader("new").lag()
        assert kept[0] <= ROOM
        assert kept[0] + small.publisher.dropped_records == 40
        assert kept[1] + small.publisher.dropped_events == 40

    def test_a_batch_that_cannot_fit_is_refused_and_leaves_nothing(self, small: SomeBus) -> None:
        fill(small.publisher, range(2))
        with pytest.raises((ValueError, BusFull)):
            small.publisher.publish(b"x" * 10_000, 1)
        fill(small.publisher, range(2, 3))
        assert len(small.reader("one").poll(9)) == 3

    def test_nothing_is_published_after_close(self, bus: SomeBus) -> None:
        bus.publisher.flush()
        bus.publisher.close()
        bus.publisher.close()
        with pytest.raises(ValueError, match="closed"):
            bus.publisher.publish(b"", 0)


def test_a_full_bus_is_an_oserror() -> None:
    assert issubclass(BusFull, BusError)
    assert issubclass(BusError, OSError)
