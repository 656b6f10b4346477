"""The spool: a directory of segments, at once the embedded bus and the agent's store-and-forward buffer.

One writer a directory; readers in any number of processes, which need nothing from it but its files. What was read
stays until the byte bound drops the oldest segment; what a group lost is what was dropped before the group had it, and
stands in `stat(path).groups`.

A killed process loses nothing that `publish` returned from. A power failure loses what the fsync policy left open:
nothing (`always`); what was published since the last sync, at most 1 MiB or, while the writer publishes or flushes,
100 ms (`interval`); or what the kernel had not written yet (`never`).
"""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Generator, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Literal, NamedTuple, Self, get_args

from nigrani.stream.bus import Batch, BusFull, Place
from nigrani.stream.layout import FULL, existing, group_file, groups, lock, prepare, read_place, write_place
from nigrani.stream.segment import (
    HEADER_BYTES,
    Cursor,
    Segment,
    pack,
    parse,
    search,
    segments,
)

MAX_BYTES = 256 << 20
SEGMENT_BYTES = 16 << 20
SYNC_SECONDS = 0.1
SYNC_BYTES = 1 << 20
POLL_SECONDS = 0.005, 0.04
"""Between two looks for a batch, at first and at most: an idle reader costs next to nothing, a busy one no delay."""
POLL_BYTES = 8 << 20
"""One poll stops at the batch with which it holds as much."""
MAX_MARKS = 8192
"""Polled batches whose place a reader remembers until they are committed; among older ones a commit moves nothing."""

Fsync = Literal["always", "interval", "never"]


class GroupStat(NamedTuple):
    """What one group of readers has committed, and what it has not had."""

    offset: int
    lag_records: int
    lag_events: int
    missed_records: int
    missed_events: int


class Stat(NamedTuple):
    """A spool at one moment."""

    segments: int
    bytes: int
    first_offset: int
    next_offset: int
    events: int
    """Kept."""
    dropped_records: int
    dropped_events: int
    """Dropped by the bound or a full disk since the spool began, read by a group or not."""
    groups: dict[str, GroupStat]


class Fault(NamedTuple):
    """Something in a spool that is not as it was written."""

    file: str
    position: int
    reason: str


class Spool:
    """The directory, opened for its one writer."""

    @staticmethod
    def open(
        path: str | os.PathLike[str],
        *,
        max_bytes: int = MAX_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
        fsync: Fsync = "interval",
    ) -> SpoolWriter:
        """The writer of the spool at `path`, which is made where there is none.

        max_bytes: of all segments together; beyond it the oldest is dropped. segment_bytes: of one segment, and so of
        the largest batch. Raises ValueError for a bad setting and BusError for a directory that cannot be used.
        """
        if fsync not in get_args(Fsync):
            raise ValueError(f"fsync is {fsync!r} and must be one of {', '.join(get_args(Fsync))}")
        if segment_bytes <= HEADER_BYTES or max_bytes < 2 * segment_bytes:
            raise ValueError(f"max_bytes is {max_bytes} and must be at least twice segment_bytes, {segment_bytes}")
        return SpoolWriter(prepare(path), max_bytes, segment_bytes, fsync)


