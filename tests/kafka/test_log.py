"""A topic as a log, on a real broker."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ACLOperation, ResourceType

from bench.kafka.broker import Broker, SecureBroker, make_topic
from nigrani.stream.bus import BusError
from nigrani.stream.kafka.log import Entry, TopicLog
from nigrani.stream.kafka.settings import Connection, Tls

pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
"""kafka-python leaves a socket that was refused to the collector."""

MAX = 16 << 20


@pytest.fixture
def log(broker: Broker, request: pytest.FixtureRequest) -> Iterator[TopicLog]:
    name = f"{request.node.name}-{time.monotonic_ns()}"
    make_topic(broker.servers, name, 2, cleanup_policy="compact", max_message_bytes=MAX + (1 << 20))
    made = TopicLog(Connection(servers=(broker.servers,)), name, max_bytes=MAX)
    yield made
    made.close()
    gc.collect()


def test_what_was_appended_is_read_back(log: TopicLog) -> None:
    ticket = log.append(0, b"a", b"1", [("content-type", b"x")])
    log.append(0, b"b", None)
    log.append(1, b"a", b"2")
    log.flush(10)
    assert ticket.is_done
    assert ticket.exception is None
    assert list(log.read(0)) == [Entry(0, b"a", b"1", [("content-type", b"x")]), Entry(1, b"b", None, [])]
    assert list(log.read(1)) == [Entry(0, b"a", b"2", [])]
    assert list(log.read(0, 1)) == [Entry(1, b"b", None, [])]
    assert list(log.read(0, 7)) == []
    assert (log.end(0), log.end(1)) == (2, 1)
    assert log.partitions() == [0, 1]


def test_a_read_ends_at_what_was_there_when_it_began(log: TopicLog) -> None:
    for number in range(100):
        log.append(0, b"key", b"%d" % number)
    log.flush(10)
    found = []
    for entry in log.read(0):
        log.append(0, b"key", b"later")
        found.append(entry.value)
    assert found == [b"%d" % number for number in range(100)]


def test_reading_begins_at_the_oldest_that_is_kept(broker: Broker, log: TopicLog) -> None:
    for number in range(10):
        log.append(1, b"%d" % number, b"x")
    log.flush(10)
    with KafkaAdminClient(bootstrap_servers=broker.servers) as admin:
        admin.alter_configs([_config(log.topic, {"cleanup.policy": "compact,delete"})])
        admin.delete_records({TopicPartition(log.topic, 1): 6})
    assert [entry.offset for entry in log.read(1)] == [6, 7, 8, 9]


def _config(topic: str, settings: dict[str, str]) -> object:
    from kafka.admin import ConfigResource, ConfigResourceType  # noqa: PLC0415 - here alone

    return ConfigResource(ConfigResourceType.TOPIC, topic, settings)


def test_a_checkpoint_of_the_largest_size(log: TopicLog) -> None:
    value = os.urandom(MAX - 1000)
    log.append(1, b"key", value)
    log.flush(20)
    began = time.monotonic()
    [entry] = log.read(1)
    assert entry.value == value
    assert time.monotonic() - began < 5


def test_one_too_large_is_refused_and_the_next_goes_in(log: TopicLog) -> None:
    with pytest.raises(BusError, match="refuses"):
        log.append(0, b"key", bytes(MAX))
    log.append(0, b"key", b"1")
    log.flush(10)
    assert len(list(log.read(0))) == 1


def test_one_that_the_brokers_refuse_does_not_spoil_the_next(broker: Broker) -> None:
    name = make_topic(broker.servers, f"small-{time.monotonic_ns()}", max_message_bytes=2000)
    log = TopicLog(Connection(servers=(broker.servers,)), name, max_bytes=MAX)
    log.append(0, b"key", os.urandom(5000))
    with pytest.raises(BusError, match="refuses"):
        log.flush(10)
    log.append(0, b"key", b"1")
    log.flush(10)
    assert [entry.value for entry in log.read(0)] == [b"1"]
    log.close()


def test_two_threads_append(log: TopicLog) -> None:
    def write(key: bytes) -> None:
        for number in range(200):
            log.append(0, key, b"%d" % number)
            if number % 20 == 0:
                log.flush(10)
        log.flush(10)

    threads = [threading.Thread(target=write, args=(key,)) for key in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [(entry.key, int(entry.value or b"")) for entry in log.read(0)]
    for key in (b"a", b"b"):
        assert [number for each, number in found if each == key] == list(range(200))


def test_a_topic_that_is_not_there(broker: Broker) -> None:
    log = TopicLog(Connection(servers=(broker.servers,)), "none-of-that-name")
    with pytest.raises(BusError, match=r"topic none-of-that-name does not exist.*create it"):
        log.append(0, b"key", b"1")
    with pytest.raises(BusError, match=r"does not exist"):
        log.end(0)
    with pytest.raises(BusError, match=r"does not exist"):
        list(log.read(0))
    make_topic(broker.servers, log.topic)
    log.append(0, b"key", b"1")
    log.flush(10)
    assert log.end(0) == 1
    log.close()


def test_a_partition_that_is_not_there(log: TopicLog) -> None:
    with pytest.raises(BusError, match="Unrecognized partition 9"):
        log.append(9, b"key", b"1")


def test_a_broker_that_is_away_for_a_while(tmp_path: Path) -> None:
    with Broker(tmp_path / "kafka") as own:
        name = make_topic(own.servers, "state", cleanup_policy="compact")
        log = TopicLog(Connection(servers=(own.servers,)), name)
        log.append(0, b"key", b"before")
        log.flush(10)
        own.kill()
        log.append(0, b"key", b"lost")
        began = time.monotonic()
        with pytest.raises(BusError, match="no broker can be reached"):
            log.flush(1)
        assert time.monotonic() - began < 2
        with pytest.raises(BusError, match="no broker can be reached"):
            log.append(0, b"key", b"nowhere")
        with pytest.raises(BusError, match="no broker can be reached"):
            log.end(0)
        own.start()
        log.append(0, b"key", b"after")
        log.flush(10)
        assert [entry.value for entry in log.read(0)][-1] == b"after"
        log.close()
    gc.collect()


def test_rights_that_are_missing(secure_broker: SecureBroker) -> None:
    name = f"guarded-{time.monotonic_ns()}"
    make_topic(secure_broker.servers, name, client=secure_broker.client())
    folder = secure_broker.certificates
    tls = Tls(folder / "ca.crt", folder / "detector.crt", folder / "detector.key")
    log = TopicLog(Connection(servers=(secure_broker.servers,), tls=tls), name)
    log.append(0, b"key", b"1")
    with pytest.raises(BusError, match="do not allow this user on topic"):
        log.flush(10)
    with pytest.raises(BusError, match="do not allow this user on topic"):
        log.end(0)
    secure_broker.allow("detector", ResourceType.TOPIC, name, ACLOperation.WRITE)
    log.append(0, b"key", b"1")
    log.flush(10)
    assert log.end(0) == 1
    with pytest.raises(BusError, match="do not allow this user on topic"):
        list(log.read(0))
    secure_broker.allow("detector", ResourceType.TOPIC, name, ACLOperation.READ)
    assert len(list(log.read(0))) == 1
    log.close()
    gc.collect()
