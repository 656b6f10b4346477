"""Cuts a stream of bytes into records, in bounded memory whatever comes: lines, or JSON objects one after another."""

from __future__ import annotations

import re
from typing import Protocol

_MARK = re.compile(rb'[{}"\\]')


class Cutter(Protocol):
    """One stream's records."""

    held: int
    """Bytes at the stream's end that belong to a record not yet complete: to be read again after a restart."""
    skipping: bool
    """Whether the stream stands within a record too long."""
    skipped: int
    """Records longer than the bound, passed over."""
    ends: list[int]
    """For each record given out by the last `feed`, how many of the bytes fed to it had been read by its end."""

    def feed(self, data: bytes) -> list[bytes]:
        """The records that these bytes complete, without their ends."""
        ...

    def rest(self) -> list[bytes]:
        """The last record, where the stream is over and its end never came."""
        ...


class Lines:
    """Lines, by LF or CRLF; empty ones are none."""

    def __init__(self, limit: int, *, skipping: bool = False) -> None:
        """limit: of a line, in bytes with its end. skipping: what comes first is the rest of a line too long."""
        self.held = self.skipped = 0
        self.ends: list[int] = []
        self._limit = limit
        self._part = b""
        self.skipping = skipping

    def feed(self, data: bytes) -> list[bytes]:
        """See `Cutter`."""
        lines: list[bytes] = []
        self.ends = []
        start = 0
        while (end := data.find(b"\n", start) + 1) > 0:
            self._take(data[start:end], lines, end)
            start = end
        if start < len(data):
            self._keep(data[start:])
        self.held = 0 if self.skipping else len(data) - start + (0 if start else self.held)
        return lines

    def rest(self) -> list[bytes]:
        """See `Cutter`."""
        line = self._part.rstrip(b"\r\n")
        self._part, self.skipping, self.held = b"", False, 0
        return [line] if line.strip() else []

    def _take(self, tail: bytes, lines: list[bytes], end: int) -> None:
        if self.skipping or len(self._part) + len(tail) > self._limit:
            self.skipped += not self.skipping
        else:
            line = (self._part + tail).rstrip(b"\r\n")
            if line.strip():
                lines.append(line)
                self.ends.append(end)
        self._part, self.skipping = b"", False

    def _keep(self, part: bytes) -> None:
        if self.skipping:
            return
        if len(self._part) + len(part) >= self._limit:
            self._part, self.skipping = b"", True
            self.skipped += 1
        else:
            self._part += part


class Objects:
    """JSON objects of the outermost level; what stands between them (brackets and commas of an array) is passed over.

    Braces are counted outside strings only. An object over the bound, or one that a new file's beginning has cut short, is
    passed over to its end.
    """

    def __init__(self, limit: int) -> None:
        """limit: of an object, in bytes."""
        self.held = self.skipped = 0
        self.ends: list[int] = []
        self.skipping = False
        self._limit = limit
        self._part = bytearray()
        self._depth = 0
        self._string = self._escaped = False

    def feed(self, data: bytes) -> list[bytes]:
        """See `Cutter`."""
        objects: list[bytes] = []
        self.ends = []
        start = at = 0
        if self._escaped and data:
            self._escaped, at = False, 1
        while found := _MARK.search(data, at):
            at = found.end()
            if self._string or found[0] in b'"\\':
                at = self._in_string(found[0], at, len(data))
            elif found[0] == b"{":
                start = start if self._depth else found.start()
                self._depth += 1
            elif self._depth:
                self._depth -= 1
                if not self._depth:
                    self._take(data[start:at], objects, at)
        if self._depth:
            self._keep(data[start:])
        return objects

    def _in_string(self, mark: bytes, at: int, size: int) -> int:
        """A quote begins or ends a string, and within one a backslash hides what follows; returns where to go on."""
        if mark == b'"':
            self._string = not self._string and self._depth > 0
        elif mark == b"\\" and self._string:
            self._escaped = at >= size
            return at + 1
        return at

    def rest(self) -> list[bytes]:
        """An object without its end is none."""
        self.skipped += self._depth > 0 and not self.skipping
        self._part.clear()
        self._depth = self.held = 0
        self._string = self._escaped = self.skipping = False
        return []

    def _take(self, tail: bytes, objects: list[bytes], end: int) -> None:
        if self.skipping or len(self._part) + len(tail) > self._limit:
            self.skipped += not self.skipping
        else:
            objects.append(bytes(self._part) + tail)
            self.ends.append(end)
        self._part.clear()
        self.skipping = False
        self.held = 0

    def _keep(self, part: bytes) -> None:
        self.held += len(part)
        if self.skipping:
            return
        if len(self._part) + len(part) > self._limit:
            self._part.clear()
            self.skipping = True
            self.skipped += 1
        else:
            self._part += part


def cutter(framing: str, limit: int, *, skipping: bool = False) -> Cutter:
    """The one for a format's framing: `lines` or `objects`. skipping: as of `Lines`."""
    return Objects(limit) if framing == "objects" else Lines(limit, skipping=skipping)
