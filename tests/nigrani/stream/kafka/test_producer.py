"""Links by kafka-python; what happens to them on real brokers is in tests/kafka/test_forwarder.py."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from kafka.errors import MessageSizeTooLargeError, OutOfOrderSequenceNumberError
from kafka.future import Future

from bench.kafka.broker import make_topic
from bench.kafka.libraries import Unavailable
from bench.kafka.noida import NoidaBroker
from nigrani.stream.kafka import producer as module
from nigrani.stream.kafka.message import EventWire, Message
from nigrani.stream.kafka.producer import Link, LinkError, Route, Ticket, _Futures
from nigrani.stream.kafka.settings import Connection
from tests.nigrani.stream.kafka.test_message import MANY

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <s(ocket|sl):ResourceWarning")
"""kafka-python leaves it to the garbage collector to close the socket of a connection that did not come about."""


@pytest.fixture(scope="module")
def servers() -> Iterator[str]:
    try:
        broker = NoidaBroker()
    except Unavailable as reason:
        pytest.skip(str(reason))
    with broker:
        yield broker.servers


@pytest.fixture
def route(servers: str) -> Route:
    return Route(Connection(servers=(servers,)), make_topic(servers, f"t-{uuid4().hex}", 3))


def settle(link: Link, ticket: Ticket) -> None:
    until = time.monotonic() + 20
    while not ticket.done():
        assert link.failure is None
        assert time.monotonic() < until
        link.wait(ticket, 1)


@pytest.mark.parametrize("careful", [False, True])
def test_what_was_sent_is_acknowledged(route: Route, careful: bool) -> None:
    link = route.open(careful=careful)
    assert link.partitions() == 3
    tickets = [link.send(EventWire().pack(MANY[start : start + 50], 3).messages) for start in range(0, 200, 50)]
    for ticket in tickets:
        settle(link, ticket)
    assert link.send([]).done()
    link.close()


def test_a_link_that_nobody_answers_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.3)
    route = Route(Connection(servers=("127.0.0.1:1",)), "t")
    with pytest.raises(LinkError) as caught:
        route.open()
    assert route.trouble(caught.value).kind == "unreachable"


def test_a_missing_topic_is_told_and_not_made(servers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_SECONDS", 1.0)
    route = Route(Connection(servers=(servers,)), "not-there")
    for _ in range(2):
        with pytest.raises(LinkError) as caught:
            route.open()
        assert route.trouble(caught.value).kind == "topic"


def test_the_first_failure_ends_the_link(route: Route) -> None:
    link = route.open()
    large = Message(0, None, b"x" * 2_000_000, [])
    ticket = link.send([large, *EventWire().pack(MANY[:10], 3).messages])
    assert isinstance(link.failure, MessageSizeTooLargeError)
    assert route.trouble(link.failure).kind == "refused"
    assert not ticket.done()
    assert not link.send(EventWire().pack(MANY[:10], 3).messages).done()
    assert link.partitions() == 0 or link.failure is not None
    link.wait(ticket, 5)  # does not wait for what will never be
    link.close()


def test_nothing_is_sent_after_a_failure(route: Route) -> None:
    """As on a broker that forgot the producer's sequence, after which kafka-python would go on with what comes later."""
    link: Any = route.open()
    first = link.send(EventWire().pack(MANY[:10], 3).messages)
    settle(link, first)
    producer = link._producer
    link._fail(OutOfOrderSequenceNumberError("lost"))
    assert isinstance(link.failure, OutOfOrderSequenceNumberError)
    assert not link.send(EventWire().pack(MANY[10:20], 3).messages).done()
    producer._sender.join(5)
    assert not producer._sender.is_alive()


def test_no_thread_outlives_a_link(route: Route) -> None:
    before = threading.active_count()
    for _ in range(3):
        link = route.open()
        link.send(EventWire().pack(MANY[:50], 3).messages)
        link.close()
    until = time.monotonic() + 10
    while threading.active_count() > before:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_ticket_is_done_when_all_are() -> None:
    futures = [Future() for _ in range(3)]
    ticket = _Futures(futures)
    futures[2].success(None)
    assert not ticket.done()
    futures[0].success(None)
    assert not ticket.done()
    assert ticket.next is futures[1]
    futures[1].success(None)
    assert ticket.done()


def test_a_ticket_with_one_failure_is_never_done() -> None:
    futures = [Future() for _ in range(3)]
    ticket = _Futures(futures)
    futures[0].success(None)
    futures[1].failure(MessageSizeTooLargeError("x"))
    futures[2].success(None)
    assert not ticket.done()
    assert not ticket.done()
    assert not _Futures([], lost=True).done()
    assert _Futures([]).done()


def test_whole_milliseconds() -> None:
    for careful in (False, True):
        settings = module._settings(Route(Connection(), "t"), careful=careful)
        assert all(isinstance(value, int) for name, value in settings.items() if name.endswith("_ms"))
    assert settings["compression_type"] == "zstd"
    assert module._settings(Route(Connection(), "t", "none"), careful=False)["compression_type"] is None
