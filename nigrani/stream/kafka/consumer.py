"""A Kafka topic as the feed of one member of a consumer group.

Who calls what on which thread: the group gives and takes partitions on the client's own thread. Those given are only noted
there and paused; `poll` calls `Owner.begin` for them on its caller's thread, and none of their records is delivered before.
Those taken are ended right there, before the group hears of it, so that whoever has them next finds their state.

A delivery that `poll` has returned may thus be of a partition that is gone by the time it is looked at: the owner, under its
own lock, must ask itself whether it still has the partition, and drop the delivery where it has not.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaError, RetriableError
from kafka.structs import MemberState, OffsetAndMetadata

from nigrani.stream.feed import Delivery
from nigrani.stream.kafka.client import Dial
from nigrani.stream.kafka.message import lines_of
from nigrani.stream.kafka.partitions import Partitions
from nigrani.stream.kafka.pulse import Pulse
from nigrani.stream.kafka.settings import Topics

if TYPE_CHECKING:
    from nigrani.stream.feed import Owner

LINES = 4096
"""Events of one poll, about."""
COMMIT_SECONDS = 5.0
BACKOFF_SECONDS = 0.5, 30.0
"""Between attempts at a new client: at first, and at most."""
BEGIN_SECONDS = 5.0
"""Until an owner that could not find its state is asked again."""
ASK_MS = 5_000
CLOSE_MS = 3_000
REQUEST_MS = 30_000
POLL_INTERVAL_MS = 300_000
FETCH_BYTES = 1 << 20
"""Of one partition at once, compressed; some ten thousand events."""

log = logging.getLogger(__name__)


class GroupFeed:
    """See `Feed`; offsets and counts are a topic's messages."""

    def __init__(self, topics: Topics, name: str = "nigrani-detector") -> None:
        """name: the client's name to the brokers. Nothing is connected before the first `poll`."""
        self.missed = 0
        """See `Feed`."""
        self.refused = 0
        """Messages that hold no events."""
        self._topics = topics
        self._dial = Dial(topics, name)
        self._pulse = Pulse(self._dial, topics.topic)
        self._owner: Owner
        self._client: KafkaConsumer | None = None
        self._partitions = Partitions()
        self._again = 0.0
        self._begin_at = 0.0
        self._backoff = BACKOFF_SECONDS[0]
        self._limit = 64
        self._committed_at = 0.0

    @property
    def trouble(self) -> str:
        """See `Feed`; a kind of `nigrani.stream.kafka.fault`."""
        return self._pulse.trouble

    def start(self, owner: Owner) -> None:
        """See `Feed`."""
        self._owner = owner

    def poll(self, timeout: float) -> list[Delivery]:
        """See `Feed`."""
        deadline = time.monotonic() + timeout
        try:
            if self._client is None:
                self._connect()
            if self._client is not None:
                return self._poll(self._client, deadline)
        except RetriableError as error:
            self._pulse.troubled(error)
        except (KafkaError, OSError, RuntimeError, ValueError) as error:
            self._pulse.troubled(error)
            self._drop_client()
        if self.trouble == "authentication" and self._client is not None:
            self._drop_client()  # it keeps to the password that it was made with
        time.sleep(max(min(deadline, self._again) - time.monotonic(), 0))
        return []

    def done(self, partition: int, offset: int) -> None:
        """See `Feed`; committed to the group now and then."""
        self._partitions.done(partition, offset)

    def lag(self) -> int:
        """See `Feed`."""
        if (client := self._client) is None:
            return 0
        lag = 0
        for partition, offset in self._partitions.held().items():
            try:
                end = client.highwater(self._place(partition))
            except (KafkaError, KeyError):  # taken back this very moment
                continue
            lag += max((end or offset) - offset, 0)
        return lag

    def close(self) -> None:
        """See `Feed`; a member with a name of its own stays in the group until its session times out."""
        done = self._partitions.take_done()
        for partition in sorted(self._partitions.held()):
            self._owner.end(partition)
        done |= self._partitions.take_done()
        self._partitions.go()
        if self._client is None:
            return
        client, self._client = self._client, None
        try:
            if done and client.group_metadata().state is MemberState.STABLE:
                client.commit(self._offsets(done), timeout_ms=CLOSE_MS)
        except KafkaError as error:
            log.info("the group's offsets are not committed: %s", error)
        _close(client)

    def given(self, partitions: Iterable[int]) -> None:
        """The group gives us these; called on the client's thread."""
        if (client := self._client) is not None:
            client.pause(*map(self._place, partitions))
            for partition in partitions:
                client.seek(self._place(partition), 0)  # spares the client a look for a place of its own
            self._partitions.come(partitions)

    def taken(self, partitions: Iterable[int], *, lost: bool) -> None:
        """The group takes these back, or gave them to another already; called on the client's thread."""
        for partition in self._partitions.go(partitions):
            if lost:
                self._owner.lost(partition)
            else:
                self._owner.end(partition)

    def _connect(self) -> None:
        if time.monotonic() < self._again:
            return
        topics = self._topics
        session = int(topics.session_timeout * 1000)
        self._client = client = KafkaConsumer(
            **self._dial.settings(),
            group_id=topics.group,
            group_instance_id=topics.instance or None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            partition_assignment_strategy=[CooperativeStickyAssignor],
            max_poll_interval_ms=POLL_INTERVAL_MS,
            max_partition_fetch_bytes=FETCH_BYTES,
            session_timeout_ms=session,
            heartbeat_interval_ms=min(1000, session // 6),
            request_timeout_ms=REQUEST_MS,
        )
        self._pulse.begin()
        client.subscribe([topics.topic], listener=_Listener(self))

    def _poll(self, client: KafkaConsumer, deadline: float) -> list[Delivery]:
        """What has come. Once there are records nothing raises any more: the client would not give them again."""
        self._begin(client)
        left = max(deadline - time.monotonic(), 0)
        records = client.poll(timeout_ms=int(left * 1000), max_records=self._limit)
        found = [delivery for place, few in records.items() for delivery in self._deliveries(client, place, few)]
        if found:
            self._alive()
            lines = sum(len(delivery.lines) for delivery in found)
            self._limit = max(1, min(LINES, LINES * sum(map(len, records.values())) // lines))
        elif not records:
            self._begin(client)
            if self._pulse.ask(client, [self._place(partition) for partition in self._partitions.held()]):
                self._alive()
        self._commit(client)
        return found

    def _begin(self, client: KafkaConsumer) -> None:
        """Find the owner's state of each partition that came, and read on from there."""
        for partition in self._partitions.came() if time.monotonic() >= self._begin_at else ():
            place = self._place(partition)
            first = client.beginning_offsets([place], timeout_ms=ASK_MS)[place]
            committed = client.committed(place, timeout_ms=ASK_MS)
            try:
                stands = self._owner.begin(partition)
            except OSError as error:
                self._begin_at = time.monotonic() + BEGIN_SECONDS
                self._pulse.troubled(error)
                return
            offset = next(known for known in (stands, committed, first) if known is not None)
            self.missed += max(first - offset, 0)
            offset = max(first, offset)
            if self._partitions.hold(partition, offset):
                client.seek(place, offset)
                client.resume(place)
            else:
                self._owner.lost(partition)

    def _deliveries(self, client: KafkaConsumer, place: TopicPartition, records: list[Any]) -> Iterable[Delivery]:
        partition = place.partition
        expected = self._partitions.held().get(partition)
        if expected is None:
            return
        if records[0].offset != expected:
            self._missed(client, place, expected, records[0].offset)
        lines: list[bytes] = []
        for record in records:
            try:
                lines += lines_of(record.value, record.headers)
            except ValueError as error:
                self.refused += 1
                if self.refused == 1:
                    log.warning("a message of %s is refused: %s", place.topic, error)
            if len(lines) >= LINES:
                yield Delivery(partition, record.offset + 1, lines)
                lines = []
        after = records[-1].offset + 1
        self._partitions.advance(partition, after)
        if lines:
            yield Delivery(partition, after, lines)

    def _missed(self, client: KafkaConsumer, place: TopicPartition, expected: int, found: int) -> None:
        """Count what retention dropped of a gap; offsets that a compacted or transactional topic leaves out are no loss."""
        if found < expected:
            log.warning("%s partition %d begins again at %d, before %d", place.topic, place.partition, found, expected)
            return
        try:
            first = client.beginning_offsets([place], timeout_ms=ASK_MS)[place]
        except KafkaError:
            first = found
        self.missed += max(min(first, found) - expected, 0)

    def _commit(self, client: KafkaConsumer) -> None:
        """Tell the group how far we are, unless it is just dividing the partitions anew."""
        now = time.monotonic()
        if now - self._committed_at < COMMIT_SECONDS or client.group_metadata().state is not MemberState.STABLE:
            return
        self._committed_at = now
        if done := self._partitions.take_done():
            try:
                client.commit_async(self._offsets(done), callback=_committed)
            except KafkaError as error:
                _committed(done, error)

    def _alive(self) -> None:
        self._backoff = BACKOFF_SECONDS[0]
        self._pulse.alive(whole=not self._partitions.came())

    def _drop_client(self) -> None:
        """Nothing more is to be had from this client: another is made after a while, with files read anew."""
        for partition in self._partitions.go():
            self._owner.lost(partition)
        client, self._client = self._client, None
        if client is not None:
            _close(client)
        self._again = time.monotonic() + self._backoff
        self._backoff = min(2 * self._backoff, BACKOFF_SECONDS[1])

    def _place(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topics.topic, partition)

    def _offsets(self, done: dict[int, int]) -> dict[TopicPartition, OffsetAndMetadata]:
        return {self._place(partition): OffsetAndMetadata(offset, "", -1) for partition, offset in done.items()}


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Takes the client's calls."""

    def __init__(self, feed: GroupFeed) -> None:
        self._feed = feed

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._feed.given([place.partition for place in assigned])

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._feed.taken([place.partition for place in revoked], lost=False)

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        self._feed.taken([place.partition for place in lost], lost=True)


def _committed(offsets: object, result: object) -> None:
    """Only whoever watches the lag sees a commit that failed: the next one tells as much."""
    if isinstance(result, Exception):
        log.info("offsets %s are not committed: %s", offsets, result)


def _close(client: KafkaConsumer) -> None:
    try:
        client.close(autocommit=False, timeout_ms=CLOSE_MS)
    except (KafkaError, OSError, RuntimeError) as error:
        log.info("a Kafka client did not close: %s", error)
