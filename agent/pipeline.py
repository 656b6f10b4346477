"""From the meter and the log parsers through privacy to where events go."""

from __future__ import annotations

from collections import Counter
from typing import Any, Protocol

from agent.flow import FlowRecord
from agent.meter import Meter
from agent.privacy import Privacy
from agent.protocols import identify
from nigrani.stream.event import Event
from nigrani.stream.events import DATASETS

ALL = 1 << 40


class Sink(Protocol):
    """Where events go."""

    def write(self, events: list[Event]) -> None:
        """Take these events, in order; some may wait until `flush`."""
        ...

    def flush(self) -> None:
        """Pass on what waits."""
        ...


class Pipeline:
    """One agent's way from raw records to events."""

    def __init__(self, privacy: Privacy, sink: Sink, capacity: int = 65_536, conversations: int = 16_384) -> None:
        self.meter = Meter(identify, capacity, conversations)
        self.privacy = privacy
        self.sink = sink
        self.events = 0
        self.kinds = Counter(dict.fromkeys(DATASETS.values(), 0))
        """Events of each dataset; every one is there from the start, for metrics are read by another thread."""

    def pump(self, most: int = ALL) -> bool:
        """Send on what the meter has put out, so many events at most; whether some of it waits still."""
        raw = self.meter.drain(most)
        if raw:
            self.send(raw)
        return self.meter.waiting() > 0

    def send(self, raw: list[Any]) -> None:
        """Send raw records on, in order, as events."""
        flow = self.privacy.flow
        fact = self.privacy.fact
        events = [flow(item) if isinstance(item, FlowRecord) else fact(*item) for item in raw]
        self.events += len(events)
        self.kinds.update(map(type, events))
        self.sink.write(events)

    def close(self) -> None:
        """End every flow and send what is left."""
        self.meter.close()
        self.pump()
        self.sink.flush()
