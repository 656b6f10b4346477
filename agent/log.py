"""A log source: how a format is told by its lines, and how one line becomes a fact."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import msgspec

from agent.capture import Until, forever
from agent.protocol import Fact
from agent.sources.cut import cutter

MAX_LINE = 65_536
"""A longer line is counted and skipped."""
SAMPLE = 200
"""Lines looked at to tell the format: a server may say much of itself before the first request."""
PIECE = 65_536
"""Bytes read at a time."""
MAX_PLACE = 1 << 24
"""Bytes looked through to say in which line the first fault is."""


Line = TypeVar("Line")


def json_line(kind: type[Line]) -> Callable[[bytes], Line]:
    """Return what reads a line of JSON as that structure, and raises ValueError for any other."""
    decode = msgspec.json.Decoder(kind).decode

    def read(line: bytes) -> Line:
        try:
            return decode(line)
        except RecursionError:
            raise ValueError("nested too deeply") from None

    return read


class LogFormat(Protocol):
    """One format of log lines, as one file or stream has them: it may remember what earlier lines said."""

    name: str
    framing: str
    """`lines`, or `objects`: JSON objects one after another without line ends."""

    def parse(self, line: bytes, arrival: int = 0, /) -> Fact | None:
        """The fact of one line, without its line end; None where it is of this format and tells nothing of use.

        arrival: microseconds since the epoch near which the line was written (0: now), for what its own time leaves out.
        Raises ValueError for a line that is not of this format, whatever its bytes.
        """
        ...


@runtime_checkable
class Remembering(Protocol):
    """A format that remembers what earlier lines said, so that a restart must not make it forget."""

    def memory(self) -> object:
        """What it remembers; JSON can hold it."""
        ...

    def recall(self, memory: object, /) -> None:
        """Remember what `memory` told; anything else is passed over."""
        ...


class LogFile:
    """One log file, read from its beginning."""

    def __init__(self, path: Path, form: LogFormat) -> None:
        self.path = path
        self.form = form
        stat = path.stat()
        self.size = stat.st_size
        self.faults: dict[str, int] = {}
        self.place = ""
        self._changed = stat.st_mtime_ns // 1000
        """Where its lines have no year, it is the one they end in."""

    def read(self, out: list[tuple[None, Fact]], until: Until = forever) -> Iterator[tuple[int, int]]:
        """Append each line's fact to `out`, yielding (its time in µs, bytes read so far) after it, and while it waits."""
        for done, line in self._lines():
            if line is None:
                self._fault("long_line", done)
                continue
            try:
                fact = self.form.parse(line, self._changed)
            except ValueError:
                self._fault("unreadable_line", done)
                continue
            if fact is None:
                continue
            while fact.when > until():
                yield fact.when, done
            out.append((None, fact))
            yield fact.when, done

    def _lines(self) -> Iterator[tuple[int, bytes | None]]:
        """(Bytes up to its end, the line or None for one too long)."""
        cut = cutter(self.form.framing, MAX_LINE)
        done = skipped = 0
        with self.path.open("rb") as file:
            while data := file.read(PIECE):
                lines = cut.feed(data)
                yield from ((done + end, line) for line, end in zip(lines, cut.ends, strict=True))
                done += len(data)
                yield from ((done, None) for _ in range(cut.skipped - skipped))
                skipped = cut.skipped
        yield from ((done, line) for line in cut.rest())

    def _fault(self, name: str, done: int) -> None:
        if not self.place:
            with self.path.open("rb") as file:
                ends = file.read(min(done, MAX_PLACE)).count(b"\n")
            self.place = f"line {max(ends, 1):,}"
        self.faults[name] = self.faults.get(name, 0) + 1


def open_log(path: Path) -> LogFile | None:
    """The reader for the file, or None where no known format finds a fact in any of its first lines."""
    from agent.logs import FORMATS  # noqa: PLC0415 - they import this module

    with path.open("rb") as file:
        data = file.read(SAMPLE * 1024)
    for make in FORMATS.values():
        form = make(None)
        cut = cutter(form.framing, MAX_LINE)
        if any(_tells(form, line) for line in [*cut.feed(data), *cut.rest()][:SAMPLE]):
            return LogFile(path, make(None))
    return None


def _tells(form: LogFormat, line: bytes) -> bool:
    try:
        return form.parse(line) is not None
    except ValueError:
        return False
