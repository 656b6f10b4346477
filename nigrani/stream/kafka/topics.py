"""The three topics of a site: how they should be, how they are, and how to bring the one to the other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import GroupAuthorizationFailedError, GroupIdNotFoundError, KafkaError, RetriableError, for_code
from kafka.protocol.consumer import OffsetSpec

from nigrani.stream.kafka.client import Dial
from nigrani.stream.kafka.settings import Topics

PARTITIONS = 6
COPIES = 3
"""Replicas, where there are as many brokers."""
DAY = 86_400
RETENTION = 7 * DAY
"""Seconds that events stay: longer than any outage of the detectors should take."""
ALERTS_RETENTION = 400 * DAY
"""Seconds that alerts stay: more than a year, for whoever must report on one."""
MESSAGE_BYTES = 1_048_588
"""Kafka's own default for a batch of records; agents' are smaller."""
CHECKPOINT_BYTES = 17 << 20
"""Room for a checkpoint of 16 MiB with what surrounds it."""
SETTLE_SECONDS = 3.0
"""For a change to reach the brokers that are asked."""


class Shape(NamedTuple):
    """A topic as it should be."""

    name: str
    partitions: int
    copies: int
    """Replicas of each partition."""
    settings: dict[str, str]


class Found(NamedTuple):
    """A topic as it is."""

    partitions: int
    copies: int
    """Replicas of the partition that has fewest."""
    lacking: int
    """Partitions with a replica that is out of sync."""
    settings: dict[str, str]


class Use(NamedTuple):
    """What a topic holds."""

    name: str
    found: Found
    messages: int
    """Offsets from the oldest kept to the end; a compacted topic holds fewer."""
    bytes: int | None
    """Of all replicas; None where the brokers do not tell."""
    lag: int | None
    """Messages that the group has not done with; None where it reads none of it."""


def shapes(topics: Topics, partitions: int, copies: int, retention: float = RETENTION) -> list[Shape]:
    """How a site's topics should be, the events' first; retention of the events in seconds, below 0 for ever."""
    held = {"min.insync.replicas": str(2 if copies >= 3 else 1)}
    day = DAY * 1000
    kept = int(retention * 1000)
    events = {
        "cleanup.policy": "delete",
        "retention.ms": str(kept),
        "segment.ms": str(min(kept, day) if kept > 0 else day),
        "compression.type": "producer",
        "max.message.bytes": str(MESSAGE_BYTES),
    }
    alerts = {
        "cleanup.policy": "compact,delete",
        "retention.ms": str(ALERTS_RETENTION * 1000),
        "segment.ms": str(7 * day),
        "max.message.bytes": str(MESSAGE_BYTES),
    }
    state = {
        "cleanup.policy": "compact",
        "segment.ms": str(day // 24),
        "segment.bytes": str(64 << 20),
        "min.cleanable.dirty.ratio": "0.1",
        "max.message.bytes": str(CHECKPOINT_BYTES),
    }
    return [
        Shape(topics.topic, partitions, copies, held | events),
        Shape(topics.alerts, partitions, copies, held | alerts),
        Shape(topics.state, partitions, copies, held | state),
    ]


def differences(shape: Shape, found: Found) -> Iterator[str]:
    """Where a topic is not as it should be, a sentence each."""
    if found.partitions != shape.partitions:
        yield f"{found.partitions} partitions, should be {shape.partitions}"
    if found.copies != shape.copies:
        yield f"{found.copies} replicas, should be {shape.copies}"
    for name, value in shape.settings.items():
        if (is_ := found.settings.get(name, "")) != value:
            yield f"{name} is {is_}, should be {value}"


class Admin:
    """An administrator of the cluster. Every failure is a BusError that says what to do."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._dial = Dial(topics, "nigrani-topics")
        with self.told():
            self.client: KafkaAdminClient = self._dial.admin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    @contextmanager
    def told(self, topic: str = "") -> Iterator[None]:
        """What the client raises within is told as a BusError."""
        try:
            yield
        except (KafkaError, OSError, ValueError) as error:
            raise self._dial.error(error, topic or self._topics.topic) from error

    def brokers(self) -> int:
        """How many brokers there are."""
        return self._dial.brokers()

    def find(self, name: str) -> Found | None:
        """A topic as it is; None where there is none of that name."""
        with self.told(name):
            told = self._partitions(name)
            if told is None:
                return None
            resource = ConfigResource(ConfigResourceType.TOPIC, name)
            settings = self.client.describe_configs([resource], config_filter="all")["topic"][name]
            return Found(
                len(told),
                min(len(one["replica_nodes"]) for one in told),
                sum(len(one["isr_nodes"]) < len(one["replica_nodes"]) for one in told),
                {key: str(entry["value"]) for key, entry in settings.items()},
            )

    def create(self, shape: Shape) -> None:
        """Make a topic."""
        with self.told(shape.name):
            wanted = {"num_partitions": shape.partitions, "replication_factor": shape.copies, "configs": shape.settings}
            self.client.create_topics({shape.name: wanted}, wait_for_metadata=True)

    def alter(self, shape: Shape, found: Found) -> None:
        """Bring a topic's settings and partitions to what they should be; partitions are added, and none taken away."""
        changed = {name: value for name, value in shape.settings.items() if found.settings.get(name) != value}
        with self.told(shape.name):
            if changed:
                told = self.client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, shape.name, changed)])
                if (result := told["topic"][shape.name]) != "OK":
                    raise KafkaError(result)
            if found.partitions < shape.partitions:
                self.client.create_partitions({shape.name: shape.partitions})
        self._settle(shape)

    def use(self, name: str) -> Use | None:
        """What a topic holds; None where there is none of that name."""
        found = self.find(name)
        if found is None:
            return None
        places = [TopicPartition(name, number) for number in range(found.partitions)]
        with self.told(name):
            firsts = self.client.list_partition_offsets(dict.fromkeys(places, OffsetSpec.EARLIEST))
            ends = self.client.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
            messages = sum(ends[place].offset - firsts[place].offset for place in places)
            done = self._done(places)
            lag = sum(
                ends[place].offset - max(done.get(place, 0), firsts[place].offset) for place in places
            )  # what nobody did yet lags from its beginning on
            return Use(name, found, messages, self._bytes(name, found), lag if done else None)

    def _settle(self, shape: Shape) -> None:
        """Wait until the broker that is asked has heard of a change."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while (found := self.find(shape.name)) and time.monotonic() < deadline:
            if found.partitions >= shape.partitions and found.settings.items() >= shape.settings.items():
                return
            time.sleep(0.1)

    def _partitions(self, name: str) -> list[dict[str, Any]] | None:
        told = self.client.describe_topics([name])[0]
        error = for_code(told["error_code"])
        if error.__name__ == "UnknownTopicOrPartitionError":
            return None
        if told["error_code"]:
            raise error(name)
        return list(told["partitions"])

    def _done(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        """What the detectors' group told of each partition that it told of."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            try:
                told = self.client.list_group_offsets({self._topics.group: places})[self._topics.group]
            except (GroupIdNotFoundError, GroupAuthorizationFailedError):
                return {}
            except RetriableError:  # a cluster that never had a group makes its books at the first question
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.1)
            else:
                return {place: at.offset for place, at in told.items() if at.offset >= 0}

    def _bytes(self, name: str, found: Found) -> int | None:
        told = self.client.describe_log_dirs({name: list(range(found.partitions))})
        folders = [folder for broker in told for folder in broker["log_dirs"]]
        if any(folder["error_code"] for folder in folders) or not folders:
            return None
        topics = (topic for folder in folders for topic in folder["topics"])
        return sum(int(part["partition_size"]) for topic in topics if topic["name"] == name for part in topic["partitions"])
