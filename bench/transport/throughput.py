"""Events a CPU second to and from Kafka: the agent's and the detector's ways, and the client libraries in bare loops."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from bench.kafka.broker import Server, make_topic
from bench.measure import Command, Counts, Once, Row, Task, run, say
from bench.transport.load import Load
from bench.transport.verdict import read
from nigrani.stream.kafka.message import COUNT

PARTITIONS = 4
_serial = iter(range(1 << 30))


class Figure(NamedTuple):
    """One way, with all events and with a few."""

    row: Row
    start: Row
    """With so few that start-up, connecting and ending are all there is."""

    @property
    def steady(self) -> float:
        """Events a CPU second without start-up."""
        spent = self.row.seconds - self.start.seconds
        return (self.row.work - self.start.work) / spent if spent > 0 and not self.row.missing else 0.0


class Way(NamedTuple):
    """Something to be measured, made anew for each turn."""

    name: str
    task: Callable[[Load], Task]
    missing: str = ""


def producing(folder: Path, broker: Server) -> list[Way]:
    """An agent's forwarder from a filled spool, beside bare producers of lines of a file."""

    def forward(name: str, wire: str, client: str) -> Way:
        def task(load: Load) -> Task:
            topic = new_topic(broker, PARTITIONS)
            command = forwarder(load.fresh(folder / "spool"), broker, topic, wire, client)
            return Task(name, command, load.count, lambda _: held(broker, topic), {"events": load.count}, _state(folder))

        return Way(name, task, absent() if client == "confluent" else "")

    def bare(name: str, client: str) -> Way:
        def task(load: Load) -> Task:
            topic = new_topic(broker, PARTITIONS)
            command: Command = [sys.executable, "-m", "bench.transport.clients", f"{client}-produce", broker.servers, topic]
            return Task(name, [*command, load.keyed], load.count, lambda _: held(broker, topic), {"events": load.count})

        return Way(name, task, absent() if client == "confluent" else "")

    return [
        forward("nigrani agent forward: an event a message", "event", "kafka-python"),
        forward("nigrani agent forward: wire batch", "batch", "kafka-python"),
        forward("nigrani agent forward: client confluent", "event", "confluent"),
        forward("nigrani agent forward: confluent, wire batch", "batch", "confluent"),
        bare("kafka-python, a bare loop", "kafka-python"),
        bare("confluent-kafka, a bare loop", "confluent"),
    ]


def consuming(broker: Server, loads: Iterable[Load]) -> list[Way]:
    """The detector's feed with decoding, beside bare consumers that decode; each load is put into topics first."""
    topics = {(load, wire): fill(load, broker, wire) for load in loads for wire in ("event", "batch")}
    module: Command = [sys.executable, "-m", "bench.transport.receive", broker.servers]

    def feed(name: str, wire: str) -> Way:
        def task(load: Load) -> Task:
            command = [*module, topics[load, wire], str(load.count)]
            return Task(name, command, load.count, _json, {"events": load.count})

        return Way(name, task)

    def bare(client: str, codec: str) -> Way:
        name = f"{client.replace('confluent', 'confluent-kafka')}, a bare loop, {codec}"

        def task(load: Load) -> Task:
            command: Command = [sys.executable, "-m", "bench.transport.clients", f"{client}-consume", broker.servers]
            command += [topics[load, "event"], str(load.count), codec]
            return Task(name, command, load.count, _json, {"events": load.count})

        return Way(name, task, absent() if client == "confluent" else "")

    return [
        feed("nigrani's feed, typed events: an event a message", "event"),
        feed("nigrani's feed, typed events: wire batch", "batch"),
        *(bare(client, codec) for client in ("kafka-python", "confluent") for codec in ("msgspec", "json")),
    ]


def compare(ways: Iterable[Way], many: Load, few: Load, repeat: int, until: float) -> list[Figure]:
    """Measure all ways `repeat` times, in turns; beyond the moment `until` no new round begins."""
    ways = list(ways)
    figures = [Figure(Row(way.name, many.count, missing=way.missing), Row(way.name, few.count)) for way in ways]
    for turn in range(repeat):
        if turn and time.monotonic() > until:
            break
        for way, figure in zip(ways, figures, strict=True):
            for load, row in ((few, figure.start), (many, figure.row)):
                if not figure.row.missing:
                    task = way.task(load)
                    row.take(task, run(task.command, task.environment))
            say(".")
    say("\n")
    return figures


def absent() -> str:
    """Why there are no figures of confluent-kafka; empty where there are."""
    return "" if importlib.util.find_spec("confluent_kafka") else "not installed: pip install confluent-kafka"


def forwarder(spool: Path, broker: Server, topic: str, wire: str, client: str = "kafka-python") -> Command:
    """The agent's own way of a spool that is full."""
    settings = [f"servers=[{broker.servers}]", f"topic={topic}", f"wire={wire}", f"client={client}"]
    command: Command = [sys.executable, "-m", "nigrani.cli", "agent", "forward", "--until-empty", "--bus", spool]
    command += ["--set", "metrics.listen=127.0.0.1:0", "--set", "name=bench"]
    return command + [word for setting in settings for word in ("--set", f"kafka.{setting}")]


def fill(load: Load, broker: Server, wire: str, topic: str = "") -> str:
    """Put a load into a topic, a new one unless it is named; returns the topic's name. Raises OSError where that fails."""
    topic = topic or new_topic(broker, PARTITIONS)
    folder = load.spool.parent
    done = run(forwarder(load.fresh(folder / "filling"), broker, topic, wire), _state(folder))
    if done.status:
        raise OSError(f"a topic could not be filled: {(done.err.strip() or 'no message').splitlines()[-1]}")
    return topic


def new_topic(broker: Server, partitions: int) -> str:
    """A topic that nobody has used."""
    return make_topic(broker.servers, f"figures-{time.time_ns():x}-{next(_serial)}", partitions)


def held(broker: Server, topic: str) -> Counts:
    """The events of a topic, and the bytes of its log on the broker's disk."""
    events = sum(int(dict(headers).get(COUNT, b"1")) for _, _, _, headers in read(broker.servers, topic))
    return {"events": events, "bytes": log_bytes(broker, topic)}


def log_bytes(broker: Server, topic: str) -> int:
    """Of one topic's log on the broker's disk."""
    return sum(path.stat().st_size for path in broker.folder.glob(f"data/{topic}-*/*.log"))


def _json(once: Once) -> Counts:
    counts: Counts = json.loads(once.out.splitlines()[-1])
    return counts


def _state(folder: Path) -> dict[str, str]:
    return {"NIGRANI_STATE": str(folder / "state")}
