"""A member of a group against a client that does what the test says; tests/kafka has it on a real broker."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.errors import (
    FencedInstanceIdError,
    GroupAuthorizationFailedError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
)
from kafka.future import Future
from kafka.structs import MemberState

from nigrani.stream.bus import BusError
from nigrani.stream.kafka import consumer as module
from nigrani.stream.kafka.consumer import LINES, GroupFeed
from nigrani.stream.kafka.settings import Sasl, Topics

TOPICS = Topics(servers=("127.0.0.1:1",), topic="t", group="g")


class Client:
    """Stands in for KafkaConsumer: each poll carries out the next step, which may give, take, fail or return records."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.steps: list[Callable[[], Any]] = []
        self.paused: set[int] = set()
        self.positions: dict[int, int] = {}
        self.first: dict[int, int] = {}
        self.known: dict[int, int] = {}
        self.ends: dict[int, int] = {}
        self.commits: list[dict[int, int]] = []
        self.polled: list[int] = []
        self.closed = False
        self.state = MemberState.STABLE
        self.asked = Future()
        self.commit_fault: Exception | None = None
        self._cluster = SimpleNamespace(request_update=lambda: self.asked, leader_for_partition=lambda place: 1)

    def subscribe(self, topics: list[str], listener: Any) -> None:
        self.listener = listener

    def give(self, *partitions: int) -> None:
        self.listener.on_partitions_assigned({TopicPartition("t", one) for one in partitions})

    def take(self, *partitions: int, lost: bool = False) -> None:
        places = {TopicPartition("t", one) for one in partitions}
        (self.listener.on_partitions_lost if lost else self.listener.on_partitions_revoked)(places)

    def poll(self, timeout_ms: int, max_records: int) -> Any:
        self.polled.append(max_records)
        return (self.steps.pop(0)() if self.steps else None) or {}

    def pause(self, *places: TopicPartition) -> None:
        self.paused |= {place.partition for place in places}

    def resume(self, *places: TopicPartition) -> None:
        self.paused -= {place.partition for place in places}

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.positions[place.partition] = offset

    def beginning_offsets(self, places: list[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        return {place: self.first.get(place.partition, 0) for place in places}

    def committed(self, place: TopicPartition, timeout_ms: int) -> int | None:
        return self.known.get(place.partition)

    def highwater(self, place: TopicPartition) -> int | None:
        return self.ends.get(place.partition)

    def group_metadata(self) -> Any:
        return SimpleNamespace(state=self.state)

    def commit_async(self, offsets: dict[TopicPartition, Any], callback: Any) -> None:
        if self.commit_fault:
            raise self.commit_fault
        self.commits.append({place.partition: at.offset for place, at in offsets.items()})

    def commit(self, offsets: dict[TopicPartition, Any], timeout_ms: int) -> None:
        self.commit_async(offsets, None)

    def close(self, *, autocommit: bool, timeout_ms: int) -> None:
        self.closed = True


class Owner:
    """Notes what it is told."""

    def __init__(self, stands: dict[int, int] | None = None) -> None:
        self.stands = stands or {}
        self.calls: list[tuple[str, int]] = []
        self.fault: OSError | None = None

    def begin(self, partition: int) -> int | None:
        if self.fault:
            raise self.fault
        self.calls.append(("begin", partition))
        return self.stands.get(partition)

    def end(self, partition: int) -> None:
        self.calls.append(("end", partition))

    def lost(self, partition: int) -> None:
        self.calls.append(("lost", partition))


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[Client]:
    made: list[Client] = []

    def make(**settings: Any) -> Client:
        made.append(Client(**settings))
        return made[-1]

    monkeypatch.setattr(module, "KafkaConsumer", make)
    monkeypatch.setattr(module, "BACKOFF_SECONDS", (0.0, 0.0))
    return made


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def feed(clients: list[Client], owner: Owner, monkeypatch: pytest.MonkeyPatch) -> GroupFeed:
    made = GroupFeed(TOPICS)
    made.start(owner)
    made._backoff = 0.0
    told = SimpleNamespace(kind="unreachable")
    kinds = {GroupAuthorizationFailedError: "authorization", TopicAuthorizationFailedError: "authorization"}
    made._dial.trouble = lambda error, topic: SimpleNamespace(kind=kinds.get(type(error), told.kind))  # type: ignore[method-assign]
    made.poll(0)
    return made


def records(partition: int, *offsets: int, value: bytes = b"x") -> dict[TopicPartition, list[Any]]:
    found = [SimpleNamespace(offset=offset, value=value, headers=[]) for offset in offsets]
    return {TopicPartition("t", partition): found}


def held(feed: GroupFeed, client: Client, *partitions: int) -> None:
    client.steps.append(lambda: client.give(*partitions))
    feed.poll(0)


def test_the_client_is_made_as_it_must_be(feed: GroupFeed, clients: list[Client]) -> None:
    settings = clients[0].settings
    assert settings["enable_auto_commit"] is False
    assert settings["auto_offset_reset"] == "earliest"
    assert [kind.__name__ for kind in settings["partition_assignment_strategy"]] == ["CooperativeStickyAssignor"]
    assert (settings["group_id"], settings["group_instance_id"]) == ("g", None)
    assert settings["session_timeout_ms"] == 10_000
    assert settings["heartbeat_interval_ms"] <= 10_000 / 3


def test_what_is_given_waits_for_its_owner(feed: GroupFeed, clients: list[Client], owner: Owner) -> None:
    client = clients[0]
    owner.stands = {1: 70}
    seen: list[set[int]] = []
    owner_begin = owner.begin
    owner.begin = lambda partition: (seen.append(set(client.paused)), owner_begin(partition))[1]  # type: ignore[method-assign]
    held(feed, client, 1)
    assert seen == [{1}]
    assert (client.paused, client.positions) == (set(), {1: 70})


@pytest.mark.parametrize(
    ("stands", "committed", "first", "offset", "missed"),
    [
        (70, 50, 10, 70, 0),
        (None, 50, 10, 50, 0),
        (None, None, 10, 10, 0),
        (0, 50, 0, 0, 0),
        (70, 90, 100, 100, 30),
        (None, 50, 100, 100, 50),
    ],
)
def test_where_reading_begins(
    feed: GroupFeed,
    clients: list[Client],
    owner: Owner,
    stands: int | None,
    committed: int | None,
    first: int,
    offset: int,
    missed: int,
) -> None:
    client = clients[0]
    owner.stands = {} if stands is None else {1: stands}
    client.known = {} if committed is None else {1: committed}
    client.first = {1: first}
    held(feed, client, 1)
    assert (client.positions[1], feed.missed) == (offset, missed)


def test_records_become_deliveries(feed: GroupFeed, clients: list[Client]) -> None:
    client = clients[0]
    held(feed, client, 0, 1)
    client.steps.append(lambda: records(0, 0, 1, 2) | records(1, 0))
    assert [tuple(delivery) for delivery in feed.poll(0)] == [(0, 3, [b"x"] * 3), (1, 1, [b"x"])]


def test_many_lines_are_several_deliveries_and_the_next_poll_asks_for_less(feed: GroupFeed, clients: list[Client]) -> None:
    client = clients[0]
    held(feed, client, 0)
    value = b"\n".join([b"{}"] * 3000)
    client.steps.append(lambda: records(0, 0, 1, 2, 3, value=value))
    found = feed.poll(0)
    assert [(delivery.next, len(delivery.lines)) for delivery in found] == [(2, 6000), (4, 6000)]
    feed.poll(0)
    assert client.polled[-1] == LINES // 3000


def test_what_holds_no_events_is_refused_and_passed(feed: GroupFeed, clients: list[Client]) -> None:
    client = clients[0]
    held(feed, client, 0)
    client.steps.append(lambda: {TopicPartition("t", 0): [SimpleNamespace(offset=0, value=None, headers=[])]})
    assert feed.poll(0) == []
    assert feed.refused == 1
    client.steps.append(lambda: records(0, 1))
    assert [delivery.next for delivery in feed.poll(0)] == [2]
    assert feed.missed == 0


def test_what_is_taken_is_ended_at_once_and_delivers_no_more(feed: GroupFeed, clients: list[Client], owner: Owner) -> None:
    client = clients[0]
    held(feed, client, 0, 1)

    def step() -> Any:
        client.take(0)
        assert owner.calls[-1] == ("end", 0)
        return records(0, 0) | records(1, 0)

    client.steps.append(step)
    assert [delivery.partition for delivery in feed.poll(0)] == [1]


def test_what_is_lost_is_forgotten(feed: GroupFeed, clients: list[Client], owner: Owner) -> None:
    client = clients[0]
    held(feed, client, 0)
    client.steps.append(lambda: client.take(0, lost=True))
    feed.poll(0)
    assert owner.calls == [("begin", 0), ("lost", 0)]


def test_what_is_taken_while_its_owner_looks_for_its_state_is_lost(
    feed: GroupFeed, clients: list[Client], owner: Owner
) -> None:
    client = clients[0]
    begin = owner.begin

    def taken(partition: int) -> int | None:
        client.take(partition)
        return begin(partition)

    owner.begin = taken  # type: ignore[method-assign]
    held(feed, client, 0)
    assert owner.calls == [("begin", 0), ("lost", 0)]
    assert client.paused == {0}


def test_an_owner_that_cannot_find_its_state_is_asked_again_while_the_rest_goes_on(
    feed: GroupFeed, clients: list[Client], owner: Owner
) -> None:
    client = clients[0]
    held(feed, client, 3)
    owner.fault = BusError("the state topic is away")
    held(feed, client, 0)
    assert (feed.trouble, client.paused) == ("unreachable", {0})
    client.steps.append(lambda: records(3, 0))
    assert [delivery.partition for delivery in feed.poll(0)] == [3]
    assert feed.trouble == "unreachable"
    owner.fault = None
    feed._begin_at = 0.0
    feed.poll(0)
    client.steps.append(lambda: records(0, 0))
    assert [delivery.partition for delivery in feed.poll(0)] == [0]
    assert (feed.trouble, client.paused, clients) == ("", set(), [client])
    assert owner.calls == [("begin", 3), ("begin", 0)]


def test_a_gap_that_retention_made_is_missed(feed: GroupFeed, clients: list[Client]) -> None:
    client = clients[0]
    held(feed, client, 0)
    client.steps.append(lambda: records(0, 0))
    feed.poll(0)
    client.first = {0: 40}
    client.steps.append(lambda: records(0, 50))
    assert [delivery.next for delivery in feed.poll(0)] == [51]
    assert feed.missed == 39


def test_a_topic_that_begins_anew_is_read_from_its_beginning(feed: GroupFeed, clients: list[Client]) -> None:
    client = clients[0]
    held(feed, client, 0)
    client.steps += [lambda: records(0, 0, 1, 2), lambda: records(0, 0)]
    feed.poll(0)
    assert [delivery.next for delivery in feed.poll(0)] == [1]
    assert feed.missed == 0


def test_nothing_fails_once_there_are_records(feed: GroupFeed, clients: list[Client]) -> None:
    client = clients[0]
    held(feed, client, 0)

    def silent(*_: object, **__: object) -> Any:
        raise KafkaTimeoutError

    client.beginning_offsets = silent  # type: ignore[method-assign]
    client.commit_fault = FencedInstanceIdError()
    feed.done(0, 0)
    feed._committed_at = 0.0
    client.steps.append(lambda: records(0, 5))
    assert [delivery.next for delivery in feed.poll(0)] == [6]
    assert feed.missed == 5


def test_what_is_done_is_committed_now_and_then(feed: GroupFeed, clients: list[Client]) -> None:
    client = clients[0]
    held(feed, client, 0, 1)
    feed.done(0, 5)
    feed._committed_at = 0.0
    feed.poll(0)
    feed.done(0, 6)
    feed.poll(0)
    assert client.commits == [{0: 5}]


def test_nothing_is_committed_while_the_group_divides_its_partitions(feed: GroupFeed, clients: list[Client]) -> None:
    client = clients[0]
    held(feed, client, 0)
    feed.done(0, 5)
    feed._committed_at = 0.0
    client.state = MemberState.REBALANCING
    feed.poll(0)
    assert client.commits == []
    client.state = MemberState.STABLE
    feed.poll(0)
    assert client.commits == [{0: 5}]


def test_lag_is_what_is_not_polled_of_our_partitions(feed: GroupFeed, clients: list[Client]) -> None:
    client = clients[0]
    held(feed, client, 0, 1, 2)
    client.ends = {0: 10, 1: 7}
    client.steps.append(lambda: records(1, 0, 1))
    feed.poll(0)
    assert feed.lag() == 10 + 5


def test_a_client_that_is_of_no_more_use_is_replaced(feed: GroupFeed, clients: list[Client], owner: Owner) -> None:
    client = clients[0]
    held(feed, client, 0)

    def fail() -> Any:
        raise GroupAuthorizationFailedError

    client.steps.append(fail)
    assert feed.poll(0) == []
    assert (feed.trouble, client.closed, owner.calls[-1]) == ("authorization", True, ("lost", 0))
    feed.poll(0)
    assert len(clients) == 2
    held(feed, clients[1], 0)
    clients[1].steps.append(lambda: records(0, 0))
    assert len(feed.poll(0)) == 1
    assert feed.trouble == ""


def test_a_password_file_that_is_not_there_is_waited_for(clients: list[Client], tmp_path: Any) -> None:
    path = tmp_path / "password"
    feed = GroupFeed(Topics(servers=("127.0.0.1:1",), sasl=Sasl("u", path)))
    feed.start(Owner())
    assert feed.poll(0) == []
    assert (feed.trouble, clients) == ("authentication", [])
    path.write_text("secret\n")
    feed._again = 0.0
    feed.poll(0)
    assert clients[0].settings["sasl_plain_password"] == "secret"


def test_the_end(feed: GroupFeed, clients: list[Client], owner: Owner) -> None:
    client = clients[0]
    held(feed, client, 0, 1)
    end = owner.end

    def keep(partition: int) -> None:
        feed.done(partition, 8)
        end(partition)

    owner.end = keep  # type: ignore[method-assign]
    feed.close()
    assert owner.calls[2:] == [("end", 0), ("end", 1)]
    assert (client.commits, client.closed) == ([{0: 8, 1: 8}], True)


def test_the_end_before_anything_began(clients: list[Client]) -> None:
    feed = GroupFeed(TOPICS)
    feed.start(Owner())
    feed.close()
    assert clients == []


def test_brokers_that_are_away_do_not_hold_the_end_up(feed: GroupFeed, clients: list[Client], owner: Owner) -> None:
    client = clients[0]
    held(feed, client, 0)
    feed.done(0, 3)
    client.commit_fault = KafkaTimeoutError()
    feed.close()
    assert client.closed
    assert owner.calls[-1] == ("end", 0)
