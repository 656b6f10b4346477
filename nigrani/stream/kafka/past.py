"""What a topic holds from some time on to its end as of now: read once, outside of any group, in the order it came.

The messages of all partitions are merged by the time that producers gave them: an agent's events are spread over
partitions, and one partition after the other would tell them days out of order.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from heapq import heapify, heapreplace
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError, UnknownTopicOrPartitionError

from nigrani.stream.kafka.client import Dial
from nigrani.stream.kafka.message import Header
from nigrani.stream.kafka.settings import Connection

AHEAD = 10_000
"""Messages of one partition that are held while another is waited for."""
WAIT_MS = 10_000
SECONDS = 30.0
"""Without a message for so long, the topic cannot be read."""


class Past:
    """One topic. Every failure is a BusError that says what to do."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self.total = 0
        """Messages there are to read, about; known once reading began."""
        self._topic = topic
        self._dial = Dial(connection, "nigrani-past")

    def read(self, since: float = 0.0) -> Iterator[tuple[bytes | None, list[Header]]]:
        """Value and headers of each message whose producer gave it a time from `since` on, in seconds since the epoch."""
        try:
            consumer = KafkaConsumer(**self._dial.settings(), group_id=None, enable_auto_commit=False)
            try:
                yield from self._read(consumer, int(since * 1000))
            finally:
                consumer.close()
        except (KafkaError, OSError, ValueError) as error:
            raise self._dial.error(error, self._topic) from error

    def _read(self, consumer: KafkaConsumer, since: int) -> Iterator[tuple[bytes | None, list[Header]]]:
        ends = self._ends(consumer)
        found = consumer.offsets_for_times(dict.fromkeys(ends, since), timeout_ms=WAIT_MS)
        begins = {place: at.offset for place, at in found.items() if at is not None and 0 <= at.offset < ends[place]}
        self.total = sum(ends[place] - offset for place, offset in begins.items())
        if not begins:
            return
        consumer.assign(list(begins))
        for place, offset in begins.items():
            consumer.seek(place, offset)
        held: dict[TopicPartition, deque[Any]] = {place: deque() for place in begins}
        heard = time.monotonic()
        while held:
            for place, records in consumer.poll(timeout_ms=200, max_records=AHEAD).items():
                heard = time.monotonic()
                held[place].extend(record for record in records if record.offset < ends[place])
            for place in [place for place, records in held.items() if not records]:
                if (consumer.position(place, timeout_ms=WAIT_MS) or 0) >= ends[place]:
                    del held[place]
                    consumer.pause(place)
            for record in _merged(held):
                yield record.value, record.headers
            for place, records in held.items():
                (consumer.pause if len(records) >= AHEAD else consumer.resume)(place)
            if time.monotonic() - heard > SECONDS:
                raise KafkaTimeoutError("nothing more came")

    def _ends(self, consumer: KafkaConsumer) -> dict[TopicPartition, int]:
        """The end of each partition. A topic that is not there is a fault, and is not made."""
        deadline = time.monotonic() + WAIT_MS / 1000
        consumer.assign([TopicPartition(self._topic, 0)])
        consumer.end_offsets([TopicPartition(self._topic, 0)], timeout_ms=WAIT_MS)
        numbers = consumer.partitions_for_topic(self._topic)
        if not numbers:
            raise UnknownTopicOrPartitionError(self._topic)
        left = max(deadline - time.monotonic(), 1)
        return dict(consumer.end_offsets([TopicPartition(self._topic, one) for one in numbers], timeout_ms=int(left * 1000)))


def _merged(held: dict[TopicPartition, deque[Any]]) -> Iterator[Any]:
    """Take the oldest of what is held, as long as there is some of each partition: no older can come."""
    if not all(held.values()):
        return
    heads = [(records[0].timestamp, place) for place, records in held.items()]
    heapify(heads)
    while heads:
        place = heads[0][1]
        records = held[place]
        yield records.popleft()
        if not records:
            return
        heapreplace(heads, (records[0].timestamp, place))
