"""Findings from the alerts topic: a consumer without a group, and a place of its own in each partition."""

from __future__ import annotations

import logging
from itertools import islice

import msgspec
from msgspec import Struct

from detector.cases.log import MOST, Piece
from nigrani.stream.kafka.log import TopicLog

log = logging.getLogger(__name__)


class _Place(Struct):
    topic: str
    next: dict[int, int]
    """Partition → offset."""


_decoder = msgspec.json.Decoder(_Place)


class TopicAlerts:
    """All partitions, in turns. The topic is compacted by the finding's uid: what it forgets it has in a newer message."""

    def __init__(self, topic: TopicLog, place: str | None) -> None:
        """place: of an earlier reader."""
        self._topic = topic
        self._next: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._turn = 0
        try:
            at = _decoder.decode(place) if place else None
        except ValueError:  # of another kind of log
            at = None
        if at is not None and at.topic == topic.topic:
            self._next = at.next

    def read(self) -> Piece | None:
        """See `AlertsLog`."""
        partitions = self._topic.partitions()
        for step in range(len(partitions)):
            turn = (self._turn + step) % len(partitions)
            if (piece := self._read(partitions[turn])) is not None:
                self._turn = turn + 1
                return piece
        return None

    def behind(self) -> int:
        """See `AlertsLog`; an upper bound, for compaction leaves gaps. As it was when the partitions were read last."""
        return sum(max(end - self._next.get(partition, 0), 0) for partition, end in self._ends.copy().items())

    def close(self) -> None:
        """See `AlertsLog`."""
        self._topic.close()

    def _read(self, partition: int) -> Piece | None:
        begin = self._next.get(partition, 0)
        end = self._ends[partition] = self._topic.end(partition)
        if end < begin:
            log.warning(
                "partition %d of topic %s was made anew: it is read from its beginning", partition, self._topic.topic
            )
            begin = 0
        if end == begin:
            return None
        entries = list(islice(self._topic.read(partition, begin), MOST))
        self._next[partition] = entries[-1].offset + 1 if len(entries) == MOST else end
        place = _Place(self._topic.topic, self._next)
        return Piece([entry.value for entry in entries if entry.value], msgspec.json.encode(place).decode())
