"""Where the agent's events go: NDJSON on a stream, or the bus."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, BinaryIO

from nigrani.stream.bus import BusFull
from nigrani.stream.codec import encode_lines
from nigrani.stream.event import Event

if TYPE_CHECKING:
    from nigrani.stream.bus import Publisher

log = logging.getLogger(__name__)

BATCH = 500
"""Events of one record of the bus, at most."""


class StreamSink:
    """NDJSON on a binary stream."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, events: list[Event]) -> None:
        """Write one line an event."""
        self._stream.write(encode_lines(events))


class BusSink:
    """Records of the bus."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self.lost = 0
        """Events for which the bus had no room."""

    def write(self, events: list[Event]) -> None:
        """Publish the events in records of at most 500."""
        for start in range(0, len(events), BATCH):
            batch = events[start : start + BATCH]
            try:
                self._publisher.publish(encode_lines(batch), len(batch))
            except BusFull as error:
                if not self.lost:
                    log.warning("events are being lost: %s", error)
                self.lost += len(batch)
