"""A member of a consumer group on a real broker: who has which partition when, and what comes of broken brokers."""

from __future__ import annotations

import datetime as dt
import gc
import itertools
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import ACLOperation, ResourceType

from bench.kafka.broker import Broker, SecureBroker, make_topic
from nigrani.stream.feed import Delivery
from nigrani.stream.kafka.consumer import GroupFeed
from nigrani.stream.kafka.message import BatchWire
from nigrani.stream.kafka.settings import Sasl, Tls, Topics

pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
"""kafka-python leaves a socket that was refused to the collector."""

SECONDS = 40.0


class Keeper:
    """An owner that keeps, as all members of a group do together, how far each partition is."""

    def __init__(self, kept: dict[int, int] | None = None, name: str = "") -> None:
        self.name = name
        self.kept = kept if kept is not None else {}
        self.mine: dict[int, int] = {}
        self.seen: list[tuple[int, bytes]] = []
        self.calls: list[tuple[str, int]] = []
        self.stale = 0
        self._lock = threading.Lock()

    def begin(self, partition: int) -> int | None:
        with self._lock:
            self.calls.append(("begin", partition))
            self.mine[partition] = self.kept.get(partition, 0)
            return self.kept.get(partition)

    def end(self, partition: int) -> None:
        with self._lock:
            self.calls.append(("end", partition))
            self.kept[partition] = self.mine.pop(partition)

    def lost(self, partition: int) -> None:
        with self._lock:
            self.calls.append(("lost", partition))
            self.mine.pop(partition, None)

    def take(self, delivery: Delivery) -> None:
        with self._lock:
            if delivery.partition not in self.mine:
                self.stale += 1
                return
            self.seen += [(delivery.partition, line) for line in delivery.lines]
            self.mine[delivery.partition] = delivery.next


class Member(threading.Thread):
    """A feed that is read by a thread."""

    def __init__(self, topics: Topics, kept: dict[int, int], name: str) -> None:
        super().__init__(daemon=True, name=name)
        self.keeper = Keeper(kept, name)
        self.feed = GroupFeed(topics, name)
        self.stopping = threading.Event()
        self.late: list[int] = []
        self.start()

    def run(self) -> None:
        self.feed.start(self.keeper)
        while not self.stopping.is_set():
            for delivery in self.feed.poll(0.1):
                self.keeper.take(delivery)
                self.feed.done(delivery.partition, delivery.next)
        self.feed.close()

    def stop(self) -> None:
        self.stopping.set()
        self.join(SECONDS)
        assert not self.is_alive()


@pytest.fixture
def topics(broker: Broker, request: pytest.FixtureRequest) -> Topics:
    name = f"{request.node.name[:60]}-{time.monotonic_ns()}".replace("[", "-").replace("]", "")
    make_topic(broker.servers, name, 4)
    return Topics(servers=(broker.servers,), topic=name, group=f"group-{name}", session_timeout=6)


@pytest.fixture
def feeds() -> Iterator[Callable[[Topics, Keeper], GroupFeed]]:
    made: list[GroupFeed] = []

    def make(topics: Topics, keeper: Keeper) -> GroupFeed:
        feed = GroupFeed(topics)
        made.append(feed)
        feed.start(keeper)
        return feed

    yield make
    for feed in made:
        feed.close()
    gc.collect()


def send(topics: Topics, lines: list[bytes], partition: int | None = None, **settings: object) -> None:
    with KafkaProducer(bootstrap_servers=list(topics.servers), **settings) as producer:
        for number, line in enumerate(lines):
            producer.send(topics.topic, value=line, partition=number % 4 if partition is None else partition)
        producer.flush(SECONDS)


def numbered(count: int, first: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(first, first + count)]


