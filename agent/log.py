"""A log source: how a format is told by its lines, and how one line becomes a fact."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from agent.capture import Until, forever
from agent.protocol import Fact

MAX_LINE = 65_536
"""A longer line is counted and skipped."""
SAMPLE = 20
"""Lines looked at to tell the format."""


class LogFormat(Protocol):
    """One format of log lines."""

    name: str

    def parse(self, line: bytes) -> Fact:
        """The fact of one line, without its line end. Raises ValueError for a line that is not of this format."""
        ...


class LogFile:
    """One log file, read from its beginning."""

    def __init__(self, path: Path, form: LogFormat) -> None:
        self.path = path
        self.form = form
        self.size = path.stat().st_size
        self.faults: dict[str, int] = {}
        self.place = ""

    def read(self, out: list[tuple[None, Fact]], until: Until = forever) -> Iterator[tuple[int, int]]:
        """Append each line's fact to `out`, yielding (its time in µs, bytes read so far) after it, and while it waits."""
        done = number = 0
        with self.path.open("rb") as file:
            while line := file.readline(MAX_LINE):
                done += len(line)
                number += 1
                if len(line) == MAX_LINE and not line.endswith(b"\n"):
                    done += _skip_line(file)
                    self._fault("long_line", number)
                    continue
                if not line.strip():
                    continue
                try:
                    fact = self.form.parse(line.rstrip(b"\r\n"))
                except ValueError:
                    self._fault("unreadable_line", number)
                    continue
                while fact.when > until():
                    yield fact.when, done
                out.append((None, fact))
                yield fact.when, done

    def _fault(self, name: str, number: int) -> None:
        self.place = self.place or f"line {number:,}"
        self.faults[name] = self.faults.get(name, 0) + 1


def open_log(path: Path) -> LogFile | None:
    """The reader for the file, or None where no known format reads any of its first lines."""
    from agent.logs import FORMATS  # noqa: PLC0415 - they import this module

    with path.open("rb") as file:
        lines = [file.readline(MAX_LINE).rstrip(b"\r\n") for _ in range(SAMPLE)]
    for form in FORMATS:
        if any(_reads(form, line) for line in lines if line):
            return LogFile(path, form)
    return None


def _reads(form: LogFormat, line: bytes) -> bool:
    try:
        form.parse(line)
    except ValueError:
        return False
    return True


def _skip_line(file: BinaryIO) -> int:
    """Read on to the line's end without keeping it; returns the bytes passed over."""
    passed = 0
    while piece := file.readline(MAX_LINE):
        passed += len(piece)
        if piece.endswith(b"\n"):
            break
    return passed
