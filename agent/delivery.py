"""How delivery to Kafka stands, as metrics."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from agent.forwarder import STATES
from nigrani.service.exposition import Family
from nigrani.service.process import disk
from nigrani.stream.kafka.fault import KINDS
from nigrani.stream.segment import segments

if TYPE_CHECKING:
    from agent.forwarder import Forwarder

PREFIX = "nigrani_agent_"


class Delivery:
    """A forwarder and its spool, read when Prometheus asks."""

    def __init__(self, forwarder: Forwarder, spool: Path) -> None:
        """spool: its folder."""
        self._forwarder = forwarder
        self._spool = spool

    def collect(self) -> Iterator[Family]:
        """Every series is there from the start; labels are words of closed lists."""
        forwarder = self._forwarder
        trouble = forwarder.patience.trouble
        oldest = forwarder.oldest
        counts, dead = forwarder.counts, forwarder.dead
        yield _one_hot("forward_state", "What the forwarder to Kafka does.", "state", STATES, forwarder.state)
        yield _one_hot("forward_trouble", "What keeps events from Kafka.", "kind", KINDS, trouble.kind if trouble else "")
        yield _counter("forward_acknowledged_events", "Events that Kafka acknowledged.", counts.acknowledged)
        refused = Family("counter", f"{PREFIX}forward_refused_events", "Events for the dead letters.")
        for kind, count in counts.refused.items():
            refused.add(count, kind=kind)
        yield refused
        yield _counter("forward_dead_letters_lost", "Refused events for which there was no room on the disk.", dead.lost)
        yield _counter("forward_reconnects", "Links to Kafka made in place of one that ended.", counts.reconnects)
        yield _counter("forward_bytes", "Bytes of events settled, before compression.", counts.bytes)
        yield _gauge("forward_in_flight_events", "Events sent and not acknowledged.", forwarder.in_flight)
        age = 0.0 if oldest is None else max(time.time() - oldest, 0.0)
        yield _gauge("forward_oldest_unsent_seconds", "Age of the oldest event that Kafka did not acknowledge.", age)
        yield _gauge("spool_bytes", "What the spool takes on the disk.", spool_bytes(self._spool))
        yield _gauge("spool_events", "Events in the spool that Kafka did not acknowledge.", forwarder.lag)
        yield _counter("spool_missed_events", "Events that the spool's bound dropped unsent.", forwarder.missed)


def room(folder: Path, most: int) -> Iterator[Family]:
    """Of the spool, and of its disk. most: bytes that it may take."""
    yield _gauge("spool_max_bytes", "What the spool may take; beyond it the oldest events go.", most)
    yield from disk(folder, f"{PREFIX}spool_disk", "of the disk that the spool is on")


def spool_bytes(folder: Path) -> int:
    """Of all its segments."""
    total = 0
    for segment in segments(folder):
        try:
            total += segment.path.stat().st_size
        except FileNotFoundError:
            continue  # dropped since the listing
    return total


def _one_hot(name: str, text: str, label: str, values: Iterable[str], current: str) -> Family:
    family = Family("gauge", PREFIX + name, text)
    for value in values:
        family.add(float(value == current), **{label: value})
    return family


def _counter(name: str, text: str, value: float) -> Family:
    return Family("counter", PREFIX + name, text, value)


def _gauge(name: str, text: str, value: float) -> Family:
    return Family("gauge", PREFIX + name, text, value)
