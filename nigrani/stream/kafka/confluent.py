"""A link by confluent-kafka (librdkafka), for those who install it: several times fewer cycles an event."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, Producer

from nigrani.stream.kafka import producer as ours
from nigrani.stream.kafka.producer import LinkError, Ticket

if TYPE_CHECKING:
    from nigrani.stream.kafka.message import Message
    from nigrani.stream.kafka.producer import Route
    from nigrani.stream.kafka.settings import Connection

LOOK_SECONDS = 1.0
ROOM_SECONDS = 0.05
"""Between two attempts to find room in the library's queue."""


class ConfluentLink:
    """A link by confluent-kafka. Its gapless guarantee is what makes a link fail as one."""

    def __init__(self, route: Route, *, careful: bool) -> None:
        """See `Route.open`."""
        self._topic = route.topic
        self._failure: BaseException | None = None
        self._opened = False
        self._partitions = 0
        self._looked_at = 0.0
        try:
            self._producer = Producer({**_settings(route, careful=careful), "error_cb": self._told}, logger=_silent)
        except (KafkaException, OSError) as error:
            raise LinkError(route.trouble(error)) from error
        self.partitions()
        if self._failure is not None:
            self.close()
            raise LinkError(route.trouble(self._failure)) from self._failure
        self._opened = True

    @property
    def failure(self) -> BaseException | None:
        """See `Link`."""
        return self._failure

    def partitions(self) -> int:
        """See `Link`; asks the brokers once a minute, and as long as they do not answer what they said last holds."""
        if self._failure is None and (not self._opened or time.monotonic() - self._looked_at >= ours.METADATA_SECONDS):
            self._looked_at = time.monotonic()
            try:
                self._partitions = self._ask(LOOK_SECONDS if self._opened else ours.CONNECT_SECONDS)
            except KafkaException as error:
                if not self._opened:
                    self.fail(error)
        return 0 if self._failure else self._partitions

    def send(self, messages: Sequence[Message]) -> Ticket:
        """See `Link`; where the library's queue is full, waits for room."""
        produce, topic = self._producer.produce, self._topic
        ticket = _Reports(self, len(messages))
        report = ticket.report
        for partition, key, value, headers in messages:
            while self._failure is None:
                try:
                    produce(topic, value, key, partition, report, headers=headers)
                except BufferError:
                    self.serve(ROOM_SECONDS)
                except KafkaException as error:
                    self.fail(error)
                else:
                    break
        return ticket

    def wait(self, ticket: Ticket, timeout: float) -> None:
        """See `Link`."""
        if self._failure is None and not ticket.done():
            self.serve(timeout)

    def close(self) -> None:
        """See `Link`."""
        self._producer.purge(in_queue=True, in_flight=True, blocking=False)
        self.serve()

    def fail(self, error: BaseException) -> None:
        """End the link; what the library still has, it must not send after this."""
        if self._failure is None:
            self._failure = error
            self._producer.purge(in_queue=True, in_flight=True, blocking=False)

    def serve(self, timeout: float = 0) -> None:
        """Let the library report what it has to."""
        try:
            self._producer.poll(timeout)
        except KafkaException as error:
            self.fail(error)

    def _told(self, error: KafkaError) -> None:
        """What the library reports of no message in particular; later on it mends that by itself, or the messages tell."""
        if not self._opened and error.code() in _TELLING:
            self.fail(KafkaException(error))

    def _ask(self, seconds: float) -> int:
        """How many partitions there are; asked in short, for what is wrong is reported in between."""
        until = time.monotonic() + seconds
        while True:
            try:
                topic = self._producer.list_topics(self._topic, timeout=LOOK_SECONDS).topics[self._topic]
            except KafkaException:
                self.serve()
                if self._failure is not None or time.monotonic() >= until:
                    raise
            else:
                if topic.error is not None:
                    raise KafkaException(topic.error)
                return len(topic.partitions)


class _Reports:
    """A ticket of confluent-kafka."""

    def __init__(self, link: ConfluentLink, left: int) -> None:
        self._link = link
        self._left = left

    def report(self, error: KafkaError | None, _: object) -> None:
        """What became of one of the messages."""
        if error is None:
            self._left -= 1
        else:
            self._link.fail(KafkaException(error))

    def done(self) -> bool:
        """See `Ticket`; the library reports only when asked."""
        if self._left:
            self._link.serve()
        return self._left == 0


_silent = logging.getLogger("librdkafka")
_silent.setLevel(logging.CRITICAL + 1)  # a retry is no news, and what is news we tell
_TELLING = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})  # noqa: SLF001 - their names


def _settings(route: Route, *, careful: bool) -> dict[str, Any]:
    return {
        **options(route.connection, route.name),
        "acks": "all",
        "enable.idempotence": not careful,
        "enable.gapless.guarantee": not careful,
        "max.in.flight": 1 if careful else 5,
        "retries": 0 if careful else (1 << 31) - 1,
        "message.timeout.ms": int(ours.ASK_SECONDS * 1000) if careful else 0,
        "request.timeout.ms": int((ours.ASK_SECONDS / 2 if careful else ours.REQUEST_SECONDS) * 1000),
        "linger.ms": 0 if careful else int(ours.LINGER * 1000),
        "compression.type": route.compression,
        "batch.size": ours.BATCH_BYTES,
        "message.max.bytes": ours.REQUEST_BYTES,
        "queue.buffering.max.messages": 100_000,
        "queue.buffering.max.kbytes": 65_536,
        "reconnect.backoff.max.ms": 2000,
        "topic.metadata.refresh.interval.ms": int(ours.METADATA_SECONDS * 1000),
        "allow.auto.create.topics": False,
    }


def options(connection: Connection, name: str) -> dict[str, Any]:
    """What every client of librdkafka is made with. Raises OSError where the password's file cannot be read."""
    found: dict[str, Any] = {
        "bootstrap.servers": ",".join(connection.servers),
        "client.id": name,
        "security.protocol": connection.protocol,
    }
    if connection.tls.ca:
        found["ssl.ca.location"] = str(connection.tls.ca)
    if connection.tls.certificate:
        found["ssl.certificate.location"] = str(connection.tls.certificate)
        found["ssl.key.location"] = str(connection.tls.key)
    if connection.sasl.password:
        found["sasl.mechanism"] = connection.sasl.mechanism
        found["sasl.username"] = connection.sasl.user
        found["sasl.password"] = connection.sasl.password.read_text(encoding="utf-8").strip()
    return found