def until(feed: GroupFeed, keeper: Keeper, done: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Read until something is so."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"trouble {feed.trouble!r}, {len(keeper.seen)} seen"
        for delivery in feed.poll(0.1):
            keeper.take(delivery)


Feeds = Callable[[Topics, Keeper], GroupFeed]


def test_what_is_there_comes_in_order_and_then_what_is_new(topics: Topics, feeds: Feeds) -> None:
    send(topics, numbered(1000))
    keeper = Keeper()
    feed = feeds(topics, keeper)
    until(feed, keeper, lambda: len(keeper.seen) == 1000)
    send(topics, numbered(100, 1000))
    until(feed, keeper, lambda: len(keeper.seen) == 1100)
    for partition in range(4):
        assert [int(line) for part, line in keeper.seen if part == partition] == list(range(partition, 1100, 4))
    assert (feed.missed, feed.refused, feed.trouble, feed.lag()) == (0, 0, "", 0)
    assert keeper.mine == dict.fromkeys(range(4), 275)


def test_reading_begins_where_the_owner_stands(topics: Topics, feeds: Feeds) -> None:
    send(topics, numbered(400))
    keeper = Keeper({0: 100, 1: 90, 2: 0})
    feed = feeds(topics, keeper)
    until(feed, keeper, lambda: len(keeper.seen) == 210)
    assert Counter(partition for partition, _ in keeper.seen) == {1: 10, 2: 100, 3: 100}
    assert feed.missed == 0


def test_without_a_state_reading_goes_on_where_the_group_was(topics: Topics, feeds: Feeds) -> None:
    send(topics, numbered(400))
    keeper = Keeper()
    feed = feeds(topics, keeper)
    until(feed, keeper, lambda: len(keeper.seen) == 400)
    for partition in range(4):
        feed.done(partition, 60 + partition)
    feed.close()
    with KafkaAdminClient(bootstrap_servers=list(topics.servers)) as admin:
        told = admin.list_group_offsets(topics.group)[topics.group]
    assert {place.partition: at.offset for place, at in told.items()} == {0: 60, 1: 61, 2: 62, 3: 63}
    second = Keeper()
    until(feeds(topics, second), second, lambda: len(second.seen) == 400 - 246)


def test_both_wire_formats_come_as_lines_and_what_is_neither_is_counted(topics: Topics, feeds: Feeds) -> None:
    lines = [b'{"host.id":"h%d"}' % (number % 3) for number in range(2000)]
    with KafkaProducer(bootstrap_servers=list(topics.servers)) as producer:
        for part, key, value, headers in BatchWire().pack(lines, 4).messages:
            producer.send(topics.topic, value, key, headers, part)
        producer.send(topics.topic, None, b"key", partition=0)
        producer.send(topics.topic, b"x", partition=0, headers=[("content-type", b"image/png")])
        producer.flush()
    keeper = Keeper()
    feed = feeds(topics, keeper)
    until(feed, keeper, lambda: len(keeper.seen) == 2000 and feed.refused == 2)
    assert Counter(line for _, line in keeper.seen) == Counter(lines)
    assert set(keeper.mine) == {0, 1, 2, 3}


def drop(topics: Topics, partition: int, before: int) -> None:
    """What retention does."""
    with KafkaAdminClient(bootstrap_servers=list(topics.servers)) as admin:
        admin.delete_records({TopicPartition(topics.topic, partition): before})


def test_what_retention_dropped_before_we_came_is_missed(topics: Topics, feeds: Feeds) -> None:
    send(topics, numbered(100), partition=2)
    drop(topics, 2, 40)
    keeper = Keeper({2: 10})
    feed = feeds(topics, keeper)
    until(feed, keeper, lambda: len(keeper.seen) == 60)
    assert feed.missed == 30


def test_what_retention_dropped_while_we_were_away_is_missed(topics: Topics, feeds: Feeds) -> None:
    keeper = Keeper()
    feed = feeds(topics, keeper)
    send(topics, [b"first"], partition=1)
    until(feed, keeper, lambda: len(keeper.seen) == 1)
    send(topics, [os.urandom(1000).hex().encode() for _ in range(3000)], partition=1)
    drop(topics, 1, 2501)  # the client holds the first MiB already
    until(feed, keeper, lambda: keeper.mine[1] == 3001)
    assert feed.missed > 0
    assert feed.missed + len(keeper.seen) == 3001


def test_messages_that_a_transaction_left_out_are_not_missed(topics: Topics, feeds: Feeds) -> None:
    with KafkaProducer(bootstrap_servers=list(topics.servers), transactional_id=topics.topic) as producer:
        producer.init_transactions()
        for number in range(3):
            producer.begin_transaction()
            producer.send(topics.topic, b"%d" % number, partition=0)
            producer.commit_transaction()  # a marker takes an offset of its own
    keeper = Keeper()
    feed = feeds(topics, keeper)
    until(feed, keeper, lambda: len(keeper.seen) == 3)
    assert (feed.missed, keeper.mine[0]) == (0, 5)


def test_members_come_and_go_under_load(durable_broker: Broker, topics: Topics) -> None:
    kept: dict[int, int] = {}
    sent = 0
    loading = threading.Event()

    def load() -> None:
        nonlocal sent
        with KafkaProducer(bootstrap_servers=list(topics.servers), linger_ms=5) as producer:
            while not loading.is_set():
                for _ in range(20):
                    producer.send(topics.topic, b"%d" % sent, partition=sent % 4)
                    sent += 1
                time.sleep(0.01)
            producer.flush(SECONDS)

    loader = threading.Thread(target=load)
    loader.start()
    members = [Member(topics, kept, "a")]
    wait(lambda: len(members[0].keeper.mine) == 4)
    began = time.monotonic()
    members += [Member(topics, kept, "b"), Member(topics, kept, "c")]
    wait(lambda: sorted(len(member.keeper.mine) for member in members) == [1, 1, 2])
    assert time.monotonic() - began < 8
    members[1].stop()
    wait(lambda: len(members[0].keeper.mine) == len(members[2].keeper.mine) == 2)
    loading.set()
    loader.join()
    wait(lambda: sum(len(member.keeper.seen) for member in members) >= sent)
    for member in members:
        member.stop()
    seen = [entry for member in members for entry in member.keeper.seen]
    assert Counter(int(line) for _, line in seen) == Counter(range(sent))
    assert [member.keeper.stale for member in members] == [0, 0, 0]
    assert not any(call == "lost" for member in members for call, _ in member.keeper.calls)
    for member in members:
        assert not member.keeper.mine
        for partition in range(4):
            calls = [call for call, part in member.keeper.calls if part == partition]
            assert calls == ["begin", "end"] * (len(calls) // 2)


def wait(done: Callable[[], bool], seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_member_that_was_away_too_long_is_replaced_and_told(durable_broker: Broker, topics: Topics, feeds: Feeds) -> None:
    send(topics, numbered(40))
    kept: dict[int, int] = {}
    first, second = Keeper(kept), Keeper(kept)
    dead = feeds(topics, first)
    until(dead, first, lambda: len(first.seen) == 40)
    dead._client._net.call_soon(lambda: time.sleep(9))  # as if its machine had stopped for longer than a session
    heir = feeds(topics, second)
    until(heir, second, lambda: len(second.seen) == 40)
    assert sorted(second.seen) == sorted(first.seen)
    until(dead, first, lambda: ("lost", 0) in first.calls)
    assert not any(call == "end" for call, _ in first.calls)


def test_a_named_member_comes_back_to_its_partitions_unnoticed(topics: Topics, feeds: Feeds) -> None:
    kept: dict[int, int] = {}
    other = Member(Topics(**{**vars(topics), "instance": "two"}), kept, "two")
    named = Topics(**{**vars(topics), "instance": "one"})
    keeper = Keeper(kept)
    feed = feeds(named, keeper)
    until(feed, keeper, lambda: len(keeper.mine) == len(other.keeper.mine) == 2)
    before, calls = set(keeper.mine), len(other.keeper.calls)
    feed.close()
    again = Keeper(kept)
    feed = feeds(named, again)
    until(feed, again, lambda: set(again.mine) == before)
    assert len(other.keeper.calls) == calls
    other.stop()


def test_a_topic_that_is_not_there_is_told_and_waited_for(broker: Broker, topics: Topics, feeds: Feeds) -> None:
    late = Topics(**{**vars(topics), "topic": f"late-{topics.topic}"})
    keeper = Keeper()
    feed = feeds(late, keeper)
    until(feed, keeper, lambda: feed.trouble == "topic")
    make_topic(broker.servers, late.topic, 4)
    send(late, numbered(10))
    until(feed, keeper, lambda: len(keeper.seen) == 10)
    assert feed.trouble == ""


def test_a_broker_that_is_away_for_a_while(tmp_path: Path, feeds: Feeds, caplog: pytest.LogCaptureFixture) -> None:
    with Broker(tmp_path / "kafka") as own:
        name = make_topic(own.servers, "events", 4)
        topics = Topics(servers=(own.servers,), topic=name, session_timeout=6)
        send(topics, numbered(100))
        own.stop()
        keeper = Keeper()
        feed = feeds(topics, keeper)
        until(feed, keeper, lambda: feed.trouble == "unreachable")
        own.start()
        until(feed, keeper, lambda: len(keeper.seen) == 100)
        own.kill()
        until(feed, keeper, lambda: feed.trouble == "unreachable")
        own.start()
        send(topics, numbered(100, 100))
        until(feed, keeper, lambda: len(set(keeper.seen)) == 200)
        own.pause()
        until(feed, keeper, lambda: feed.trouble == "timeout")
        own.resume()
        until(feed, keeper, lambda: feed.trouble == "")
    told = [record.getMessage() for record in caplog.records if record.name.startswith("nigrani")]
    again = ["is read again" in line for line in told]
    assert again[-1], told
    assert 3 <= again.count(True) <= again.count(False) <= 9, told  # a start has stages: one word on each, none on a retry
    assert all(one != other for one, other in itertools.pairwise(told)), told


@pytest.fixture
def guarded(secure_broker: SecureBroker, request: pytest.FixtureRequest) -> Topics:
    """As the detector with its certificate, with no rights yet."""
    name = f"{request.node.name[:60]}-{time.monotonic_ns()}"
    make_topic(secure_broker.servers, name, 4, client=secure_broker.client())
    folder = secure_broker.certificates
    tls = Tls(folder / "ca.crt", folder / "detector.crt", folder / "detector.key")
    return Topics(servers=(secure_broker.servers,), topic=name, group=f"group-{name}", session_timeout=6, tls=tls)


def allow(secure_broker: SecureBroker, user: str, topics: Topics) -> None:
    secure_broker.allow(user, ResourceType.TOPIC, topics.topic, ACLOperation.READ, ACLOperation.DESCRIBE)
    secure_broker.allow(user, ResourceType.GROUP, topics.group, ACLOperation.READ)


def test_rights_that_are_given_late(secure_broker: SecureBroker, guarded: Topics, feeds: Feeds) -> None:
    keeper = Keeper()
    feed = feeds(guarded, keeper)
    until(feed, keeper, lambda: feed.trouble == "authorization")
    secure_broker.allow("detector", ResourceType.GROUP, guarded.group, ACLOperation.READ)
    until(feed, keeper, lambda: feed._client is not None and feed.trouble == "authorization")
    allow(secure_broker, "detector", guarded)
    until(feed, keeper, lambda: len(keeper.mine) == 4 and feed.trouble == "")


def test_a_certificate_that_is_renewed(secure_broker: SecureBroker, guarded: Topics, feeds: Feeds, tmp_path: Path) -> None:
    allow(secure_broker, "detector", guarded)
    past = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    old = secure_broker.authority.issue(tmp_path, "detector", until=past)
    tls = Tls(guarded.tls.ca, old.certificate, old.key)
    keeper = Keeper()
    feed = feeds(Topics(**{**vars(guarded), "tls": tls}), keeper)
    until(feed, keeper, lambda: feed.trouble == "certificate")
    secure_broker.authority.issue(tmp_path, "detector")
    until(feed, keeper, lambda: len(keeper.mine) == 4 and feed.trouble == "")


def test_a_password_that_is_put_right(secure_broker: SecureBroker, guarded: Topics, feeds: Feeds, tmp_path: Path) -> None:
    secure_broker.add_user("reader", "right")
    allow(secure_broker, "reader", guarded)
    password = tmp_path / "password"
    password.write_text("wrong\n")
    servers = (secure_broker.sasl_servers,)
    sasl = Topics(**{**vars(guarded), "servers": servers, "tls": Tls(guarded.tls.ca), "sasl": Sasl("reader", password)})
    keeper = Keeper()
    feed = feeds(sasl, keeper)
    until(feed, keeper, lambda: feed.trouble == "authentication")
    password.write_text("right\n")
    until(feed, keeper, lambda: len(keeper.mine) == 4 and feed.trouble == "")
