"""The figures of the transport, with peers, on an Apache Kafka that is started for it.

    python -m bench.transport.figures [--quick] [--json]

Exit code 1 where an event or an alert was lost, repeated or told twice; 3 where no Kafka can be run here.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from bench import report
from bench.kafka.broker import Broker, Server, StartError, Unavailable
from bench.measure import pin, say
from bench.transport import alarm, load, pair, road, scale, story, throughput

BUDGET = 90.0
"""Seconds of one table after which no further repetition begins of what it compares."""
FEW = 500
"""Events that cost next to nothing: start-up is what remains."""
OTHERS = 1000.0
"""Events a second of that other agent."""


class Sizes(NamedTuple):
    """How much is measured."""

    agents: int
    mornings: int
    """Of each agent's stream."""
    repeat: int
    seconds: float
    """Of each steady stream."""
    alerts: int
    detectors: tuple[int, ...]
    busy: tuple[bool, ...]
    """Whether another agent sends while alerts are timed."""


FULL = Sizes(4, 2, 3, 10.0, 200, (1, 2, 4), (False, True))
QUICK = Sizes(1, 1, 1, 3.0, 100, (1, 2), (True,))


def measure(folder: Path, broker: Server, sizes: Sizes) -> dict[str, Any]:
    """Everything, as JSON has it. Starts on one core, as what it is compared with; leaves this process on all of them."""
    streams = story.make(folder, sizes.agents, sizes.mornings)
    many, few = load.make(folder / "many", streams), load.make(folder / "few", streams, FEW)
    pin()
    say("to Kafka ")
    sent = throughput.compare(throughput.producing(folder, broker), many, few, sizes.repeat, time.monotonic() + BUDGET)
    say("from Kafka ")
    ways = throughput.consuming(broker, (many, few))
    read = throughput.compare(ways, many, few, sizes.repeat, time.monotonic() + BUDGET)
    unpin()
    say("detectors, times\n")
    shares = [("event", count) for count in sizes.detectors] + [("batch", 1)]
    return {
        "kafka": broker.kind,
        "partitions": throughput.PARTITIONS,
        "events": many.count,
        "event_bytes": round(many.bytes / many.count),
        "produced": [_figure(figure) for figure in sent],
        "consumed": [_figure(figure) for figure in read],
        "detectors": [scale.measure(folder, broker, many, count, wire)._asdict() for wire, count in shares],
        "road": [one._asdict() for one in _roads(folder, broker, streams[0], sizes.seconds)],
        "alarm": _alarms(folder, broker, sizes),
    }


def _roads(folder: Path, broker: Server, stream: Path, seconds: float) -> Iterator[road.Road]:
    for rate, wire, client in (
        (1000.0, "event", "kafka-python"),
        (1000.0, "batch", "kafka-python"),
        (1000.0, "event", "confluent"),
        (100.0, "event", "kafka-python"),
        (20.0, "event", "kafka-python"),
    ):
        if client == "kafka-python" or not throughput.absent():
            yield road.measure(folder, broker, stream, seconds, rate, wire, client)


def _alarms(folder: Path, broker: Server, sizes: Sizes) -> dict[str, Any]:
    if reason := pair.obstacle():
        return {"missing": reason}
    stream = folder / "benign.ndjson"  # what raises alerts itself would be counted with ours
    story.write(story.stream(story.benign(story.morning(folder, 0)), 3), stream)
    runs = [alarm.measure(folder, broker, sizes.alerts, stream, OTHERS if busy else 0.0) for busy in sizes.busy]
    return {"runs": [run._asdict() for run in runs]}


def _figure(figure: throughput.Figure) -> dict[str, Any]:
    return {"row": asdict(figure.row), "start": asdict(figure.start), "steady": figure.steady}


def unpin() -> None:
    """Use all cores again."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))


def main() -> int:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a seventh of the events, once")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    unpin()
    try:
        with TemporaryDirectory(prefix="nigrani-figures-") as folder, Broker() as broker:
            figures = measure(Path(folder), broker, QUICK if options.quick else FULL)
    except (Unavailable, StartError) as error:
        sys.stderr.write(f"no Kafka can be run here: {str(error).splitlines()[0]}\n")
        return 3
    print(json.dumps(figures) if options.json else report.transport(figures))
    return 0 if report.transport_exact(figures) else 1


if __name__ == "__main__":
    sys.exit(main())
