"""Detectors added and removed under load: how long the group takes, and that nothing is lost or told twice.

    python -m bench.transport.rebalance [--rate EVENTS] [--partitions N]

One detector, then three, then two because one is stopped, then one because one is killed. Exit code 1 where an event was not
judged, an alert is missing or told twice, or the group took ten seconds or longer over a change.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from kafka import KafkaProducer

from bench.kafka.broker import Broker, Server
from bench.transport import story, verdict
from bench.transport.site import Detector, wait_for
from bench.transport.soak import Plan, detector, topics
from nigrani.stream.kafka.message import EventWire

LONGEST = 10.0
"""Seconds that a change of the group may take."""
CALM = 4.0
"""Seconds between changes."""


class Load(threading.Thread):
    """Streams into a topic at a steady rate, by a bare producer."""

    def __init__(self, servers: str, topic: str, streams: list[Path], rate: float, partitions: int) -> None:
        super().__init__(daemon=True)
        self.sent = 0
        self.ending = threading.Event()
        """Set: the rest goes as fast as it can."""
        self._producer = KafkaProducer(bootstrap_servers=servers, compression_type="zstd", linger_ms=20)
        self._topic = topic
        self._streams = streams
        self._rate = rate
        self._partitions = partitions

    def run(self) -> None:
        """Send everything."""
        wire = EventWire()
        files = [path.open("rb") for path in self._streams]
        due = time.monotonic()
        for rows in zip(*files, strict=True):
            for message in wire.pack([row.rstrip() for row in rows], self._partitions).messages:
                self._producer.send(self._topic, message.value, message.key, message.headers, message.partition)
            self.sent += len(rows)
            due += len(rows) / self._rate
            if not self.ending.is_set() and due > time.monotonic() + 0.01:
                time.sleep(due - time.monotonic())
        self._producer.close()
        for file in files:
            file.close()


class Report(NamedTuple):
    """What a run showed."""

    changes: list[tuple[str, float]]
    """Each change of the group and the seconds until all partitions were held again by those who should."""
    sent: int
    expected: set[str]
    told: dict[str, int]

    @property
    def faults(self) -> list[str]:
        """What must not be, on however busy a machine."""
        found = []
        if set(self.told) != self.expected:
            found.append(f"{len(set(self.told) ^ self.expected)} alerts differ from an undisturbed run's")
        if twice := [uid for uid, count in self.told.items() if count > 1]:
            found.append(f"{len(twice)} alerts told more than once")
        return found

    @property
    def slow(self) -> bool:
        """Whether a change took too long."""
        return any(seconds >= LONGEST for _, seconds in self.changes)

    def lines(self) -> list[str]:
        """For a person."""
        return [
            *(f"{words:<32} {seconds:5.1f} s" for words, seconds in self.changes),
            f"{self.sent:,} events, {len(self.told)} alerts of {len(self.expected)}",
            *(f"FAULT: {fault}" for fault in self.faults),
        ]


def run(
    folder: Path,
    broker: Server,
    rate: float,
    partitions: int,
    say: Callable[[str], None] = lambda _: None,
    *,
    agents: int = 3,
    cycles: int = 2,
) -> Report:
    """Play it on a broker that runs; cycles: mornings of each agent."""
    streams = story.make(folder, agents, cycles)
    expected = set(verdict.undisturbed(streams, folder / "baseline.npz"))
    names = topics(broker, Plan(partitions=partitions))
    kafka = {"servers": broker.servers.split(","), **names, "session_timeout": 6.0}
    detectors = [detector(folder, number, kafka, instance="") for number in range(3)]
    load = Load(broker.servers, names["topic"], streams, rate, partitions)
    changes: list[tuple[str, float]] = []

    def change(words: str, act: Callable[[], Any], holders: list[Detector]) -> None:
        began = time.monotonic()
        act()
        wait_for(words, lambda: _shared(holders, partitions), 60, step=0.05)
        changes.append((words, time.monotonic() - began))
        say(f"{words}: {changes[-1][1]:.1f} s")
        time.sleep(CALM)

    try:
        change("the first detector", detectors[0].start, detectors[:1])
        load.start()
        time.sleep(CALM)
        change("from one to three", lambda: [one.start() for one in detectors[1:]], detectors)
        change("from three to two, one stopped", detectors[0].stop, detectors[1:])
        change("from two to one, one killed", detectors[1].kill, detectors[2:])
        change("from one to two", detectors[0].start, [detectors[0], detectors[2]])
        load.ending.set()
        load.join()
        judged = [detectors[0], detectors[2]]
        wait_for(
            "everything judged",
            lambda: _idle(judged, partitions) and not time.sleep(1.5) and _idle(judged, partitions),
            120,
        )
    finally:
        for one in detectors:
            if one.runs:
                one.stop()
    return Report(changes, load.sent, expected, dict(verdict.alerts(broker.servers, names["alerts"])))


def _shared(holders: list[Detector], partitions: int) -> bool:
    """Whether these hold all partitions, as evenly as can be."""
    held = [one.metric("nigrani_detector_partitions") or 0 for one in holders]
    return sum(held) == partitions and max(held) - min(held) <= 1


def _idle(holders: list[Detector], partitions: int) -> bool:
    return _shared(holders, partitions) and all(one.metric("nigrani_bus_lag_events") == 0 for one in holders)


def main() -> int:
    """Run once and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=3000.0)
    parser.add_argument("--partitions", type=int, default=6)
    options = parser.parse_args()
    with TemporaryDirectory(prefix="nigrani-rebalance-") as folder, Broker() as broker:
        report = run(
            Path(folder),
            broker,
            options.rate,
            options.partitions,
            lambda words: print(words, file=sys.stderr, flush=True),
        )
    print("\n".join(report.lines()))
    return 1 if report.faults or report.slow else 0


if __name__ == "__main__":
    sys.exit(main())
