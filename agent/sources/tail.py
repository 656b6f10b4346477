"""A file followed by its name, through every way of rotating it.

*Renamed*: the old file is read on until it has been silent for a while, then the next one. *Copied and truncated*: once it
is shorter than what was read, or begins otherwise, what was not read is looked for in the copy, and then the file is read
from its beginning. After a restart reading goes on at the exact byte where it stopped, wherever that file is now, and then
through all files that were the log since, packed by gzip or not, the oldest first; a file is known again by its inode and
a hash of its first bytes, because inodes are used again. What was deleted meanwhile is lost, and counted.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from agent.log import MAX_LINE
from agent.source import LIMIT, Piece, State
from agent.sources.cut import Cutter, cutter
from agent.sources.rotated import FOREIGN, PACKED, Opened, Rotated, rotated, with_inode

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
LONG_AGO = 60_000_000_000
"""Nanoseconds without a write after which nothing more is waited for."""
PAST = 8
"""Files remembered as read."""
LOOK = 1.0
"""Seconds between two looks through the folder for a file that is not there."""
COUNTERS = (
    "bytes",
    "rotations",
    "truncations",
    "lost_ends",
    "lost_bytes",
    "long_lines",
    "unreadable_files",
    "absent",
)


class _Past(NamedTuple):
    """A file that was read."""

    size: int
    head: str
    inode: int


class _Place(NamedTuple):
    """What a state holds."""

    inode: int
    offset: int
    head: str
    """SHA-256 of the first `size` bytes."""
    size: int
    modified: int
    """When the file was last written, as far as was seen: what was written later was not read."""
    skipping: bool
    past: tuple[_Past, ...]

    @classmethod
    def of(cls, state: State) -> _Place:
        """Raises ValueError for what is none."""
        numbers = [state.get(name) for name in ("inode", "offset", "head_size")]
        inode, offset, size, modified = (
            number if isinstance(number, int) else -1 for number in (*numbers, state.get("modified", time.time_ns()))
        )
        if min(inode, offset, size, modified) < 0 or size > HEAD:
            raise ValueError("no place in a file")
        rows = state.get("past")
        past = (_Past(int(row[0]), str(row[1]), int(row[2])) for row in rows) if isinstance(rows, list) else ()
        return cls(inode, offset, str(state.get("head", "")), size, modified, state.get("skipping") is True, tuple(past))


class Tail:
    """One file."""

    _cut: Cutter
    _inode: int
    _first: bytes
    """What the file begins with, as far as it was read and is kept."""
    _offset: int
    """After all that was read."""
    _given: int
    """After all that was given out."""
    _skips: bool
    """Whether that is within a line too long."""
    _size: int
    """Of the file, when last looked at."""
    _silent: float
    """Since when the renamed file is silent; 0 while it is not renamed."""
    _final: bool
    """Whether nobody writes the file any more: a copy, or a packed one."""
    _over: bool
    """Whether the next file is to be opened, once all of this one is given out."""

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
        self.counters = dict.fromkeys(COUNTERS, 0)
        self._framing = framing
        self._clock = clock
        self._file: Opened | None = None
        self._ready: deque[tuple[bytes, int]] = deque()
        """Lines cut and not given out, each with the offset after it."""
        self._modified = time.time_ns()
        self._past: deque[_Past] = deque(maxlen=PAST)
        self._again: _Place | None = None
        """Where to go on, while the file there cannot be read."""
        self._looked = clock() - LOOK
        self._troubled = self._told = False
        self._begin()
        try:
            self._start(state, beginning=beginning)
        except OSError as error:
            self._trouble(error)

    def fileno(self) -> int:
        """A plain file is never waited for."""
        return -1

    def read(self, timeout: float = 0.0, limit: int = LIMIT) -> list[Piece]:
        """See `Source`. Where nothing has come, look again after `timeout`."""
        lines = self._turn(limit)
        if not lines and timeout > 0:
            time.sleep(timeout)
            lines = self._turn(limit)
        return [Piece(line, None, str(self.path)) for line in lines]

    def state(self) -> State:
        """Which file, the offset of the first record not given out, and what the file begins with, as a hash."""
        place = self._again or self._place()
        return {
            "inode": place.inode,
            "offset": place.offset,
            "head": place.head,
            "head_size": place.size,
            "modified": self._modified,
            "skipping": place.skipping,
            "past": [list(one) for one in self._past],
        }

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _turn(self, limit: int) -> list[bytes]:
        try:
            if not self._ready:
                self._fill(limit)
        except OSError as error:
            self._trouble(error)
            self._leave()
        given = [self._ready.popleft() for _ in range(min(limit, len(self._ready)))]
        if self._ready:
            self._given, self._skips = given[-1][1], False
        elif self._again is None:
            self._given = self._offset - self._cut.held
            self._skips = self._cut.skipping and not self._cut.held
        return [line for line, _ in given]

    def _fill(self, limit: int) -> None:
        """Read on, in this file or the next."""
        if self._over:
            self._finish()
        if self._file is None:
            self._next()
        file = self._steady(self._file) if self._file is not None else None
        if file is None or not file.reach(self._offset):
            return
        done = 0
        while done < TURN and len(self._ready) < limit and (data := file.read(PIECE, self._offset)):
            self._feed(data)
            done += len(data)
        if done:
            self._silent = self._silent and self._clock()
        elif self._left():
            self._ready += [(line, self._offset) for line in self._cut.rest()]
            self._over = True

    def _steady(self, file: Opened) -> Opened | None:
        """The file to read on in: this one, unless it was cut short."""
        size, modified = file.look()
        if not self._offset and not self._final and modified > self._modified and self._newer():
            self.close()  # what it had is in a copy, or it is renamed itself
            self._begin()
            self._next()
            return self._file
        # A rewrite to the very same size shows once it grows.
        if size < self._offset or (size > self._offset and not file.packed and file.begin(len(self._first)) != self._first):
            file = self._truncated(file)
            size, modified = file.look()
        self._modified = max(self._modified, min(modified, time.time_ns()))
        self._size = size
        return file

    def _feed(self, data: bytes) -> None:
        known = len(self._first) - self._offset
        if 0 <= known < len(data) and len(self._first) < HEAD:
            self._first += data[known : known + HEAD - len(self._first)]
        skipped = self._cut.skipped
        lines = self._cut.feed(data)
        self._ready += [(line, self._offset + end) for line, end in zip(lines, self._cut.ends, strict=True)]
        self._offset += len(data)
        self.counters["bytes"] += len(data)
        self.counters["long_lines"] += self._cut.skipped - skipped

    def _truncated(self, file: Opened) -> Opened:
        """The file is not the one it was: go on in the copy that was made of it, or else begin again; returns which."""
        self.counters["truncations"] += 1
        copy = self._search(self._place()._replace(offset=self._offset))
        if copy is not None:
            file.close()
            self._file, self._inode, self._final = copy, copy.inode, True
            return copy
        self.counters["lost_bytes"] += max(self._size - self._offset, 0) + self._cut.held
        if not self._told:
            log.warning("%s was cut short and no copy is beside it: lines may be lost; let it be renamed instead", self.path)
        self._told = True
        self._begin()
        self._inode = file.inode
        return file

    def _left(self) -> bool:
        """Whether the file's writer has left it for good, everything in it being read."""
        if self._final:
            return True
        try:
            there = self.path.stat().st_ino
        except FileNotFoundError:  # moved away, and no new one yet: the writer may still hold it
            there = 0 if self._silent or (self._due() and self._newer()) else self._inode
        if there == self._inode:
            self._silent = 0.0
            return False
        now = self._clock()
        self._silent = self._silent or now
        if now - self._silent < GRACE and time.time_ns() - self._modified < LONG_AGO and not self._newer():
            return False  # its writer may not have noticed, unless it left the next file as well
        self.counters["rotations"] += 1
        return True

    def _newer(self) -> bool:
        """Whether a file that was the log was written since this one was looked at."""
        return any(one.inode != self._inode for one in self._unread())

    def _unread(self) -> Iterator[Rotated]:
        """The files that were the log, and were written since the last one was read."""
        present, read = _inode(self.path), {past.inode for past in self._past}
        for one in rotated(self.path, self._modified):
            again = one.inode in read and one.modified == self._modified  # else it may have been written anew
            if one.inode != present and not again and not self._is_past(one.path):
                yield one

    def _due(self) -> bool:
        now = self._clock()
        if now - self._looked < LOOK:
            return False
        self._looked = now
        return True

    def _start(self, state: State | None, *, beginning: bool) -> None:
        if state is None:
            self._open(self.path, end=not beginning)
            return
        try:
            place = _Place.of(state)
        except (ValueError, TypeError, LookupError):
            self._open(self.path)
            return
        self._past.extend(place.past)
        self._modified = place.modified
        if place.offset or place.skipping:
            self._again = place
        else:  # nothing was read of it: it is as good as any, unless it is renamed and has not changed since
            moved = (one for one in rotated(self.path, 0) if one.inode == place.inode and one.modified < place.modified)
            if (renamed := next(moved, None)) is not None:
                self._open(renamed.path)
        self._next()

    def _next(self) -> None:
        """Go on where that could not be done before; else in what was the log since; else in the file of its name."""
        if self._again is not None:
            self._resume(self._again)
        if self._file is None and (self.path.exists() or self._due()):
            self._open_rotated()
        if self._file is None:
            self._open(self.path)

    def _resume(self, place: _Place) -> None:
        """Go on at that place, in the file of our name or wherever it is now. Raises OSError, to be tried again."""
        file = self._search(place)
        self._again = None
        self._begin()
        if file is None:
            self.counters["lost_ends"] += 1
            log.warning("%s: the file read before is gone; its end may be lost", self.path)
            return
        self._file, self._inode, self._final = file, file.inode, file.inode != place.inode
        self._offset = self._given = place.offset
        self._first = file.begin(place.size)
        self._skips = place.skipping
        self._cut = cutter(self._framing, MAX_LINE, skipping=place.skipping)

    def _search(self, place: _Place) -> Opened | None:
        """The file of that place; where enough of it is known, also a copy. Raises OSError."""
        for path in (self.path, with_inode(self.path, place.inode)):
            file = _opened(path)
            if file is None:
                continue
            whole = file.inode == place.inode and file.look()[0] >= place.offset
            if whole and _hash(file.begin(place.size)) == place.head:
                return file
            file.close()
        # A copy that is newer than the last look may begin with little; an older one must be known well.
        for one in reversed(rotated(self.path, 0 if place.size >= COPY else place.modified)):
            try:
                file = Opened(one.path)
                if _hash(file.begin(place.size)) == place.head:
                    return file
                file.close()
            except OSError:
                continue
        return None

    def _open_rotated(self) -> None:
        """Open the oldest that is unread."""
        for one in self._unread():
            self._modified = one.modified
            if not one.path.name.endswith(FOREIGN) and self._open(one.path):
                return
            self._past.append(_Past(0, "", one.inode))
            self.counters["lost_ends"] += 1
            log.warning("%s cannot be read: what is in it is lost; let logrotate use gzip, or delaycompress", one.path)

    def _is_past(self, path: Path) -> bool:
        """Whether it was read already, under another name or unpacked; or is a copy of what is read next."""
        first, present = _beginning(path), _beginning(self.path)
        if len(first) >= COPY and present.startswith(first):
            return True
        whole = len(first) if path.name.endswith(PACKED) else HEAD
        return any(_hash(first[: past.size]) == past.head for past in self._past if past.size in {HEAD, whole})

    def _open(self, path: Path, *, end: bool = False) -> bool:
        """Open that file, if it is there. end: pass over what is in it."""
        try:
            file = _opened(path)
        except OSError as error:
            self._trouble(error)
            return False
        if path == self.path:
            self.counters["absent"] = int(file is None)
        if file is None:
            return False
        self._troubled = False
        self._begin()
        self._file, self._inode, self._final = file, file.inode, file.packed
        if end:
            self._offset = self._given = file.look()[0]
            self._first = file.begin(min(self._offset, HEAD))
        return True

    def _finish(self) -> None:
        """Done with this file."""
        self._past.append(_Past(len(self._first), _hash(self._first), self._inode))
        self.close()
        self._begin()

    def _begin(self) -> None:
        """At the beginning of a file."""
        self._cut = cutter(self._framing, MAX_LINE)
        self._inode = self._offset = self._given = self._size = 0
        self._first = b""
        self._silent = 0.0
        self._over = self._final = self._skips = False

    def _place(self) -> _Place:
        """After the last record given out."""
        return _Place(self._inode, self._given, _hash(self._first), len(self._first), self._modified, self._skips, ())

    def _leave(self) -> None:
        """After a fault: what is packed is over, what is not is tried again at the same place."""
        if self._file is not None and self._final:
            self.counters["lost_ends"] += 1
            self._over = True
        elif self._file is not None:
            self._ready.clear()
            self._again = self._place()
            self.close()

    def _trouble(self, error: OSError) -> None:
        if not self._troubled:
            self.counters["unreadable_files"] += 1
            log.warning("%s: %s; let the agent's user read it (group adm, or an ACL)", self.path, error.strerror or error)
        self._troubled = True


def _opened(path: Path | None) -> Opened | None:
    """The open file, or None where there is none. Raises OSError where it cannot be read."""
    try:
        return Opened(path) if path is not None else None
    except FileNotFoundError:
        return None


def _beginning(path: Path) -> bytes:
    """A file's first bytes, where they can be read."""
    try:
        file = Opened(path)
    except OSError:
        return b""
    try:
        return file.begin(HEAD)
    except OSError:
        return b""
    finally:
        file.close()


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _hash(first: bytes) -> str:
    return hashlib.sha256(first).hexdigest()
