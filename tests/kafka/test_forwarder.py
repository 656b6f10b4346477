"""The forwarder against real brokers: what arrives, in which order, through every kind of trouble."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ACLOperation, ConfigResource, ConfigResourceType, NewPartitions, ResourceType

from agent import forwarder as module
from agent.deadletter import DeadLetters
from agent.forwarder import GROUP, Forwarder
from bench.kafka.broker import Cluster, SecureBroker, Server, make_topic
from nigrani.stream.kafka import message, producer
from nigrani.stream.kafka.message import lines_of, partition_of, wire
from nigrani.stream.kafka.producer import Route
from nigrani.stream.kafka.settings import Connection, Sasl, Tls
from nigrani.stream.spool import Spool, SpoolReader

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <s(ocket|sl):ResourceWarning")
"""kafka-python leaves it to the garbage collector to close the socket of a connection that did not come about."""

ROOT = Path(__file__).parents[2]
PARTITIONS = 3
HOSTS = 11
LONG = 90.0
"""Seconds after which a test has failed."""
CLIENTS = ("kafka-python", "confluent")
DAY = dt.timedelta(days=1)


def line(number: int, padding: int = 300) -> bytes:
    """An event of an agent, as far as its way goes."""
    return json.dumps(
        {
            "@timestamp": "2026-11-21T10:00:00Z",
            "event.dataset": "agent.status",
            "event.id": f"e{number}",
            "event.sequence": number,
            "agent.id": "agent-1",
            "host.id": f"ip:{number % HOSTS:04d}",
            "x": os.urandom(padding // 2).hex(),
        }
    ).encode()


class Publisher:
    """Writes numbered events into a spool."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = Spool.open(folder, max_bytes=64 << 20)
        self.count = 0

    def publish(self, count: int, size: int = 50) -> None:
        for start in range(self.count, self.count + count, size):
            numbers = range(start, min(start + size, self.count + count))
            self.spool.publish(b"".join(line(number) + b"\n" for number in numbers), len(numbers))
        self.count += count
        self.spool.flush()


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    publisher = Publisher(tmp_path / "spool")
    yield publisher
    publisher.spool.close()


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes become seconds."""
    monkeypatch.setattr(module, "QUIET", 3.0)
    monkeypatch.setattr(producer, "REQUEST_SECONDS", 4.0)
    monkeypatch.setattr(producer, "ASK_SECONDS", 4.0)
    monkeypatch.setattr(producer, "METADATA_SECONDS", 1.0)


def connection(server: Server, client: str = "kafka-python") -> Connection:
    return Connection(servers=(server.servers,), client=client)  # type: ignore[arg-type]


def forwarder(publisher: Publisher, to: Connection, topic: str, form: str = "event") -> Forwarder:
    reader = SpoolReader(publisher.folder, GROUP)
    return Forwarder(reader, Route(to, topic), wire(form), DeadLetters(publisher.folder.parent))


def run(forwarder: Forwarder, until: Callable[[], bool]) -> None:
    """Step until it is so."""
    deadline = time.monotonic() + LONG
    while not until():
        forwarder.step()
        assert time.monotonic() < deadline, (forwarder.state, forwarder.patience.trouble, forwarder.counts)


def drain(forwarder: Forwarder) -> None:
    run(forwarder, lambda: forwarder.empty)
    forwarder.close()


def records(client: dict[str, Any], topic: str) -> Iterator[Any]:
    """Everything in the topic, each partition in order."""
    with KafkaConsumer(**client, auto_offset_reset="earliest", enable_auto_commit=False) as consumer:
        places = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        consumer.assign(places)
        ends = consumer.end_offsets(places)
        while any(consumer.position(place) < end for place, end in ends.items()):
            for batch in consumer.poll(1000).values():
                yield from batch


def arrived(client: dict[str, Any], topic: str) -> set[int]:
    """The sequence numbers in the topic, once it is shown that none arrived for the first time behind a later one."""
    seen: dict[int, set[int]] = {}
    high: dict[int, int] = {}
    for record in records(client, topic):
        for text in lines_of(record.value, record.headers):
            number = msgspec.json.decode(text)["event.sequence"]
            known = seen.setdefault(record.partition, set())
            late = number <= high.get(record.partition, -1) and number not in known
            assert not late, f"{number} came to partition {record.partition} behind {high[record.partition]}"
            known.add(number)
            high[record.partition] = max(number, high.get(record.partition, -1))
    return set().union(*seen.values()) if seen else set()


def letters(publisher: Publisher) -> list[dict[str, Any]]:
    path = publisher.folder.parent / "dead-letter.ndjson"
    return [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []


def fresh(server: Server, **configs: str | int) -> str:
    return make_topic(server.servers, f"events-{uuid4().hex}", PARTITIONS, **configs)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("form", ["event", "batch"])
def test_everything_arrives_in_order_and_is_committed(broker: Server, publisher: Publisher, form: str, client: str) -> None:
    topic = fresh(broker)
    publisher.publish(3000)
    forward = forwarder(publisher, connection(broker, client), topic, form)
    drain(forward)
    found = list(records(broker.client(), topic))
    assert arrived(broker.client(), topic) == set(range(3000))
    assert sum(len(lines_of(record.value, record.headers)) for record in found) == 3000
    assert forward.counts.acknowledged == 3000
    for record in found:
        hosts = {msgspec.json.decode(text)["host.id"] for text in lines_of(record.value, record.headers)}
        assert {partition_of(host.encode(), PARTITIONS) for host in hosts} == {record.partition}
        assert record.key == (next(iter(hosts)).encode() if form == "event" else None)
        assert dict(record.headers)[message.SCHEMA] == b"1"
    assert SpoolReader(publisher.folder, GROUP).lag() == (0, 0)


def test_what_is_no_event_is_a_dead_letter(broker: Server, publisher: Publisher) -> None:
    topic = fresh(broker)
    publisher.publish(10)
    publisher.spool.publish(b'{"no":"host"}\n' + line(10) + b"\nnot json\n", 3)
    forward = forwarder(publisher, connection(broker), topic)
    drain(forward)
    assert arrived(broker.client(), topic) == set(range(11))
    assert [(each["event"], each["reason"], each["offset"]) for each in letters(publisher)] == [
        ('{"no":"host"}', "no_event", 1),
        ("not json", "no_event", 1),
    ]
    assert forward.counts.refused == {"refused": 0, "no_event": 2}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("form", ["event", "batch"])
def test_exactly_the_refused_become_dead_letters(
    broker: Server, publisher: Publisher, form: str, client: str, caplog: pytest.LogCaptureFixture
) -> None:
    topic = fresh(broker, max_message_bytes=20_000)
    large = {30, 31, 130}
    for number in range(200):
        publisher.spool.publish(line(number, 60_000 if number in large else 300) + b"\n", 1)
    publisher.count = 200
    forward = forwarder(publisher, connection(broker, client), topic, form)
    with caplog.at_level(logging.WARNING):
        drain(forward)
    assert arrived(broker.client(), topic) == set(range(200)) - large
    assert [json.loads(each["event"])["event.sequence"] for each in letters(publisher)] == sorted(large)
    assert {each["offset"] for each in letters(publisher)} == large
    assert forward.counts.refused == {"refused": 3, "no_event": 0}
    assert forward.counts.acknowledged >= 197
    assert forward.patience.trouble is None
    assert any("refuses a record" in record.message for record in caplog.records)


def troubled(forward: Forwarder, kind: str) -> None:
    """Run into this trouble."""
    run(forward, lambda: forward.patience.trouble is not None)
    assert forward.patience.trouble is not None
    assert forward.patience.trouble.kind == kind, forward.patience.trouble
    assert forward.state == "stalled"


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name.startswith(("agent", "nigrani"))]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_dead_broker_stalls_and_is_used_soon_after_it_is_back(
    durable_broker: Server, publisher: Publisher, client: str, caplog: pytest.LogCaptureFixture
) -> None:
    topic = fresh(durable_broker)
    publisher.publish(500)
    durable_broker.kill()
    forward = forwarder(publisher, connection(durable_broker, client), topic)
    try:
        with caplog.at_level(logging.WARNING):
            troubled(forward, "unreachable")
            assert durable_broker.servers in str(forward.patience.trouble)
            until = time.monotonic() + 6
            run(forward, lambda: time.monotonic() > until)
    finally:
        durable_broker.start()
    back = time.monotonic()
    with caplog.at_level(logging.WARNING):
        run(forward, lambda: forward.counts.acknowledged > 0)
        assert time.monotonic() - back < 12
        drain(forward)
    assert len(told(caplog)) == 2, told(caplog)
    assert arrived(durable_broker.client(), topic) == set(range(500))


@pytest.mark.parametrize(("client", "form"), [("kafka-python", "event"), ("kafka-python", "batch"), ("confluent", "event")])
def test_no_gap_is_filled_late_when_the_broker_is_killed_and_frozen(
    durable_broker: Server, publisher: Publisher, form: str, client: str
) -> None:
    topic = fresh(durable_broker)
    forward = forwarder(publisher, connection(durable_broker, client), topic, form)

    def some_time(seconds: float, pace: float = 0) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            publisher.publish(40, 20)
            forward.step()
            time.sleep(pace)

    try:
        for pause in (7, 1):  # beyond the time of requests and of a look at what is wrong, and within
            some_time(1)
            run(forward, lambda: forward.empty)
            durable_broker.pause()
            some_time(pause, 0.3)  # at such a pace that there is room for later events all the time
            durable_broker.resume()
            some_time(1)
            durable_broker.kill()
            some_time(1)
            durable_broker.start()
    finally:
        durable_broker.resume()
    drain(forward)
    assert forward.dead.kept == 0
    assert arrived(durable_broker.client(), topic) == set(range(publisher.count))


def test_kill_9_of_the_forwarder_loses_nothing(broker: Server, publisher: Publisher, tmp_path: Path) -> None:
    topic = fresh(broker)
    publisher.publish(20_000)
    words = [sys.executable, "-m", "nigrani.cli", "agent", "forward", "--bus", str(publisher.folder), "--until-empty"]
    for setting in (f"kafka.servers=[{broker.servers}]", f"kafka.topic={topic}", "metrics.listen=127.0.0.1:0"):
        words += ["--set", setting]
    environment = {**os.environ, "NIGRANI_STATE": str(tmp_path / "state"), "PYTHONPATH": str(ROOT)}
    for wait in (0.9, 1.1, 1.3):
        process = subprocess.Popen(words, env=environment, cwd=ROOT)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=LONG, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert arrived(broker.client(), topic) == set(range(20_000))
    assert SpoolReader(publisher.folder, GROUP).lag() == (0, 0)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_missing_topic_stalls_until_it_is_made(broker: Server, publisher: Publisher, client: str) -> None:
    topic = f"later-{uuid4().hex}"
    publisher.publish(20)
    forward = forwarder(publisher, connection(broker, client), topic)
    troubled(forward, "topic")
    assert topic in str(forward.patience.trouble)
    make_topic(broker.servers, topic, PARTITIONS)
    drain(forward)
    assert arrived(broker.client(), topic) == set(range(20))


@pytest.mark.parametrize("client", CLIENTS)
def test_too_few_replicas_stall_until_there_are_enough(cluster: Cluster, publisher: Publisher, client: str) -> None:
    topic = make_topic(cluster.servers, f"events-{uuid4().hex}", PARTITIONS, replication_factor=3, min_insync_replicas=3)
    publisher.publish(500)
    to = Connection(servers=tuple(cluster.servers.split(",")), client=client)  # type: ignore[arg-type]
    forward = forwarder(publisher, to, topic)
    run(forward, lambda: forward.empty)
    cluster.kill(0)
    try:
        publisher.publish(500)
        run(forward, lambda: forward.patience.trouble is not None and forward.patience.trouble.kind == "stalled")
    finally:
        cluster.start(0)
    drain(forward)
    assert arrived({"bootstrap_servers": cluster.servers}, topic) == set(range(1000))
    assert forward.dead.kept == 0


def test_one_node_lost_then_another(cluster: Cluster, publisher: Publisher, caplog: pytest.LogCaptureFixture) -> None:
    """One of three costs nothing; the second stalls everything, says so, and loses nothing."""
    topic = make_topic(cluster.servers, f"events-{uuid4().hex}", PARTITIONS, replication_factor=3, min_insync_replicas=2)
    forward = forwarder(publisher, Connection(servers=tuple(cluster.servers.split(","))), topic)
    publisher.publish(500)
    run(forward, lambda: forward.empty)
    try:
        cluster.kill(0)
        publisher.publish(500)
        run(forward, lambda: forward.empty)
        cluster.kill(1)
        publisher.publish(500)
        run(forward, lambda: forward.state == "stalled")
        acknowledged = forward.counts.acknowledged
        until = time.monotonic() + 5
        run(forward, lambda: time.monotonic() > until)
        assert forward.counts.acknowledged == acknowledged
    finally:
        cluster.start()
    drain(forward)
    assert arrived({"bootstrap_servers": cluster.servers}, topic) == set(range(1500))
    assert (forward.dead.kept, forward.missed) == (0, 0)
    assert "events stay in the spool" in caplog.text
    assert "Kafka takes events again" in caplog.text.splitlines()[-1]


def test_partitions_that_are_added_are_used(broker: Server, publisher: Publisher) -> None:
    topic = fresh(broker)
    publisher.publish(100)
    forward = forwarder(publisher, connection(broker), topic)
    run(forward, lambda: forward.empty)
    with KafkaAdminClient(**broker.client()) as admin:
        admin.create_partitions({topic: NewPartitions(8)})
    until = time.monotonic() + 4
    run(forward, lambda: time.monotonic() > until)
    publisher.publish(100)
    drain(forward)
    assert arrived(broker.client(), topic) == set(range(200))
    for record in records(broker.client(), topic):
        count = PARTITIONS if msgspec.json.decode(record.value)["event.sequence"] < 100 else 8
        assert record.partition == partition_of(record.key, count)


@pytest.fixture(scope="module")
def secured(secure_broker: SecureBroker) -> str:
    """A topic that agent-01 may write."""
    name = make_topic(secure_broker.servers, f"events-{uuid4().hex}", PARTITIONS, client=secure_broker.client())
    secure_broker.allow("agent-01", ResourceType.TOPIC, name, ACLOperation.WRITE, ACLOperation.DESCRIBE)
    return name


def tls(broker: SecureBroker, folder: Path) -> Tls:
    """Copies of agent-01's files, for a test to replace."""
    for name in ("ca.crt", "agent-01.crt", "agent-01.key"):
        shutil.copy(broker.certificates / name, folder / name)
    return Tls(folder / "ca.crt", folder / "agent-01.crt", folder / "agent-01.key")


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # kafka-python drops failed handshakes' sockets
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("fault", ["expired", "stranger", "authority", "key"])
def test_a_bad_certificate_stalls_until_it_is_replaced(
    secure_broker: SecureBroker, secured: str, publisher: Publisher, tmp_path: Path, client: str, fault: str
) -> None:
    files = tls(secure_broker, tmp_path)
    assert files.certificate is not None
    assert files.key is not None
    until = dt.datetime.now(dt.UTC) - DAY
    if fault == "expired":
        secure_broker.authority.issue(tmp_path, "agent-01", since=until - DAY, until=until)
    elif fault == "stranger":
        type(secure_broker.authority)("another").issue(tmp_path, "agent-01")
    elif fault == "authority":
        type(secure_broker.authority)("another").write(tmp_path / "ca.crt")
    else:
        files.key.write_text("no key")
    publisher.publish(20)
    to = Connection(servers=(secure_broker.servers,), client=client, tls=files)  # type: ignore[arg-type]
    forward = forwarder(publisher, to, secured)
    troubled(forward, "certificate")
    tls(secure_broker, tmp_path)
    drain(forward)
    assert arrived(secure_broker.client(), secured) >= set(range(20))
    assert forward.dead.kept == 0


