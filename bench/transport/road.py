"""What the road adds: from an event's way into an agent's spool to a detector's poll in another process.

`python -m bench.transport.road SPOOL EVENTS RATE` is the agent's side: it publishes at a steady rate, and prints a line for
each batch: the number of its first event, and when it was published, in nanoseconds.
"""

from __future__ import annotations

import bisect
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.kafka.broker import Server
from bench.measure import ROOT
from bench.transport import receive
from bench.transport.cost import cpu_seconds, peak_megabytes
from bench.transport.offer import chunks
from bench.transport.percentile import percentile
from bench.transport.site import Service
from bench.transport.throughput import forwarder, log_bytes, new_topic
from nigrani.stream.spool import Spool

BEATS = 20
"""Batches a second, as the kernel hands packets to an agent."""
WARM = 2.0
"""Seconds at the start that do not count: clients connect."""


class Road(NamedTuple):
    """What a steady stream showed; times in milliseconds, of all events but the first ones."""

    wire: str
    client: str
    rate: float
    """Events a second."""
    events: int
    p50: float
    p99: float
    longest: float
    bytes: float
    """Of the topic's log, an event."""
    core: float
    """The part of a core that the forwarder takes."""
    megabytes: float
    """Peak of the forwarder."""
    exact: bool
    """Every event came, once, in order."""


class _Number(msgspec.Struct):
    sequence: int = msgspec.field(name="event.sequence")


def measure(
    folder: Path,
    broker: Server,
    stream: Path,
    seconds: float,
    rate: float,
    wire: str = "event",
    client: str = "kafka-python",
) -> Road:
    """Publish for so long, and see when what was published arrives."""
    spool = folder / "road"
    topic = new_topic(broker, 1)
    events = folder / "road.ndjson"
    lines = next(chunks(stream, 0, int(rate * (WARM + seconds))))
    events.write_bytes(b"".join(lines))
    Spool.open(spool).close()
    words = [word for word in forwarder(spool, broker, topic, wire, client)[2:] if word != "--until-empty"]
    forward = Service("forward", folder / "road-state", words)
    decode = msgspec.json.Decoder(_Number).decode
    arrived: list[tuple[int, int]] = []
    publisher = None
    forward.start()
    try:
        for found in receive.lines(broker.servers, topic, len(lines)):
            now = time.time_ns()
            arrived += [(decode(line).sequence, now) for line in found]
            if publisher is None:  # the reader stands
                command = [sys.executable, "-m", "bench.transport.road", str(spool), str(events), str(rate)]
                publisher = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
                began, before = time.monotonic(), cpu_seconds(forward)
        core = (cpu_seconds(forward) - before) / (time.monotonic() - began)
        megabytes = peak_megabytes(forward)
        said = publisher.communicate(timeout=60)[0] if publisher else ""
    finally:
        forward.stop()
        shutil.rmtree(spool)
    published = [tuple(map(int, line.split())) for line in said.splitlines()]
    late = _late(published, [(number, when) for number, when in arrived if number >= rate * WARM])
    return Road(
        wire,
        client,
        rate,
        len(late),
        percentile(late, 50),
        percentile(late, 99),
        max(late, default=0.0),
        log_bytes(broker, topic) / len(lines),
        core,
        megabytes,
        [number for number, _ in arrived] == list(range(len(lines))),
    )


def _late(published: list[tuple[int, ...]], arrived: list[tuple[int, int]]) -> list[float]:
    """Milliseconds of each event that arrived."""
    firsts = [first for first, _ in published]
    return [(when - published[bisect.bisect_right(firsts, number) - 1][1]) / 1e6 for number, when in arrived]


def main() -> None:
    """Publish."""
    path, events, rate = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    first = 0
    with Spool.open(path) as spool:
        due = time.monotonic()
        for lines in chunks(events, 0, max(1, round(rate / BEATS))):
            print(first, time.time_ns())
            spool.publish(b"".join(lines), len(lines))
            first += len(lines)
            due += len(lines) / rate
            time.sleep(max(due - time.monotonic(), 0))


if __name__ == "__main__":
    main()
