"""Checkpoints in a compacted Kafka topic, for detectors on any number of hosts.

Each owner of a partition writes under a key of its own, `group/partition/epoch`, with an epoch above all before it: what
an earlier owner that was taken for dead still writes lands beside the newest state, not over it, and is not believed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import NamedTuple

from detector.checkpoint import Checkpoint, pack, unpack
from nigrani.stream.kafka.log import Entry, TopicLog

MAX_BYTES = 16 << 20
"""Of one checkpoint, and so what the topic's `max.message.bytes` must allow."""
TAIL = 32
"""Messages from the end in which the newest state is looked for first."""
SECONDS = 5.0
"""Within which brokers must have taken a checkpoint."""
CLAIM = b""
"""The value of an owner's first message: no state yet."""

log = logging.getLogger(__name__)


class _Found(NamedTuple):
    epoch: int
    """The highest of any owner."""
    checkpoint: Checkpoint | None
    keys: list[bytes]


class TopicCheckpoints:
    """The topic has as many partitions as the one the events come from."""

    def __init__(self, topic: TopicLog, group: str) -> None:
        """group: of the detectors that share the partitions."""
        self._topic = topic
        self._group = group
        self._epochs: dict[int, int] = {}
        self._old: dict[int, list[bytes]] = {}

    def take(self, partition: int) -> Checkpoint | None:
        """See `Checkpoints`."""
        found = self._find(partition)
        self._epochs[partition] = found.epoch + 1
        self._old[partition] = found.keys
        self._topic.append(partition, self._key(partition), CLAIM)
        self._topic.flush(SECONDS)
        return found.checkpoint

    def keep(self, partition: int, checkpoint: Checkpoint) -> None:
        """See `Checkpoints`; what earlier owners kept goes once this is in."""
        self._topic.append(partition, self._key(partition), pack(checkpoint))
        self._topic.flush(SECONDS)
        for key in self._old.pop(partition, ()):
            self._topic.append(partition, key, None)

    def give(self, partition: int) -> None:
        """See `Checkpoints`."""
        self._old.pop(partition, None)

    def close(self) -> None:
        """See `Checkpoints`."""
        self._topic.close()

    def _key(self, partition: int) -> bytes:
        return f"{self._group}/{partition}/{self._epochs[partition]}".encode()

    def _find(self, partition: int) -> _Found:
        tail = max(self._topic.end(partition) - TAIL, 0)
        found = self._newest(partition, self._topic.read(partition, tail))
        if tail and found.checkpoint is None:
            found = self._newest(partition, self._topic.read(partition))
        return found

    def _newest(self, partition: int, entries: Iterable[Entry]) -> _Found:
        """The state of the highest epoch that has one; of one epoch, the last."""
        latest: dict[int, bytes | None] = {}
        prefix = f"{self._group}/{partition}/".encode()
        for entry in entries:
            if entry.key and entry.key.startswith(prefix) and entry.key[len(prefix) :].isdigit():
                latest[int(entry.key[len(prefix) :])] = entry.value
        checkpoint = None
        for epoch in sorted(latest, reverse=True):
            try:
                checkpoint = unpack(latest[epoch] or b"") if latest[epoch] else None
            except ValueError as error:
                log.warning("checkpoint %d of partition %d is not used: %s", epoch, partition, error)
            if checkpoint is not None:
                break
        keys = [prefix + str(epoch).encode() for epoch, value in sorted(latest.items()) if value is not None]
        return _Found(max(latest, default=0), checkpoint, keys)
