"""Where the agent's events go: NDJSON on a stream, or the bus."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, BinaryIO

from nigrani.stream.codec import encode_lines
from nigrani.stream.event import Event

if TYPE_CHECKING:
    from nigrani.stream.bus import Publisher

log = logging.getLogger(__name__)

BATCH = 500
"""Events of one record of the bus, at most; so many wait for the next `flush` at most."""
QUIET = 10.0
"""Seconds without a loss after which losing events is over."""


class StreamSink:
    """NDJSON on a binary stream."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, events: list[Event]) -> None:
        """Write one line an event."""
        self._stream.write(encode_lines(events))

    def flush(self) -> None:
        """Let the stream's reader have what was written."""
        self._stream.flush()


class BusSink:
    """Records of the bus. What finds no room there is counted; the log tells when that begins, and when it is over."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._held: list[Event] = []
        self.lost = 0
        """Events for which the bus had no room, or whose disk failed."""
        self._told = 0
        self._failing = False
        self._quiet_until = 0.0

    def write(self, events: list[Event]) -> None:
        """Publish the events in records of 500; the rest waits for more, or for `flush`: each record costs a write."""
        self._held += events
        if len(self._held) >= BATCH:
            whole = len(self._held) - len(self._held) % BATCH
            for start in range(0, whole, BATCH):
                self._publish(self._held[start : start + BATCH])
            del self._held[:whole]

    def holds(self) -> bool:
        """Whether events wait for `flush`."""
        return bool(self._held)

    def flush(self) -> None:
        """Publish what waits. After it every event that was written is on the bus, or counted as lost."""
        if self._held:
            self._publish(self._held)
            self._held = []

    def _publish(self, batch: list[Event]) -> None:
        try:
            self._publisher.publish(encode_lines(batch), len(batch))
        except OSError as error:  # BusFull, or a disk that fails: watching goes on
            self._lose(len(batch), error)
        else:
            self._recover()

    def _lose(self, count: int, error: OSError) -> None:
        self.lost += count
        self._quiet_until = time.monotonic() + QUIET
        if not self._failing:
            log.warning("events are being lost: %s", error)
        self._failing = True

    def _recover(self) -> None:
        """A full disk takes a small record now and then: it is over once none was lost for a while."""
        if self._failing and time.monotonic() >= self._quiet_until:
            log.warning("events are kept again, %d were lost", self.lost - self._told)
            self._told, self._failing = self.lost, False
