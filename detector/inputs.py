"""The event files that a verb was given, one after the other."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from detector.setup import EventFile
from nigrani.service.errors import Problem
from nigrani.stream.event import Event


class Inputs:
    """Files of NDJSON; `-` is standard input. What could not be read is told on standard error."""

    def __init__(self, names: Sequence[str]) -> None:
        """Raises Problem where a file is missing or empty, before any is read."""
        self._names = list(names)
        if self._names.count("-") > 1:
            raise Problem("- is standard input and can be read only once")
        self.total = 0
        self.events = 0
        self.bad = 0
        for name in self._names:
            if name == "-":
                continue
            try:
                found = Path(name).stat()
                if not stat.S_ISFIFO(found.st_mode):  # a pipe has no size, and cannot be opened twice
                    with Path(name).open("rb") as file:
                        file.read(1)
            except OSError as error:
                raise Problem(f"{name}: {error.strerror or error}") from None
            if found.st_size == 0 and stat.S_ISREG(found.st_mode):
                raise Problem(f"{name}: is empty")
            self.total += found.st_size

    def read(self, progress: Callable[[int, int], None] | None = None) -> Iterator[Event]:
        """All events of all files, in order."""
        done = 0
        for name in self._names:
            stream: BinaryIO
            with sys.stdin.buffer if name == "-" else Path(name).open("rb") as stream:
                file = EventFile(stream, name)
                for event in file:
                    self.events += 1
                    if progress is not None and not self.events & 1023:
                        progress(done + file.bytes, self.total)
                    yield event
                done += file.bytes
                self.bad += file.bad
                if report := file.report():
                    sys.stderr.write(f"nigrani: {report}\n")

    def finish(self) -> None:
        """Raise Problem where nothing in the files was an event."""
        if not self.events:
            raise Problem(f"{', '.join(self._names)}: no events")
