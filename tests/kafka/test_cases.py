"""The case store filled from the alerts topic of a real broker."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.cases import BEGIN, finding
from bench.kafka.broker import Server, make_topic
from detector.cases.intake import Intake
from detector.cases.logs.topic import TopicAlerts
from detector.cases.store import Store
from detector.outboxes.topic import TopicOutbox
from nigrani.stream.kafka.log import TopicLog
from nigrani.stream.kafka.settings import Connection

PARTITIONS = 3


@pytest.fixture
def topic(broker: Server) -> str:
    return make_topic(broker.servers, f"alerts-{time.monotonic_ns()}", PARTITIONS, cleanup_policy="compact")


@pytest.fixture
def outbox(broker: Server, topic: str) -> Iterator[TopicOutbox]:
    made = TopicOutbox(TopicLog(Connection(servers=(broker.servers,)), topic))
    yield made
    made.close()
    gc.collect()


@pytest.fixture
def make(broker: Server, topic: str, tmp_path: Path) -> Iterator[Callable[[], Intake]]:
    made: list[Intake] = []

    def one() -> Intake:
        store = Store(tmp_path / "cases.db", later=True)
        log = TopicLog(Connection(servers=(broker.servers,)), topic)
        made.append(Intake(store, lambda place: TopicAlerts(log, place), every=0.1))
        made[-1].start()
        return made[-1]

    yield one
    for intake in made:
        intake.close()
    gc.collect()


def put(outbox: TopicOutbox, first: int, count: int) -> None:
    for number in range(first, first + count):
        outbox.put(number % PARTITIONS, f"uid-{number}", finding("flood", f"ip:{number % 7}", BEGIN, number))
    outbox.flush()


def until(what: Callable[[], bool]) -> None:
    limit = time.monotonic() + 30
    while not what():
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_all_partitions_and_on_from_there(make: Callable[[], Intake], outbox: TopicOutbox) -> None:
    put(outbox, 0, 100)
    first = make()
    until(lambda: first.store.findings(limit=1).total == 100)
    put(outbox, 100, 20)
    until(lambda: first.store.findings(limit=1).total == 120)
    until(lambda: first.behind() == 0)
    first.close()
    put(outbox, 120, 30)
    second = make()
    until(lambda: second.store.findings(limit=1).total == 150)
    counts = second.store.counts()
    assert (counts.taken, counts.repeated) == (150, 0)


def test_what_is_told_twice_is_one(make: Callable[[], Intake], outbox: TopicOutbox) -> None:
    put(outbox, 0, 10)
    put(outbox, 0, 10)
    intake = make()
    until(lambda: intake.store.counts().repeated == 10)
    assert intake.store.findings(limit=1).total == 10


def test_no_brokers_hold_up_nothing_but_the_intake(tmp_path: Path) -> None:
    store = Store(tmp_path / "cases.db", later=True)
    log = TopicLog(Connection(servers=("127.0.0.1:9",)), "alerts")
    intake = Intake(store, lambda place: TopicAlerts(log, place), every=0.1)
    intake.start()
    until(lambda: intake.log_failures > 0)
    assert intake.failures == 0
    assert store.cases().total == 0
    intake.close()
    gc.collect()
