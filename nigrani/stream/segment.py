"""The segment: a file of the spool's records, their form on disk, and the walk over them from file to file.

A record is a 32-byte header, big-endian, and its payload:

    mark     4  ff 4e 53 31
    crc32    4  of all that follows
    length   4  of the payload, bytes
    count    4  events in the payload
    offset   8  number of the record
    event    8  number of its first event
    payload

The mark's first byte occurs in no UTF-8 text, so a search for the next record after a damaged one never stops inside a
payload. A segment is named by the offset and the event number of its first record: how much was dropped before it, and
how much is missing between it and the one before, is read off the names, and no counter can disagree with them.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from nigrani.stream.bus import Place

MARK = b"\xffNS1"
_HEADER = struct.Struct(">4sIIIQQ")
_BODY = struct.Struct(">IIQQ")
HEADER_BYTES = _HEADER.size
_CHECKED_FROM = _HEADER.size - _BODY.size
CHUNK = 1 << 20
"""Bytes read at once, of a longer record all that is there."""

_NAME = re.compile(r"(\d{20})-(\d{20})\.log")


class Record(Struct, frozen=True, gc=False):
    """One sound record."""

    offset: int
    event: int
    count: int
    payload: bytes


class Segment(NamedTuple):
    """One file, named by its first record."""

    offset: int
    event: int
    directory: Path

    @property
    def name(self) -> str:
        """Of the file; names sort as their segments do."""
        return f"{self.offset:020d}-{self.event:020d}.log"

    @property
    def path(self) -> Path:
        """The file."""
        return self.directory / self.name


def pack(offset: int, event: int, count: int, payload: bytes) -> bytes:
    """The record's header. Raises ValueError for a count that its field does not hold."""
    try:
        body = _BODY.pack(len(payload), count, offset, event)
    except struct.error:
        raise ValueError(f"a record cannot hold {count} events in {len(payload)} bytes") from None
    return MARK + zlib.crc32(payload, zlib.crc32(body)).to_bytes(4, "big") + body


def parse(buffer: bytes, at: int = 0) -> Record | None:
    """The record that begins at `at`; None where no whole and sound one does."""
    if len(buffer) - at < HEADER_BYTES:
        return None
    mark, crc, length, count, offset, event = _HEADER.unpack_from(buffer, at)
    start = at + HEADER_BYTES
    if mark != MARK or start + length > len(buffer):
        return None
    if zlib.crc32(memoryview(buffer)[at + _CHECKED_FROM : start + length]) != crc:
        return None
    return Record(offset, event, count, buffer[start : start + length])


def search(buffer: bytes, offset: int, event: int) -> tuple[int, Record] | None:
    """The first sound record in `buffer` that is not older than (offset, event), and where it begins."""
    at = buffer.find(MARK)
    while at >= 0:
        record = parse(buffer, at)
        if record is not None and record.offset >= offset and record.event >= event:
            return at, record
        at = buffer.find(MARK, at + 1)
    return None


def segments(directory: Path) -> list[Segment]:
    """The segments of a directory, oldest first."""
    with os.scandir(directory) as entries:
        names = (_NAME.fullmatch(entry.name) for entry in entries if entry.is_file(follow_symlinks=False))
        return sorted(Segment(int(name[1]), int(name[2]), directory) for name in names if name)


class Cursor:
    """A walk over the records of a directory; at the end it waits there for more.

    It needs nothing from the writer. What cannot be served (dropped, damaged) is stepped over and counted in `place`.
    """

    def __init__(self, directory: Path, place: Place) -> None:
        self.place = place
        self.faults = 0
        """Damaged stretches stepped over."""
        self.at = 0
        """Where, in the segment that is being read, the sound records known so far end."""
        self._directory = directory
        self._segment: Segment | None = None
        self._fd = -1
        self._offset = 0
        self._event = 0
        self._buffer = b""
        self._buffer_at = 0
        self._searched = 0

    def next(self) -> Record | None:
        """The next record, or None while there is none."""
        while True:
            record = self._read()
            if record is None:
                later = self._later()
                # In this order: once a later segment exists, nothing more is written to this one.
                record = self._search()
                if record is None:
                    if later is None:
                        return None
                    self._open(later)
                    continue
            self.at += HEADER_BYTES + len(record.payload)
            self._offset = record.offset + 1
            self._event = record.event + record.count
            if record.offset >= self.place.offset:
                self.place = self.place.past(record.offset, record.event, record.count)
                return record

    def drain(self) -> Place:
        """Walk to the end, and say where that is."""
        while self.next():
            pass
        return self.place

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._segment = None

    def _read(self) -> Record | None:
        """The record at `at`, if it is the one that must follow."""
        if self._segment is None:
            return None
        record = parse(self._buffer, self.at - self._buffer_at)
        if record is None:
            self._fill(CHUNK)
            record = parse(self._buffer)
        if record is not None and (record.offset, record.event) == (self._offset, self._event):
            return record
        return None

    def _fill(self, size: int) -> None:
        self._buffer = os.pread(self._fd, size, self.at)
        self._buffer_at = self.at

    def _search(self) -> Record | None:
        """The next sound record in all the rest of the segment, whose next bytes are damaged, long, or being written.

        Reads the file again: the writer may have cut a torn record and written another in its place. Looks again only
        when the file has changed its size, so that waiting behind a torn tail costs nothing.
        """
        if self._segment is None:
            return None
        size = os.fstat(self._fd).st_size
        if size <= self.at or size == self._searched:
            return None
        self._fill(size - self.at)
        found = search(self._buffer, self._offset, self._event)
        if found is None:
            self._searched, self._buffer = size, b""
            return None
        skipped, record = found
        self.faults += skipped > 0
        self.at += skipped
        return record

    def _later(self) -> Segment | None:
        """The segment after this one; at first, the one that holds the place, or the oldest."""
        if self._segment is None:
            found = segments(self._directory)
            before = [each for each in found if each.offset <= self.place.offset]
            return before[-1] if before else next(iter(found), None)
        name = self._segment.name
        # Asked a hundred times a second by a waiting reader, and the answer is mostly no.
        if not any(each > name and each.endswith(".log") for each in os.listdir(self._directory)):  # noqa: PTH208 - names
            return None
        return next((each for each in segments(self._directory) if each > self._segment), None)

    def _open(self, segment: Segment) -> None:
        try:
            fd = os.open(segment.path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return  # dropped since the listing: the next look finds what is kept
        if self._fd >= 0:
            self.faults += os.fstat(self._fd).st_size > self.at
            os.close(self._fd)
        self._fd, self._segment = fd, segment
        self._offset, self._event = segment.offset, segment.event
        self.at = self._buffer_at = self._searched = 0
        self._buffer = b""
