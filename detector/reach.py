"""How far the detector has come: the newest event of each dataset, and how long events take until they are judged."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from detector.bins import Bins
from nigrani.stream.event import Event
from nigrani.stream.events import DATASETS

DELAYS = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
"""Seconds. A flow record is of a whole minute, and most other events of a moment."""
TURNS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds for one delivery of the bus."""
LONGEST = 86_400.0
"""Seconds; a longer delay counts as this one, so that one wrong clock does not make the sum of all meaningless."""


class Reach(Collector):
    """All partitions together."""

    def __init__(self) -> None:
        self.delays = Bins(DELAYS)
        self.turns = Bins(TURNS)
        self.last: dict[type, Event] = {}
        """The last event of each dataset in the delivery under way: to look at each event would cost a twentieth."""
        self._newest: dict[type, float] = dict.fromkeys(DATASETS.values(), 0.0)

    def settle(self, now: float, seconds: float) -> None:
        """A delivery is judged, and that took so many seconds.

        What is told to be later than now is of a wrong clock, and taken for as late as now.
        """
        self.turns.add(seconds)
        for kind, event in self.last.items():
            when = min(event.timestamp.timestamp(), now)
            self.delays.add(min(now - when, LONGEST))
            self._newest[kind] = max(self._newest[kind], when)
        self.last.clear()

    def collect(self) -> Iterator[Metric]:
        """As metrics."""
        newest = GaugeMetricFamily(
            "nigrani_dataset_event_time_seconds",
            "Time of a dataset's newest event, seconds since the epoch; 0 where none came since the start.",
            labels=["dataset"],
        )
        for name, kind in DATASETS.items():
            newest.add_metric([name], self._newest[kind])
        yield newest
        yield self.delays.family(
            "nigrani_detector_event_delay_seconds",
            "From what an event tells of to its judgement, of the last ones of each delivery.",
        )
        yield self.turns.family("nigrani_detector_delivery_seconds", "Time to judge what the bus gave at once.")
