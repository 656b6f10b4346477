"""What arrived: every event once in effect, each agent's in order, and the alerts of an undisturbed run."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from kafka import KafkaConsumer, TopicPartition

from detector.alert import Alert
from detector.engine import Engine
from detector.setup import load_knowledge, load_rules
from nigrani.stream.codec import decode
from nigrani.stream.kafka.message import lines_of

PREFIX = 16
"""Characters of an event's id that name agent and boot."""


class _Id(msgspec.Struct):
    id: str = msgspec.field(name="event.id")
    sequence: int = msgspec.field(name="event.sequence")


_ids = msgspec.json.Decoder(_Id)


class Arrived(NamedTuple):
    """The events of a topic."""

    events: int
    """Different ones."""
    repeats: int
    disordered: int
    """First arrivals behind a later one of the same boot in the same partition."""
    counts: Counter[str]
    """Different events by boot."""


def read(
    servers: str, topic: str, client: Mapping[str, Any] | None = None
) -> Iterable[tuple[int, bytes | None, bytes, list[tuple[str, bytes]]]]:
    """All messages of a topic: partition, key, value, headers; client: how else to be let in."""
    settings = {"bootstrap_servers": servers, **(client or {})}
    consumer = KafkaConsumer(**settings, group_id=None, auto_offset_reset="earliest")
    try:
        places = [TopicPartition(topic, one) for one in sorted(consumer.partitions_for_topic(topic) or ())]
        consumer.assign(places)
        ends = consumer.end_offsets(places)
        while any(consumer.position(place) < ends[place] for place in places):
            for place, records in consumer.poll(timeout_ms=500, max_records=5000).items():
                for record in records:
                    yield place.partition, record.key, record.value, record.headers
    finally:
        consumer.close()


def arrived(servers: str, topic: str) -> Arrived:
    """Count what a topic holds."""
    highest: dict[tuple[int, str], int] = defaultdict(lambda: -1)
    seen: set[str] = set()
    repeats = disordered = 0
    counts: Counter[str] = Counter()
    for partition, _, value, headers in read(servers, topic):
        for line in lines_of(value, headers):
            event = _ids.decode(line)
            if event.id in seen:
                repeats += 1
                continue
            seen.add(event.id)
            boot = event.id[:PREFIX]
            counts[boot] += 1
            if event.sequence < highest[partition, boot]:
                disordered += 1
            highest[partition, boot] = max(highest[partition, boot], event.sequence)
    return Arrived(len(seen), repeats, disordered, counts)


def alerts(servers: str, topic: str, client: Mapping[str, Any] | None = None) -> Counter[str]:
    """How often each alert's id was told."""
    return Counter((key or b"").decode() for _, key, _, _ in read(servers, topic, client))


def undisturbed(streams: Iterable[Path], baseline: Path) -> dict[str, Alert]:
    """The alerts of the same streams, each judged by itself in one go: id → alert."""
    knowledge = load_knowledge(baseline, [str(baseline.with_suffix(".pub"))])
    rules = load_rules()
    found: dict[str, Alert] = {}
    for path in streams:
        told: list[Alert] = []
        engine = Engine(rules.empty(), told.append, knowledge, 7.0)
        with path.open("rb") as file:
            for line in itertools.chain(file):
                engine.feed(decode(line))
        found |= {alert.id: alert for alert in told}
    return found
