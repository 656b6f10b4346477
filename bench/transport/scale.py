"""Detectors that share a full topic: what one does with it, and what more of them do."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.kafka.broker import Server
from bench.transport.cost import cpu_seconds, peak_megabytes
from bench.transport.load import Load
from bench.transport.site import Detector, wait_for
from bench.transport.soak import Plan, detector, topics
from bench.transport.throughput import fill

SESSION = 60.0
"""Seconds: the group must not miss its detectors while they are stopped."""
LONGEST = 120.0


class Scale(NamedTuple):
    """What some detectors, one a partition, did with a full topic."""

    detectors: int
    wire: str
    events: int
    wall: float
    """Seconds from the first event to the last; start-up left out."""
    cpu: float
    """Of all detectors in that time."""
    start: float
    """CPU seconds of one detector until it holds its partition."""
    megabytes: float
    """Peak of the largest."""
    alerts: int
    exact: bool
    """Every event was judged, once."""


def measure(folder: Path, broker: Server, load: Load, count: int, wire: str = "event") -> Scale:
    """Fill a topic while as many detectors as it has partitions stand still, then let them go."""
    names = topics(broker, Plan(partitions=count))
    kafka = {"servers": [broker.servers], **names, "session_timeout": SESSION}
    detectors = [detector(folder, number, kafka, instance="") for number in range(count)]
    try:
        for one in detectors:
            one.start()
        wait_for(
            "a partition each", lambda: all(one.metric("nigrani_detector_partitions") == 1 for one in detectors), LONGEST
        )
        _signal(detectors, signal.SIGSTOP)
        fill(load, broker, wire, names["topic"])
        before = [cpu_seconds(one) for one in detectors]
        began = time.monotonic()
        _signal(detectors, signal.SIGCONT)
        wait_for("everything judged", lambda: _total(detectors, "nigrani_events_total") >= load.count, LONGEST)
        wall = time.monotonic() - began
        spent = [cpu_seconds(one) for one in detectors]
        return Scale(
            count,
            wire,
            load.count,
            wall,
            sum(spent) - sum(before),
            before[0],
            max(map(peak_megabytes, detectors)),
            _total(detectors, "nigrani_alerts_total"),
            _total(detectors, "nigrani_events_total") == load.count,
        )
    finally:
        _signal(detectors, signal.SIGCONT)
        for one in detectors:
            one.stop()


def _total(detectors: Sequence[Detector], name: str) -> int:
    return sum(int(one.metric(name) or 0) for one in detectors)


def _signal(detectors: Sequence[Detector], number: signal.Signals) -> None:
    for one in detectors:
        if one.runs:
            assert one.process is not None
            one.process.send_signal(number)
