"""The journal of this host, as `journalctl --follow --output=json` prints it, from the cursor where reading stopped.

It gives what many servers leave out of their lines: the time, to the microsecond. A child process reads it, so that no
library of systemd's is loaded; the agent's user must be in the group `systemd-journal`. When the child ends it is started
again, after a while that grows. Format: systemd `docs/JOURNAL_EXPORT_FORMATS.md`.
"""

from __future__ import annotations

import logging
import os
import re
import select
import subprocess
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from agent.log import MAX_LINE
from agent.source import LIMIT, Piece, State
from agent.sources.cut import Lines
from agent.sources.settings import Journal
from nigrani.service.errors import Problem

log = logging.getLogger(__name__)

MAX_ENTRY = 1 << 20
"""An entry that is not printable is told as a list of numbers, several bytes a byte."""
PIECE = 65_536
TURN = 262_144
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds before the child is started again."""

_CURSOR = re.compile(r"[A-Za-z0-9=;:_-]{1,512}")


class _Entry(msgspec.Struct):
    cursor: str = msgspec.field(name="__CURSOR", default="")
    time: str = msgspec.field(name="__REALTIME_TIMESTAMP", default="")
    message: str | list[int | str] | None = msgspec.field(name="MESSAGE", default=None)
    unit: str | list[int | str] | None = msgspec.field(name="_SYSTEMD_UNIT", default=None)


class _Told(NamedTuple):
    """An entry that was read, and what is told of it."""

    cursor: str
    second: int
    piece: Piece | None


_decode = msgspec.json.Decoder(_Entry).decode


class JournalReader:
    """The entries of some units."""

    def __init__(self, settings: Journal, state: State | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """state: of an earlier reader; without it, what is in the journal already is not read. Raises Problem."""
        self.counters = dict.fromkeys(("entries", "restarts", "lost_cursors", "long_lines", "broken_entries"), 0)
        self._settings = settings
        self._clock = clock
        known = state or {}
        cursor, second = known.get("cursor", ""), known.get("second")
        self._cursor = cursor if isinstance(cursor, str) and _CURSOR.fullmatch(cursor) else ""
        self._second = second if isinstance(second, int) and second > 0 else int(time.time())
        self._cut = Lines(MAX_ENTRY)
        self._entries: deque[_Told] = deque()
        """Read and not given out, of one piece at most."""
        self._wait = FIRST_WAIT
        self._next = 0.0
        self._heard = False
        self._child: subprocess.Popen[bytes] | None = None
        self._start()

    def fileno(self) -> int:
        """Readable when entries have come; -1 while no child runs."""
        return self._child.stdout.fileno() if self._child and self._child.stdout else -1

    def read(self, timeout: float = 0.0, limit: int = LIMIT) -> list[Piece]:
        """See `Source`."""
        if len(self._entries) < limit and (self._child is not None or self._again(timeout)):
            self._take(0.0 if self._entries else timeout, limit)
        given = [self._entries.popleft() for _ in range(min(limit, len(self._entries)))]
        for entry in given:
            self._cursor, self._second = entry.cursor or self._cursor, entry.second or self._second
        return [entry.piece for entry in given if entry.piece is not None]

    def state(self) -> State:
        """The cursor of the last entry given out, and its second, for a journal that does not know the cursor any more."""
        return {"cursor": self._cursor, "second": self._second}

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()

    def command(self) -> list[str]:
        """What is run."""
        units = [f"--unit={unit}" for unit in self._settings.units]
        place = f"--after-cursor={self._cursor}" if self._cursor else f"--since=@{self._second}"
        fields = "--output-fields=MESSAGE,_SYSTEMD_UNIT"
        return [*self._settings.command, "--follow", "--output=json", "--all", "--quiet", "--no-tail", fields, place, *units]

    def _start(self) -> None:
        command = self.command()
        try:
            self._child = subprocess.Popen(  # noqa: S603 - a fixed program; a cursor and units cannot be options
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as error:
            raise Problem(
                f"{command[0]}: {error.strerror or error}; the journal is systemd's: install it, or name log files instead"
            ) from None
        self._cut = Lines(MAX_ENTRY)
        self._heard = False

    def _again(self, timeout: float) -> bool:
        """Start the child again, where it is time to."""
        if self._entries:
            return False  # it goes on after the last one given out
        if self._clock() < self._next:
            time.sleep(min(timeout, max(self._next - self._clock(), 0.0)))
            return False
        self.counters["restarts"] += 1
        try:
            self._start()
        except Problem as problem:
            self._later(str(problem))
            return False
        return True

    def _take(self, timeout: float, limit: int) -> None:
        """Entries that have come."""
        done = 0
        while done < TURN and len(self._entries) < limit and self._ready(0.0 if done else timeout):
            data = os.read(self.fileno(), PIECE)
            if not data:
                self._ended()
                break
            done += len(data)
            self._cut_entries(data)

    def _ready(self, timeout: float) -> bool:
        fd = self.fileno()
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(int(timeout * 1000)))

    def _ended(self) -> None:
        """Say why, and try again later; without the cursor where the journal does not know it any more."""
        child, self._child = self._child, None
        if child is None:
            return
        _, told = child.communicate()
        reason = told[:4096].decode("utf-8", "replace").strip().rpartition("\n")[2] or f"exit code {child.returncode}"
        if self._cursor and not self._heard and "cursor" in reason:
            self._cursor = ""
            self.counters["lost_cursors"] += 1
        self._later(f"{self._settings.command[0]} ended: {reason}")

    def _later(self, reason: str) -> None:
        self._wait = FIRST_WAIT if self._heard else min(self._wait * 2, LONGEST_WAIT)
        self._next = self._clock() + self._wait
        self._heard = False
        log.warning("%s; it is started again in %.0f s", reason, self._wait)

    def _cut_entries(self, data: bytes) -> None:
        skipped = self._cut.skipped
        for line in self._cut.feed(data):
            try:
                entry = self._entry(line)
            except (ValueError, RecursionError):
                self.counters["broken_entries"] += 1
                continue
            self._entries.append(entry)
        self.counters["long_lines"] += self._cut.skipped - skipped

    def _entry(self, line: bytes) -> _Told:
        entry = _decode(line)
        message, unit = _bytes(entry.message), _bytes(entry.unit)
        when = int(entry.time) if entry.time.isascii() and entry.time.isdigit() and len(entry.time) < 17 else None
        self.counters["entries"] += 1
        self._heard = True
        piece = Piece(message, when, unit.decode("utf-8", "replace")[:256])
        if len(message) > MAX_LINE:
            self.counters["long_lines"] += 1
        of_use = len(message) <= MAX_LINE and message.strip()
        cursor = entry.cursor if _CURSOR.fullmatch(entry.cursor) else ""
        return _Told(cursor, (when or 0) // 1_000_000, piece if of_use else None)


def _bytes(value: str | list[int | str] | None) -> bytes:
    """A field's value: text, numbers where it is not printable, or several values, of which the first is meant."""
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    first = value[0] if value else b""
    if isinstance(first, str):
        return first.encode("utf-8", "surrogatepass")
    return bytes(part for part in value if isinstance(part, int))
