"""From the meter and the log parsers through privacy to where events go."""

from __future__ import annotations

from collections import Counter
from typing import Any, Protocol

from agent.flow import FlowRecord
from agent.meter import Meter
from agent.privacy import Privacy
from agent.protocols import identify
from nigrani.stream.event import Event


class Sink(Protocol):
    """Where events go."""

    def write(self, events: list[Event]) -> None:
        """Take these events, in order."""
        ...


class Pipeline:
    """One agent's way from raw records to events."""

    def __init__(self, privacy: Privacy, sink: Sink, capacity: int = 65_536, conversations: int = 16_384) -> None:
        self.meter = Meter(identify, capacity, conversations)
        self.privacy = privacy
        self.sink = sink
        self.events = 0
        self.datasets: Counter[str] = Counter()

    def pump(self) -> None:
        """Send on what the meter has put out."""
        raw = self.meter.drain()
        if raw:
            self.send(raw)

    def send(self, raw: list[Any]) -> None:
        """Send raw records on, in order, as events."""
        flow = self.privacy.flow
        fact = self.privacy.fact
        events = [flow(item) if isinstance(item, FlowRecord) else fact(*item) for item in raw]
        self.events += len(events)
        self.sink.write(events)

    def close(self) -> None:
        """End every flow and send what is left."""
        self.meter.close()
        self.pump()
