"""A Kafka topic of keyed messages as a log that is appended to and read back: checkpoints, alerts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

from nigrani.stream.kafka.client import Dial, Producer
from nigrani.stream.kafka.settings import Connection

Header = tuple[str, bytes]

LINGER_MS = 5
DELIVERY_MS = 30_000
"""A message that is not in by then never will be."""
WAIT_MS = 5_000
"""For brokers and metadata."""
READ_SECONDS = 10.0
"""A read that gets nothing for so long has failed."""
MAX_BYTES = 1 << 20
FETCH_BYTES = 4 << 20
_FAULTS = (KafkaError, OSError, ValueError, RuntimeError)


class Entry(NamedTuple):
    """A message of a log."""

    offset: int
    key: bytes
    value: bytes | None
    """None: the key's earlier messages are void."""
    headers: list[Header]


class TopicLog:
    """One topic; may be used from several threads. Whatever fails raises BusError, which says what to do.

    max_bytes: of one message, at most; the topic's `max.message.bytes` must allow it.
    """

    def __init__(self, connection: Connection, topic: str, *, name: str = "nigrani-log", max_bytes: int = MAX_BYTES) -> None:
        """name: the clients' name to the brokers. Nothing is connected before the first use."""
        self.topic = topic
        self._max_bytes = max_bytes
        self._dial = Dial(connection, name)
        self._lock = threading.Lock()
        self._producer: Producer | None = None
        self._sent: list[Any] = []
        self._reading = threading.Lock()
        self._consumer: KafkaConsumer | None = None

    def append(
        self, partition: int, key: bytes, value: bytes | None, headers: list[Header] | None = None
    ) -> Any:  # kafka-python's FutureRecordMetadata
        """Send one message, in order after those before; it is kept once `flush` returns.

        Returns a ticket, whose `is_done` and `exception` tell what became of it. The first waits up to 5 s for brokers.
        """
        with self._lock:
            try:
                if self._producer is None:
                    self._producer = self._made()
                ticket = self._producer.send(self.topic, value, key, headers or [], partition)
            except _FAULTS as error:
                if not isinstance(error, MessageSizeTooLargeError | ValueError):  # these left the producer as it was
                    self._drop()
                raise self._dial.error(error, self.topic) from error
            self._sent.append(ticket)
            return ticket

    def flush(self, timeout: float) -> None:
        """Wait until everything appended is kept.

        Raises BusError where that is not so within `timeout` seconds: what was appended since the last flush that returned
        is kept or not, and must be appended again.
        """
        deadline = time.monotonic() + timeout
        with self._lock:
            sent, self._sent = self._sent, []
        for ticket in sent:
            try:
                ticket.get(max(deadline - time.monotonic(), 0))
            except _FAULTS as error:
                self._fail()
                raise self._dial.error(error, self.topic) from error

    def partitions(self) -> list[int]:
        """The topic's, in order."""
        with self._reading:
            try:
                consumer = self._reader()
                self._bounds(consumer, TopicPartition(self.topic, 0))  # fetches what is known of the topic, and in time
                return sorted(consumer.partitions_for_topic(self.topic) or ())
            except _FAULTS as error:
                raise self._unread(error) from error

    def end(self, partition: int) -> int:
        """The offset that the next message gets."""
        with self._reading:
            try:
                return self._bounds(self._reader(), TopicPartition(self.topic, partition))[1]
            except _FAULTS as error:
                raise self._unread(error) from error

    def read(self, partition: int, begin: int = 0) -> Iterator[Entry]:
        """What is kept from `begin` on, up to the end as it is now. One read at a time: others wait for its end."""
        place = TopicPartition(self.topic, partition)
        with self._reading:
            try:
                yield from self._read(self._reader(), place, begin)
            except _FAULTS as error:
                raise self._unread(error) from error

    def close(self) -> None:
        """Let go; what was not flushed may be lost."""
        self._fail()
        with self._reading:
            if self._consumer is not None:
                self._consumer.close(timeout_ms=WAIT_MS)
                self._consumer = None

    def _made(self) -> Producer:
        return Producer(
            **self._dial.settings(),
            acks="all",
            enable_idempotence=True,
            compression_type="zstd",
            linger_ms=LINGER_MS,
            max_request_size=self._max_bytes,
            batch_size=min(self._max_bytes, 1 << 18),
            max_block_ms=WAIT_MS,
            delivery_timeout_ms=DELIVERY_MS,
            request_timeout_ms=DELIVERY_MS // 2,
        )

    def _fail(self) -> None:
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        """One refused message makes a producer useless: end this one, and with it what it still has."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close(timeout=0)

    def _reader(self) -> KafkaConsumer:
        if self._consumer is None:
            self._consumer = KafkaConsumer(
                **self._dial.settings(),
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                max_partition_fetch_bytes=FETCH_BYTES,
            )
        return self._consumer

    def _unread(self, error: BaseException) -> OSError:
        """What a read that failed is told as; the next begins with a new client."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close(timeout_ms=0)
        return self._dial.error(error, self.topic)

    def _bounds(self, consumer: KafkaConsumer, place: TopicPartition) -> tuple[int, int]:
        first = consumer.beginning_offsets([place], timeout_ms=WAIT_MS)[place]
        end = consumer.end_offsets([place], timeout_ms=WAIT_MS)[place]
        return first, end

    def _read(self, consumer: KafkaConsumer, place: TopicPartition, begin: int) -> Iterator[Entry]:
        first, end = self._bounds(consumer, place)
        at = max(first, begin)
        consumer.assign([place])
        consumer.seek(place, at)
        heard = time.monotonic()
        while at < end:
            for record in consumer.poll(timeout_ms=200).get(place, []):
                if record.offset >= end:
                    return
                yield Entry(record.offset, record.key, record.value, record.headers)
            before, at = at, consumer.position(place, timeout_ms=WAIT_MS) or at
            if at > before:
                heard = time.monotonic()
            elif time.monotonic() - heard > READ_SECONDS:
                raise KafkaTimeoutError(f"nothing from offset {at} of {end}")
