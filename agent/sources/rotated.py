"""What became of a log file that was rotated: which files beside it were it, in the order they were written."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SIBLINGS = 1024
"""Rotated files looked at, the latest."""
SKIP = 8 << 20
"""Unpacked bytes passed over at once, on the way to where reading goes on."""
MAX_UNPACKED = 1 << 32
"""Of one packed file; what is beyond is not read."""
PIECE = 262_144
SECOND = 1_000_000_000
PACKED = ".gz"
FOREIGN = (".xz", ".bz2", ".zst", ".Z", ".zip", ".lz4")
"""Ways of packing that cannot be read here."""

_MONTH = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_DATE = rf"[-._](?:\d{{4}}[-_.]?\d\d(?:[-_.]?\d\d)?|\d\d-(?:{_MONTH})|\d{{10}})(?:[-_.T:]?\d{{1,6}}){{0,6}}"
"""Of logrotate's dateext, log4j's `%d`, Python's handlers: `-20261122`, `.2026-11-22_10`, `.22-Nov`, `-1790000000`."""
_NUMBER = r"\.\d{1,9}"
"""`app.log.1`; `app-2.log` is more often another server's log than this one's past."""
_ENDS = "|".join(re.escape(end) for end in (PACKED, *FOREIGN))


class Rotated(NamedTuple):
    """One file that was the log."""

    modified: int
    """When it was last written, in nanoseconds; of a packed file with whole seconds only, that second's end."""
    order: tuple[int, str]
    """Of files whose times are the same: `.2` is older than `.1`."""
    inode: int
    path: Path


class Opened:
    """One file, open. Of a packed one, offsets and bytes are those of its content."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where it cannot be read."""
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        there = os.fstat(self._fd)
        if not stat.S_ISREG(there.st_mode):
            os.close(self._fd)
            raise OSError(0, "is no plain file")
        self.inode = there.st_ino
        self.packed = path.name.endswith(PACKED)
        self._at = 0
        self._raw = os.fdopen(self._fd, "rb") if self.packed else None
        self._stream = gzip.GzipFile(fileobj=self._raw) if self._raw is not None else None

    def look(self) -> tuple[int, int]:
        """(Bytes in it, when it was last written); of a packed one, the bytes that are read at most."""
        there = os.fstat(self._fd)
        return MAX_UNPACKED if self.packed else there.st_size, _modified(self.path.name, there)

    def reach(self, offset: int) -> bool:
        """Whether `read` can go on there; where a packed file must first be unpacked up to it, a part of that work."""
        if self._stream is None or self._at == offset:
            return True
        if offset < self._at:
            self._stream.seek(0)
            self._at = 0
        end = min(offset, self._at + SKIP)
        while self._at < end:
            if not self._unpack(end - self._at):
                return True  # it ends before
        return self._at == offset

    def read(self, size: int, offset: int) -> bytes:
        """At most so many bytes from there on; none at the end. Raises OSError."""
        if self._stream is None:
            return os.pread(self._fd, size, offset)
        return self._unpack(min(size, MAX_UNPACKED - offset)) if self._at == offset else b""

    def begin(self, size: int) -> bytes:
        """Its first bytes."""
        first = b""
        while len(first) < size and self.reach(len(first)) and (data := self.read(size - len(first), len(first))):
            first += data
        return first

    def begins(self, head: bytes, size: int) -> bool:
        """Whether its first `size` bytes hash to `head`."""
        return not size or hashlib.sha256(self.begin(size)).digest() == head

    def close(self) -> None:
        """Let go of it."""
        if self._stream is None or self._raw is None:
            os.close(self._fd)
        else:
            self._stream.close()
            self._raw.close()

    def _unpack(self, size: int) -> bytes:
        if self._stream is None or size <= 0:
            return b""
        try:
            data = self._stream.read1(min(size, PIECE))
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise OSError(0, "is cut short or damaged") from None
        self._at += len(data)
        return data


def rotated(path: Path, since: int) -> list[Rotated]:
    """The files that were the log, last written at `since` or later, the oldest first."""
    name = re.escape(path.name)
    stem, suffix = re.escape(path.stem), re.escape(path.suffix)
    shape = re.compile(rf"(?:{name}(?:{_NUMBER}|{_DATE})|{stem}{_DATE}{suffix})(?:{_ENDS})?")
    found: dict[str, Rotated] = {}
    for entry in _entries(path):
        if not shape.fullmatch(entry.name) or entry.name == path.name:
            continue
        try:
            there = entry.stat()
        except OSError:
            continue
        modified = _modified(entry.name, there)
        if stat.S_ISREG(there.st_mode) and modified >= since:
            found[entry.name] = Rotated(modified, _order(path, entry.name), there.st_ino, Path(entry.path))
    both = {name for name in found for end in (PACKED, *FOREIGN) if name.removesuffix(end) in found and name.endswith(end)}
    return sorted(one for name, one in found.items() if name not in both)[-SIBLINGS:]


def _order(path: Path, name: str) -> tuple[int, str]:
    number = name.removeprefix(f"{path.name}.").partition(".")[0]
    return (-int(number), "") if number.isdigit() else (0, name)


def with_inode(path: Path, inode: int) -> Path | None:
    """The file of that inode in the log's folder, whatever it is called now."""
    return next((Path(entry.path) for entry in _entries(path) if entry.inode() == inode), None)


def _entries(path: Path) -> Iterator[os.DirEntry[str]]:
    """What is beside the log, and beside the file that it is a link to."""
    for folder in {path.parent, Path(os.path.realpath(path)).parent}:
        try:
            with os.scandir(folder) as entries:
                yield from entries
        except OSError:
            continue


def _modified(name: str, there: os.stat_result) -> int:
    rounded = name.endswith((PACKED, *FOREIGN)) and there.st_mtime_ns % SECOND == 0
    return there.st_mtime_ns + SECOND - 1 if rounded else there.st_mtime_ns
