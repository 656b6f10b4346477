"""The bus in memory: for tests, and wherever writer and reader are one thread; nothing survives it."""

from __future__ import annotations

import time
from collections import deque
from itertools import islice

from nigrani.stream.bus import Batch, BusFull, Place

MAX_BYTES = 16 << 20


class MemoryBus:
    """A `Publisher`, and where its `Reader`s come from. Beyond `max_bytes` of lines the oldest batches are dropped."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.committed: dict[str, Place] = {}
        """What each group has committed; survives the reader, as a spool's does."""
        self._max_bytes = max_bytes
        self._kept: deque[tuple[int, Batch]] = deque()
        self._bytes = 0
        self._end = Place(0, 0)
        self._closed = False

    @property
    def next_offset(self) -> int:
        """Offset of the next batch: how many were published."""
        return self._end.offset

    @property
    def next_event(self) -> int:
        """How many events were published."""
        return self._end.event

    @property
    def dropped_records(self) -> int:
        """Batches dropped, read or not."""
        return self.oldest.offset

    @property
    def dropped_events(self) -> int:
        """Events dropped, read or not."""
        return self.oldest.event

    @property
    def oldest(self) -> Place:
        """Where the batches kept begin."""
        if not self._kept:
            return self._end
        event, batch = self._kept[0]
        return Place(batch.offset, event)

    def publish(self, lines: bytes, count: int) -> int:
        """See `Publisher`; a batch beyond the whole bound is BusFull."""
        if self._closed:
            raise ValueError("the bus is closed")
        if len(lines) > self._max_bytes:
            raise BusFull(f"no room for {len(lines)} bytes in {self._max_bytes}: raise max_bytes")
        while self._bytes + len(lines) > self._max_bytes:
            self._bytes -= len(self._kept.popleft()[1].lines)
        offset, event = self._end.offset, self._end.event
        self._kept.append((event, Batch(offset, count, lines)))
        self._bytes += len(lines)
        self._end = Place(offset + 1, event + count)
        return offset

    def flush(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """See `Publisher`."""
        self._closed = True

    def reader(self, group: str) -> MemoryReader:
        """The reader of a group, which begins at what the group last committed."""
        return MemoryReader(self, group)

    def after(self, place: Place, limit: int) -> list[tuple[int, Batch]]:
        """At most `limit` batches from a place on, each with the number of its first event."""
        start = max(place.offset - self.oldest.offset, 0)
        return list(islice(self._kept, start, start + limit))


class MemoryReader:
    """The `Reader` of a `MemoryBus`."""

    def __init__(self, bus: MemoryBus, group: str) -> None:
        self._bus = bus
        self._group = group
        self._place = bus.committed.setdefault(group, bus.oldest)
        self._marks: deque[Place] = deque()

    @property
    def position(self) -> int:
        """See `Reader`."""
        return self._place.offset

    @property
    def missed_records(self) -> int:
        """See `Reader`."""
        return self._place.missed_records

    @property
    def missed_events(self) -> int:
        """See `Reader`."""
        return self._place.missed_events

    def poll(self, limit: int, timeout: float = 0) -> list[Batch]:
        """See `Reader`."""
        found = self._bus.after(self._place, limit)
        if not found:
            time.sleep(timeout)  # nobody else can publish in the meantime
        for event, batch in found:
            self._place = self._place.past(batch.offset, event, batch.count)
            self._marks.append(self._place)
        return [batch for _, batch in found]

    def commit(self, offset: int) -> None:
        """See `Reader`."""
        if offset > self.position:
            raise ValueError(f"offset {offset} was not read yet: the position is {self.position}")
        while self._marks and self._marks[0].offset <= offset:
            self._bus.committed[self._group] = self._marks.popleft()

    def lag(self) -> tuple[int, int]:
        """See `Reader`."""
        oldest = self._bus.oldest
        return (
            self._bus.next_offset - max(self._place.offset, oldest.offset),
            self._bus.next_event - max(self._place.event, oldest.event),
        )

    def close(self) -> None:
        """See `Reader`."""