@pytest.mark.parametrize("client", CLIENTS)
def test_a_wrong_password_stalls_until_it_is_right(
    secure_broker: SecureBroker, secured: str, publisher: Publisher, tmp_path: Path, client: str
) -> None:
    user = f"agent-{client}"
    secure_broker.add_user(user, "right")
    secure_broker.allow(user, ResourceType.TOPIC, secured, ACLOperation.WRITE, ACLOperation.DESCRIBE)
    password = tmp_path / "password"
    password.write_text("wrong\n")
    publisher.publish(20)
    to = Connection(
        servers=(secure_broker.sasl_servers,),
        client=client,  # type: ignore[arg-type]
        tls=Tls(secure_broker.certificates / "ca.crt"),
        sasl=Sasl(user, password),
    )
    forward = forwarder(publisher, to, secured)
    troubled(forward, "authentication")
    password.write_text("right\n")
    drain(forward)
    assert forward.counts.acknowledged == 20


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("known", [True, False])
def test_a_denied_topic_stalls_until_it_is_allowed(
    secure_broker: SecureBroker, publisher: Publisher, tmp_path: Path, client: str, known: bool
) -> None:
    topic = make_topic(secure_broker.servers, f"denied-{uuid4().hex}", PARTITIONS, client=secure_broker.client())
    if known:
        secure_broker.allow("agent-01", ResourceType.TOPIC, topic, ACLOperation.DESCRIBE)
    publisher.publish(20)
    to = Connection(servers=(secure_broker.servers,), client=client, tls=tls(secure_broker, tmp_path))  # type: ignore[arg-type]
    forward = forwarder(publisher, to, topic)
    troubled(forward, "authorization")
    secure_broker.allow("agent-01", ResourceType.TOPIC, topic, ACLOperation.WRITE, ACLOperation.DESCRIBE)
    drain(forward)
    assert arrived(secure_broker.client(), topic) == set(range(20))
    assert forward.dead.kept == 0


def test_a_clock_far_off_does_not_turn_everything_into_dead_letters(broker: Server, publisher: Publisher) -> None:
    topic = fresh(broker, message_timestamp_after_max_ms=0, message_timestamp_before_max_ms=0)
    publisher.publish(300)
    forward = forwarder(publisher, connection(broker), topic)
    until = time.monotonic() + 8
    run(forward, lambda: time.monotonic() > until)
    assert forward.state == "stalled"
    assert forward.patience.trouble is not None
    assert forward.patience.trouble.kind == "refused"
    lucky = forward.counts.acknowledged  # in the very millisecond of the broker's clock; patience begins anew after each
    assert forward.dead.kept <= 5 * module.MAX_REFUSED * (1 + lucky)
    with KafkaAdminClient(**broker.client()) as admin:
        settings = {"message.timestamp.after.max.ms": "3600000", "message.timestamp.before.max.ms": "3600000"}
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, settings)])
    drain(forward)
    assert len(arrived(broker.client(), topic)) + forward.dead.kept == 300
