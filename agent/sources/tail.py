"""A file followed by its name, through every way of rotating it.

*Renamed*: the old file is read on until it has been silent for a while, then the new one. *Copied and truncated*: the
file is read from its beginning again once it is shorter than what was read, or begins otherwise. After a restart reading
goes on at the exact byte where it stopped, in the renamed file first; a file is known again by inode and by a hash of its
first bytes, because inodes are used again. What was compressed or deleted meanwhile is lost, and counted.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from agent.log import MAX_LINE
from agent.source import Piece, State
from agent.sources.cut import cutter

log = logging.getLogger(__name__)

PIECE = 65_536
TURN = 262_144
"""Bytes read in one turn at most, so that other sources and packets are not kept waiting."""
HEAD = 1024
"""First bytes that a file is known again by."""
COPY = 64
"""First bytes that are enough to know a copy by, which has another inode."""
GRACE = 5.0
"""Seconds of silence after which a renamed file is done with: writers learn of a rotation late."""
SIBLINGS = 256
"""Names looked at for a file that was renamed while nobody looked."""


class Tail:
    """One file."""

    def __init__(
        self,
        path: Path,
        framing: str = "lines",
        state: State | None = None,
        *,
        beginning: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """state: of an earlier `Tail` on this path. beginning: without it, whether what is there already is read."""
        self.path = path
        self.counters = dict.fromkeys(
            ("bytes", "rotations", "truncations", "lost_ends", "long_lines", "unreadable_files", "absent"), 0
        )
        self._framing = framing
        self._clock = clock
        self._fd = -1
        self._inode = self._offset = 0
        self._head = b""
        self._head_size = 0
        self._cut = cutter(framing, MAX_LINE)
        self._rotated = 0.0
        self._troubled = False
        if state is None or not self._resume(state):
            self._open(end=state is None and not beginning)

    def fileno(self) -> int:
        """A plain file is never waited for."""
        return -1

    def read(self, timeout: float = 0.0) -> list[Piece]:
        """See `Source`. Where nothing has come, look again after `timeout`."""
        pieces = self._turn()
        if not pieces and timeout > 0:
            time.sleep(timeout)
            pieces = self._turn()
        return pieces

    def state(self) -> State:
        """Inode, offset of the first record not given out, and what the file begins with, as a hash."""
        return {
            "inode": self._inode,
            "offset": self._offset - self._cut.held,
            "head": self._head.hex(),
            "head_size": self._head_size,
            "skipping": self._cut.skipping and not self._cut.held,
        }

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _turn(self) -> list[Piece]:
        if self._fd < 0:
            self._open()
        if self._fd < 0:
            return []
        lines: list[bytes] = []
        done = 0
        try:
            self._look_for_truncation()
            while done < TURN and (data := os.pread(self._fd, min(PIECE, TURN - done), self._offset)):
                lines += self._feed(data)
                done += len(data)
            if not done:
                lines += self._look_for_rotation()
            elif self._rotated:
                self._rotated = self._clock()
        except OSError as error:
            self._trouble(error)
            self.close()
        return [Piece(line, None, str(self.path)) for line in lines]

    def _feed(self, data: bytes) -> list[bytes]:
        if self._offset < HEAD and self._head_size == self._offset:
            self._know(self._offset + len(data))
        skipped = self._cut.skipped
        lines = self._cut.feed(data)
        self._offset += len(data)
        self.counters["bytes"] += len(data)
        self.counters["long_lines"] += self._cut.skipped - skipped
        return lines

    def _know(self, size: int) -> None:
        """Take the file's first bytes, up to `size`, as what it is known by."""
        first = os.pread(self._fd, min(size, HEAD), 0)
        self._head, self._head_size = hashlib.sha256(first).digest(), len(first)

    def _look_for_truncation(self) -> None:
        """Begin again where the file is not the one it was."""
        size = os.fstat(self._fd).st_size
        if size == self._offset and self._head_size:
            return  # nothing new; a rewrite to the very same size shows once it grows
        if size < self._offset or not _begins(self._fd, self._head, self._head_size):
            self.counters["truncations"] += 1
            self._restart()

    def _look_for_rotation(self) -> list[bytes]:
        """The last line of a file that its writer has left, once that is sure; then the next file is opened."""
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return []  # moved away, and no new one yet: the writer still holds it
        if there.st_ino == self._inode:
            self._rotated = 0.0
            return []
        now = self._clock()
        self._rotated = self._rotated or now
        if now - self._rotated < GRACE:
            return []
        self.counters["rotations"] += 1
        lines = self._cut.rest()
        self.close()
        self._open()
        return lines

    def _open(self, *, end: bool = False) -> None:
        """Open the file of that name, if there is one. end: pass over what is in it."""
        fd = self._try(self.path)
        if fd < 0:
            return
        self._fd = fd
        self._inode = os.fstat(fd).st_ino
        self._restart()
        if end:
            self._offset = os.fstat(fd).st_size
            self._know(self._offset)

    def _restart(self) -> None:
        self._cut = cutter(self._framing, MAX_LINE)
        self._offset = self._head_size = 0
        self._head = b""
        self._rotated = 0.0

    def _resume(self, state: State) -> bool:
        """Go on in the file of that state: the one of our name, or a renamed one beside it."""
        try:
            inode, offset = _number(state, "inode"), _number(state, "offset")
            size, head = _number(state, "head_size"), bytes.fromhex(str(state.get("head", "")))
        except ValueError:
            return False
        siblings = [path for path in self._siblings() if path != self.path]
        moved = ((path, True) for path in (self.path, *siblings))
        copied = ((path, False) for path in siblings if size >= COPY)
        for path, same in (*moved, *copied):
            fd = self._try(path)
            if fd < 0:
                continue
            there = os.fstat(fd)
            known = there.st_ino == inode or not same
            if known and there.st_size >= offset and size <= HEAD and _begins(fd, head, size):
                self._fd, self._inode, self._offset = fd, there.st_ino, offset
                self._head, self._head_size = head, size
                self._cut = cutter(self._framing, MAX_LINE, skipping=state.get("skipping") is True)
                return True
            os.close(fd)
        self.counters["lost_ends"] += 1
        log.warning("%s: the file read before is gone (compressed or deleted); its end may be lost", self.path)
        return False

    def _siblings(self) -> list[Path]:
        try:
            found = [entry for entry in self.path.parent.iterdir() if entry.name.startswith(self.path.stem)]
        except OSError:
            return []
        return sorted(found)[:SIBLINGS]

    def _try(self, path: Path) -> int:
        """The open file, or -1 where there is none that can be read."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            if path == self.path:
                self.counters["absent"] = 1
            return -1
        except OSError as error:
            self._trouble(error)
            return -1
        if stat.S_ISREG(os.fstat(fd).st_mode):
            self._troubled = False
            self.counters["absent"] = 0
            return fd
        os.close(fd)
        self._trouble(OSError(0, "is no plain file"))
        return -1

    def _trouble(self, error: OSError) -> None:
        if not self._troubled:
            self.counters["unreadable_files"] += 1
            log.warning("%s: %s; let the agent's user read it (group adm, or an ACL)", self.path, error.strerror or error)
        self._troubled = True


def _begins(fd: int, head: bytes, size: int) -> bool:
    """Whether the first `size` bytes of the file hash to `head`."""
    return not size or hashlib.sha256(os.pread(fd, size, 0)).digest() == head


def _number(state: State, name: str) -> int:
    value = state.get(name)
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} is no number")
    return value
