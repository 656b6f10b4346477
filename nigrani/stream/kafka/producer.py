"""The writing end of a topic, whatever client library carries it, and what we ask of one.

**A link fails as one.** After the first record that does not get in, no later one does: what a partition holds of a link
is always a beginning of what was sent to it, in order. So whoever sends again from the first record that was not
acknowledged never fills a gap late, though repeats come. kafka-python alone does not promise this: its producer goes on
with later records after one has outlived `delivery_timeout_ms`, or after the broker forgot the producer's sequence.

**A link does not give up by itself.** Its owner counts what is in flight, sees what does not come back, and closes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol

from nigrani.stream.kafka.fault import Trouble, diagnose
from nigrani.stream.kafka.message import Message
from nigrani.stream.kafka.settings import Connection

Compression = Literal["zstd", "lz4", "none"]

LINGER = 0.2
"""Seconds that a record may wait for company: alone it takes five times the bytes, on networks and on brokers' disks."""
BATCH_BYTES = 256 << 10
"""Of one partition's records sent together, before compression."""
REQUEST_BYTES = 1_000_000
"""Of one request; below the 1 MiB that a topic and a broker take unless told otherwise."""
CONNECT_SECONDS = 5.0
ASK_SECONDS = 10.0
"""For the answer to a careful link's record."""
REQUEST_SECONDS = 30.0
"""Without an answer for so long, a connection is given up and its records are sent again on the next."""
METADATA_SECONDS = 60.0
"""Partitions that were added are seen after so long."""
FOREVER = (1 << 31) - 1
"""Milliseconds; Kafka's longest."""


class LinkError(Exception):
    """The link did not come about, or did not deliver; its cause says why."""

    def __init__(self, trouble: Trouble | None = None) -> None:
        """trouble: what it means, where that is known already."""
        super().__init__(str(trouble or "not delivered"))
        self.trouble = trouble


class Ticket(Protocol):
    """Some messages on their way."""

    def done(self) -> bool:
        """All of them are acknowledged."""


class Link(Protocol):
    """A producer of one topic; for one thread."""

    @property
    def failure(self) -> BaseException | None:
        """Why the link ended. Nothing that was not acknowledged by now ever will be, though it may have arrived."""

    def partitions(self) -> int:
        """How many the topic has; 0 once the link has failed."""

    def send(self, messages: Sequence[Message]) -> Ticket:
        """Send these, after all before; does not wait for brokers, and fails the link rather than raise."""

    def wait(self, ticket: Ticket, timeout: float) -> None:
        """Until the ticket or the link may have changed, at most `timeout` seconds."""

    def close(self) -> None:
        """End it now."""


class Route(NamedTuple):
    """Everything that links to one topic are made of."""

    connection: Connection
    topic: str
    compression: Compression = "zstd"
    name: str = "nigrani"
    """What brokers call this client."""

    def open(self, *, careful: bool = False) -> Link:
        """A new link; waits for the brokers, at most some 10 s. Raises LinkError.

        careful: gives up on a record at once, and says why; for one record at a time, awaited.
        """
        if self.connection.client == "confluent":
            from nigrani.stream.kafka.confluent import ConfluentLink  # noqa: PLC0415 - an extra

            return ConfluentLink(self, careful=careful)
        return KafkaPythonLink(self, careful=careful)

    def trouble(self, error: BaseException) -> Trouble:
        """What is wrong; looks at the servers where the error does not say."""
        if isinstance(error, LinkError) and error.trouble is not None:
            return error.trouble
        return diagnose(error, self.connection, f"topic {self.topic}")


class KafkaPythonLink:
    """A link by kafka-python."""

    def __init__(self, route: Route, *, careful: bool) -> None:
        """See `Route.open`."""
        from kafka.errors import KafkaError  # noqa: PLC0415 - loaded only where brokers are configured

        from nigrani.stream.kafka.client import Dial, Producer  # noqa: PLC0415 - as above

        self._faults: tuple[type[Exception], ...] = (KafkaError, OSError, ValueError)
        self._topic = route.topic
        self._failure: BaseException | None = None
        dial = Dial(route.connection, route.name)
        try:
            self._producer = Producer(**dial.settings(), **_settings(route, careful=careful))
        except self._faults as error:
            raise LinkError(dial.trouble(error, route.topic)) from error
        if not self.partitions() and self._failure is not None:
            raise LinkError(dial.trouble(self._failure, route.topic)) from self._failure

    @property
    def failure(self) -> BaseException | None:
        """See `Link`."""
        return self._failure

    def partitions(self) -> int:
        """See `Link`; from what the client knows, which is never older than a minute."""
        try:
            return len(self._producer.partitions_for(self._topic))
        except self._faults as error:
            self._fail(error)
            return 0

    def send(self, messages: Sequence[Message]) -> Ticket:
        """See `Link`."""
        send, topic, fail = self._producer.send, self._topic, self._fail
        futures: list[Any] = []
        for partition, key, value, headers in messages:
            try:
                future = send(topic, value, key, headers, partition)
            except self._faults as error:
                self._fail(error)
                return _Futures(futures, lost=True)
            future.add_errback(fail)
            futures.append(future)
        return _Futures(futures)

    def wait(self, ticket: Ticket, timeout: float) -> None:
        """See `Link`."""
        if isinstance(ticket, _Futures) and not ticket.done() and self._failure is None:
            try:
                ticket.next.get(timeout)
            except self._faults:
                return

    def close(self) -> None:
        """See `Link`; its thread ends within a moment."""
        self._producer.close(timeout=0)

    def _fail(self, error: BaseException) -> None:
        """End the link; called by the sender's thread before it sends anything more to the failed record's partition."""
        if self._failure is None:
            self._failure = error
            self._producer.close(timeout=0)


class _Futures:
    """A ticket of kafka-python."""

    def __init__(self, futures: list[Any], *, lost: bool = False) -> None:
        self._futures = futures
        self._lost = lost
        self._at = 0

    @property
    def next(self) -> Any:
        """The first that was not acknowledged when last asked."""
        return self._futures[self._at]

    def done(self) -> bool:
        """See `Ticket`."""
        futures, at = self._futures, self._at
        while at < len(futures) and futures[at].is_done:
            if futures[at].exception is not None:
                self._lost = True
                break
            at += 1
        self._at = at
        return at == len(futures) and not self._lost


def _settings(route: Route, *, careful: bool) -> dict[str, Any]:
    return {
        "acks": "all",
        "enable_idempotence": True,
        "retries": 1 if careful else float("inf"),
        "max_in_flight_requests_per_connection": 1 if careful else 5,
        "compression_type": None if route.compression == "none" else route.compression,
        "linger_ms": 0 if careful else _ms(LINGER),
        "batch_size": BATCH_BYTES,
        "max_request_size": REQUEST_BYTES,
        "request_timeout_ms": _ms(ASK_SECONDS / 2 if careful else REQUEST_SECONDS),
        "delivery_timeout_ms": _ms(ASK_SECONDS) if careful else FOREVER,
        "max_block_ms": _ms(CONNECT_SECONDS),
        "metadata_max_age_ms": _ms(METADATA_SECONDS),
    }


def _ms(seconds: float) -> int:
    """Whole: a fraction ends kafka-python's thread in the middle of a request, unseen."""
    return int(seconds * 1000)
