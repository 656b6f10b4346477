"""What a running agent says of itself: its version and age as metrics, and a line a minute for `systemctl status`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Protocol

from nigrani import __version__
from nigrani.service.exposition import Family

MINUTE = 60.0


class Counting(Protocol):
    """What has the agent's counters."""

    def counters(self) -> dict[str, int]:
        """All of them, with `packets` and `events`."""

    def datasets(self) -> dict[str, int]:
        """Dataset → events of it."""


class Standing:
    """An agent since its start."""

    def __init__(self, service: Counting, trouble: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        """trouble: what keeps events from where they should go, in a sentence; empty where nothing does."""
        self._service = service
        self._trouble = trouble
        self._clock = clock
        self._started = time.time()
        self._at = clock()
        self._counts: dict[str, int] = {}

    def collect(self) -> Iterator[Family]:
        """As metrics."""
        info = Family("gauge", "nigrani_agent_info", "The agent, with its version.")
        info.add(1.0, version=__version__)
        yield info
        text = "When the agent started, in seconds since the epoch."
        yield Family("gauge", "nigrani_agent_start_time_seconds", text, self._started)
        events = Family("counter", "nigrani_agent_dataset_events", "Events since the agent's start, by their dataset.")
        for dataset, count in self._service.datasets().items():
            events.add(count, dataset=dataset)
        yield events

    def due(self) -> bool:
        """Whether a minute has passed since the last line."""
        return self._clock() - self._at >= MINUTE

    def line(self) -> str:
        """What happened since the last one."""
        now, counts = self._clock(), self._service.counters()
        seconds = max(now - self._at, 0.001)
        since = {name: count - self._counts.get(name, 0) for name, count in counts.items()}
        parts = [f"{since['packets'] / seconds:,.0f} packets/s, {since['events'] / seconds:,.1f} events/s"]
        for name, words in (("kernel_dropped_packets", "packets dropped"), ("lost_events", "events lost")):
            if since.get(name):
                parts.append(f"{since[name]:,} {words} in {seconds:,.0f} s")
        if trouble := self._trouble():
            parts.append(trouble)
        self._at, self._counts = now, counts
        return "; ".join(parts)