class SpoolWriter:
    """The `Publisher` of a spool; `Spool.open` makes it."""

    def __init__(self, directory: Path, max_bytes: int, segment_bytes: int, fsync: Fsync) -> None:
        self.cut_bytes = 0
        """Bytes after the last sound record that were cut at open: a torn write, or damage."""
        self._directory = directory
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._fsync = fsync
        self._fd = -1
        self._closed: deque[tuple[Segment, int]] = deque()
        self._closed_bytes = 0
        self._size = 0
        self._unsynced = 0
        self._synced_at = 0.0
        self._lock = lock(directory)
        try:
            self._recover()
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def next_offset(self) -> int:
        """Offset of the next batch: how many were published since the spool began."""
        return self._offset

    @property
    def next_event(self) -> int:
        """How many events were published since the spool began."""
        return self._event

    @property
    def dropped_records(self) -> int:
        """Batches dropped since the spool began, read or not."""
        return self._first.offset

    @property
    def dropped_events(self) -> int:
        """Events dropped since the spool began, read or not."""
        return self._first.event

    def publish(self, lines: bytes, count: int) -> int:
        """Append one batch; see `Publisher`. On a full disk the oldest segment makes room, once, before BusFull."""
        if self._fd < 0:
            raise ValueError("the spool is closed")
        size = HEADER_BYTES + len(lines)
        if size > self._segment_bytes:
            raise ValueError(f"a batch of {len(lines)} bytes is too large for segments of {self._segment_bytes}")
        header = pack(self._offset, self._event, count, lines)
        try:
            self._append(header, lines)
        except OSError as error:
            if error.errno not in FULL:
                raise
            self._append_in_place_of_oldest(header, lines)
        offset = self._offset
        self._size += size
        self._unsynced += size
        self._offset += 1
        self._event += count
        if self._sync_due():
            self._sync()
        return offset

    def flush(self) -> None:
        """Sync, whatever the interval; nothing to do where the policy is `never`."""
        if self._fd >= 0 and self._unsynced and self._fsync != "never":
            self._sync()

    def close(self) -> None:
        """Flush and let another writer have the directory."""
        if self._fd < 0:
            return
        try:
            self.flush()
        finally:
            os.close(self._fd)
            os.close(self._lock)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _first(self) -> Segment:
        return self._closed[0][0] if self._closed else self._active

    def _append(self, header: bytes, lines: bytes) -> None:
        """Write one record whole. Raises OSError, and leaves nothing of it, where it does not fit on the disk."""
        size = len(header) + len(lines)
        if self._size and self._size + size > self._segment_bytes:
            self._roll()
        while self._closed and self._closed_bytes + self._size + size > self._max_bytes:
            self._drop_oldest()
        try:
            written = os.writev(self._fd, (header, lines))
            if written < size:
                raise OSError(errno.ENOSPC, f"{written} of {size} bytes written")  # noqa: TRY301 - one way back
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise

    def _append_in_place_of_oldest(self, header: bytes, lines: bytes) -> None:
        try:
            if not self._closed and self._size:
                self._roll()
            if self._closed:
                self._drop_oldest()
            self._append(header, lines)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise BusFull(f"no room on the disk of {self._directory}: free some, or lower max_bytes") from error

    def _recover(self) -> None:
        """Take up where the last writer ended: cut what it left torn, and never give an offset twice."""
        found = segments(self._directory)
        end, size = _end(self._directory, found[-1]) if found else (Place(0, 0), 0)
        taken = [end, *(place for _, place in groups(self._directory) if place is not None)]
        # A power failure can leave a group ahead of the log; were those offsets given again, it would skip new batches.
        self._offset = max(place.offset for place in taken)
        self._event = max(place.event for place in taken)
        if found and self._offset == end.offset:
            self._resume(found.pop(), size)
        else:
            self._begin()
        for segment in found:
            self._retire(segment, segment.path.stat().st_size)
        while self._closed and self._closed_bytes + self._size > self._max_bytes:
            self._drop_oldest()

    def _resume(self, segment: Segment, size: int) -> None:
        self._fd = os.open(segment.path, os.O_WRONLY | os.O_APPEND)
        self._active, self._size = segment, size
        self.cut_bytes = os.fstat(self._fd).st_size - size
        if self.cut_bytes:
            os.ftruncate(self._fd, size)

    def _retire(self, segment: Segment, size: int) -> None:
        self._closed.append((segment, size))
        self._closed_bytes += size

    def _roll(self) -> None:
        """End the active segment and begin the next. Where that one cannot be made, the active one stays."""
        old, active, size = self._fd, self._active, self._size
        self._begin()
        self._retire(active, size)
        try:
            if self._fsync != "never":
                os.fdatasync(old)
        finally:
            os.close(old)

    def _begin(self) -> None:
        active = Segment(self._offset, self._event, self._directory)
        self._fd = os.open(active.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        self._active, self._size, self._unsynced = active, 0, 0
        if self._fsync != "never":
            os.fsync(self._lock)  # the directory's own descriptor

    def _drop_oldest(self) -> None:
        segment, size = self._closed.popleft()
        segment.path.unlink(missing_ok=True)
        self._closed_bytes -= size

    def _sync_due(self) -> bool:
        if self._fsync == "interval":
            return self._unsynced >= SYNC_BYTES or time.monotonic() - self._synced_at >= SYNC_SECONDS
        return self._fsync == "always"

    def _sync(self) -> None:
        os.fdatasync(self._fd)
        self._unsynced = 0
        self._synced_at = time.monotonic()


class SpoolReader:
    """The `Reader` of a spool, in the writer's process or another; it may come before the first writer."""

    def __init__(self, path: str | os.PathLike[str], group: str) -> None:
        """group: its name, of lower-case letters, digits, `_` and `-`. Raises as `Spool.open` does."""
        self._directory = prepare(path)
        self._file = group_file(self._directory, group)
        committed = read_place(self._file)
        if committed is None:
            # Written now, so that what is dropped before the first commit counts as missed.
            committed = _oldest(self._directory)
            write_place(self._file, committed)
        self._cursor = Cursor(self._directory, committed)
        self._tail: Cursor | None = None
        self._marks: deque[Place] = deque(maxlen=MAX_MARKS)

    @property
    def position(self) -> int:
        """See `Reader`."""
        return self._cursor.place.offset

    @property
    def missed_records(self) -> int:
        """See `Reader`; counted over restarts."""
        return self._cursor.place.missed_records

    @property
    def missed_events(self) -> int:
        """See `Reader`; counted over restarts."""
        return self._cursor.place.missed_events

    @property
    def faults(self) -> int:
        """Damaged stretches stepped over since this reader began."""
        return self._cursor.faults

    def poll(self, limit: int, timeout: float = 0) -> list[Batch]:
        """See `Reader`; also stops at the batch that makes it 8 MiB."""
        deadline = time.monotonic() + timeout
        pause, longest = POLL_SECONDS
        while True:
            batches = self._take(limit)
            left = deadline - time.monotonic()
            if batches or left <= 0:
                return batches
            time.sleep(min(pause, left))
            pause = min(2 * pause, longest)

    def commit(self, offset: int) -> None:
        """See `Reader`; durable when it returns."""
        if offset > self.position:
            raise ValueError(f"offset {offset} was not read yet: the position is {self.position}")
        done = list(takewhile(lambda mark: mark.offset <= offset, self._marks))
        if done:
            write_place(self._file, done[-1])
            for _ in done:
                self._marks.popleft()

    def lag(self) -> tuple[int, int]:
        """See `Reader`."""
        found = segments(self._directory)
        if not found:
            return 0, 0
        end = self._end(found[-1])
        here = self._cursor.place
        records = end.offset - max(here.offset, found[0].offset)
        events = end.event - max(here.event, found[0].event)
        return max(records, 0), max(events, 0)

    def close(self) -> None:
        """See `Reader`."""
        self._cursor.close()
        if self._tail is not None:
            self._tail.close()

    def _end(self, last: Segment) -> Place:
        """Where the log ends; each call walks only what is new in the last segment."""
        if self._tail is None or self._tail.place.offset < last.offset:
            if self._tail is not None:
                self._tail.close()
            self._tail = Cursor(self._directory, Place(last.offset, last.event))
        return self._tail.drain()

    def _take(self, limit: int) -> list[Batch]:
        batches: list[Batch] = []
        size = 0
        while len(batches) < limit and size < POLL_BYTES:
            record = self._cursor.next()
            if record is None:
                break
            batches.append(Batch(record.offset, record.count, record.payload))
            self._marks.append(self._cursor.place)
            size += len(record.payload)
        return batches


def stat(path: str | os.PathLike[str]) -> Stat:
    """What a spool holds, by its batches' numbers; `verify` reads them all. Raises BusError where there is none."""
    directory = existing(path)
    first = _oldest(directory)
    found = segments(directory)
    end = _end(directory, found[-1])[0] if found else first
    return Stat(
        segments=len(found),
        bytes=sum(_size(segment) for segment in found),
        first_offset=first.offset,
        next_offset=end.offset,
        events=end.event - first.event,
        dropped_records=first.offset,
        dropped_events=first.event,
        groups={name: _group(place or first, first, end) for name, place in groups(directory)},
    )


def verify(path: str | os.PathLike[str]) -> Iterator[Fault]:
    """Every fault of a spool, from reading all of it. A batch that is being written looks like a torn one."""
    directory = existing(path)
    expected: Place | None = None
    for segment in segments(directory):
        if expected is not None and segment.offset > expected.offset:
            yield Fault(segment.path.name, 0, _lost(expected.offset, segment.offset))
        expected = yield from _verify(segment)
    for name, place in groups(directory):
        if place is None:
            yield Fault(f"{name}.offset", 0, "damaged; the group will begin again at the oldest batch")


def _verify(segment: Segment) -> Generator[Fault, None, Place]:
    data = segment.path.read_bytes()
    at, offset, event = 0, segment.offset, segment.event
    while at < len(data):
        record = parse(data, at)
        if record is None or (record.offset, record.event) != (offset, event):
            found = search(data[at:], offset, event)
            if found is None:
                yield Fault(segment.path.name, at, f"{len(data) - at} bytes at the end are torn or damaged")
                break
            skipped, record = found
            yield Fault(segment.path.name, at, f"{skipped} bytes are damaged; {_lost(offset, record.offset)}")
            at += skipped
        at += HEADER_BYTES + len(record.payload)
        offset, event = record.offset + 1, record.event + record.count
    return Place(offset, event)


def _lost(first: int, end: int) -> str:
    return f"batches {first} to {end - 1} are missing"


def _end(directory: Path, last: Segment) -> tuple[Place, int]:
    """The place after the last sound batch, and how many bytes of the last segment lie before it."""
    cursor = Cursor(directory, Place(last.offset, last.event))
    try:
        return cursor.drain(), cursor.at
    finally:
        cursor.close()


def _oldest(directory: Path) -> Place:
    oldest = next(iter(segments(directory)), None)
    return Place(oldest.offset, oldest.event) if oldest else Place(0, 0)


def _size(segment: Segment) -> int:
    try:
        return segment.path.stat().st_size
    except FileNotFoundError:
        return 0  # dropped since the listing


def _group(committed: Place, first: Place, end: Place) -> GroupStat:
    """What the group will miss because it was dropped counts as missed already."""
    return GroupStat(
        offset=committed.offset,
        lag_records=max(end.offset - max(committed.offset, first.offset), 0),
        lag_events=max(end.event - max(committed.event, first.event), 0),
        missed_records=committed.missed_records + max(first.offset - committed.offset, 0),
        missed_events=committed.missed_events + max(first.event - committed.event, 0),
    )
