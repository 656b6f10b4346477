"""Findings from the lines of a file, which may be cut, exchanged or rotated at any time."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from detector.cases.log import MOST, Piece
from detector.cases.ocsf import MAX_FINDING

CHUNK = 4 << 20
"""Bytes read at once; more than the longest line."""
MARK = 64
"""Bytes before the place that tell whether the file is still the same one."""
PACKED = frozenset({".gz", ".bz2", ".xz", ".zst", ".lz4"})
"""How the names of files end that are not read."""
GRACE = 30.0
"""Seconds for which a file that was moved away is watched for more: its writer may have it open yet."""

log = logging.getLogger(__name__)


class _Place(Struct):
    """How far which file was read."""

    inode: int
    offset: int
    mark: str
    """Digest of the bytes just before the offset."""


_decoder = msgspec.json.Decoder(_Place)


class FileLog:
    """NDJSON, as `FileOutbox` appends it."""

    def __init__(self, path: Path, place: str | None, grace: float = GRACE) -> None:
        """place: of an earlier reader; the file it means is looked for under other names too, such as alerts.ndjson.1."""
        self._path = path
        self._grace = grace
        self._fd = -1
        self._offset = 0
        self._mark = ""
        self._still = 0.0
        """Since when a file that was moved away has not grown; 0 while it is the one of the path, or grows."""
        self._resume(place)

    def read(self) -> Piece | None:
        """See `AlertsLog`; a last line without an end waits for it."""
        if self._fd < 0 and not self._open():
            return None
        if not self._is_same():
            log.warning("%s was cut or written anew: it is read from its beginning", self._path)
            self._go(0)
        chunk = os.pread(self._fd, CHUNK, self._offset)
        end = chunk.rfind(b"\n") + 1
        if end:
            return self._piece(chunk[:end])
        if len(chunk) == CHUNK:
            return self._overlong()
        if self._is_left(bool(chunk)):
            return self._leave(chunk)
        return None

    def behind(self) -> int:
        """See `AlertsLog`; counted in what a look takes in, and estimated beyond; a line without its end yet is one."""
        if self._fd < 0:
            return 0
        left = max(os.fstat(self._fd).st_size - self._offset, 0)
        near = os.pread(self._fd, min(left, CHUNK), self._offset)
        lines = max(near.count(b"\n"), bool(left))
        return lines * left // len(near) if near else 0

    def close(self) -> None:
        """See `AlertsLog`."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _rotated(self) -> list[Path]:
        """The log's earlier files, as far as they are not packed."""
        found = sorted(self._path.parent.glob(f"{self._path.name}?*"))
        return [path for path in found if path.suffix not in PACKED]

    def _resume(self, place: str | None) -> None:
        try:
            at = _decoder.decode(place) if place else None
        except ValueError:  # of another kind of log
            at = None
        if at is None:
            return
        for path in (self._path, *self._rotated()):
            with contextlib.suppress(OSError):
                if path.stat().st_ino == at.inode and self._open(path):
                    self._offset, self._mark = at.offset, at.mark
                    if path == self._path or self._is_same():
                        return
                    self.close()
                    self._offset, self._mark = 0, ""
        log.warning("%s: the file that was read last is gone; what came after it was read is not in the cases", self._path)

    def _open(self, path: Path | None = None) -> bool:
        try:
            self._fd = os.open(path or self._path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        self._offset, self._mark, self._still = 0, "", 0.0
        return True

    def _is_same(self) -> bool:
        """Whether what is before the offset is what was read."""
        size = min(MARK, self._offset)
        before = os.pread(self._fd, size, self._offset - size)
        return len(before) == size and (not self._mark or self._mark == _digest(before))

    def _go(self, offset: int) -> None:
        size = min(MARK, offset)
        self._offset = offset
        self._mark = _digest(os.pread(self._fd, size, offset - size)) if offset else ""

    def _piece(self, text: bytes) -> Piece:
        self._still = 0.0
        lines = text.split(b"\n", MOST)
        rest = lines.pop() if len(lines) > MOST else b""
        self._go(self._offset + len(text) - len(rest))
        return self._told([line for line in lines if line.strip()])

    def _overlong(self) -> Piece:
        """A line that is no finding: what there is of it is passed over, and counted as one that is refused."""
        at = self._offset
        while (chunk := os.pread(self._fd, CHUNK, at)) and b"\n" not in chunk:
            at += len(chunk)
        self._go(at + chunk.find(b"\n") + 1)
        return self._told([bytes(MAX_FINDING + 1)])

    def _is_left(self, torn: bool) -> bool:
        """Whether another file has taken the path, and this one has not grown for a while."""
        try:
            gone = self._path.stat().st_ino != os.fstat(self._fd).st_ino
        except FileNotFoundError:
            gone = False  # another will come
        if not gone:
            self._still = 0.0
            return False
        now = time.monotonic()
        self._still = self._still or now
        return now - self._still >= self._grace * (1 + torn)

    def _leave(self, torn: bytes) -> Piece:
        """Go on with the file that came next: an earlier one that nobody has read, or the one that has the path now."""
        left = os.fstat(self._fd)
        self.close()
        later = []
        for path in self._rotated():
            with contextlib.suppress(OSError):
                status = path.stat()
                if status.st_mtime_ns > left.st_mtime_ns and status.st_ino != left.st_ino:
                    later.append((status.st_mtime_ns, path))
        self._open(min(later)[1] if later else None)
        return self._told([torn] if torn.strip() else [])

    def _told(self, findings: list[bytes]) -> Piece:
        inode = os.fstat(self._fd).st_ino if self._fd >= 0 else 0
        return Piece(findings, msgspec.json.encode(_Place(inode, self._offset, self._mark)).decode())


def _digest(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=8).hexdigest()
