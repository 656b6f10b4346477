"""Events of some time back, to know what a rule would have said of them: from files, the bus's spool or its topic."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from detector.inputs import Inputs
from nigrani.service.errors import Problem
from nigrani.service.key import state_folder
from nigrani.stream.codec import decode
from nigrani.stream.event import Event

if TYPE_CHECKING:
    from detector.config import DetectorConfig

Show = Callable[[int, int], None]


class History:
    """Read once, in the order in which events came."""

    def __init__(self, config: DetectorConfig, files: Sequence[str], bus: Path | None, since: float | None) -> None:
        """files: NDJSON, in place of the bus. since: seconds back from now; None for all there is."""
        self.events = 0
        self.before = 0
        """Events older than was asked for."""
        self.bad = 0
        self._config = config
        self._inputs = Inputs(files) if files else None
        self._bus = bus
        self._since = time.time() - since if since else 0.0

    def read(self, show: Show | None = None) -> Iterator[Event]:
        """The events; what is none is counted and told at the end. Raises Problem where nothing was an event."""
        source = self._inputs.read(show) if self._inputs else self._decoded(show)
        for event in source:
            if event.timestamp.timestamp() < self._since:
                self.before += 1
                continue
            self.events += 1
            yield event
        if self.bad:
            sys.stderr.write(f"nigrani: {self.bad} lines on the bus are no events, and were left out\n")
        if not self.events and self.before:
            raise Problem(f"all {self.before} events are older than was asked for: give a longer --since")
        if not self.events:
            raise Problem("there are no events to try it on: name a file, or another bus with --bus")

    def lines(self, show: Show | None = None) -> Iterator[bytes]:
        """The events as they lie on the bus, older ones too, byte for byte."""
        return self._spooled(show) if self._bus or not self._config.kafka.servers else self._past(show)

    def _decoded(self, show: Show | None) -> Iterator[Event]:
        for line in self.lines(show):
            try:
                yield decode(line)
            except ValueError:
                self.bad += 1

    def _spooled(self, show: Show | None) -> Iterator[bytes]:
        from nigrani.stream.bus import Place  # noqa: PLC0415 - only where a spool is read
        from nigrani.stream.layout import existing  # noqa: PLC0415 - as above
        from nigrani.stream.segment import Cursor, segments  # noqa: PLC0415 - as above

        directory = existing(self._bus or self._config.bus.path or state_folder() / "bus")
        oldest = next(iter(segments(directory)), None)
        cursor = Cursor(directory, Place(oldest.offset, oldest.event) if oldest else Place(0, 0))
        try:
            while record := cursor.next():
                if show is not None and not record.offset & 63:
                    show(self.events + self.before, 0)
                yield from record.payload.splitlines()
        finally:
            cursor.close()

    def _past(self, show: Show | None) -> Iterator[bytes]:
        from nigrani.stream.kafka.message import lines_of  # noqa: PLC0415 - kafka-python is loaded only where it is used
        from nigrani.stream.kafka.past import Past  # noqa: PLC0415 - as above

        kafka = self._config.kafka
        past = Past(kafka, kafka.topic)
        for count, (value, headers) in enumerate(past.read(self._since)):
            if show is not None and not count & 1023:
                show(count, past.total)
            try:
                yield from lines_of(value, headers)
            except ValueError:
                self.bad += 1
