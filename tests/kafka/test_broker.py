"""The brokers that the other tests stand on: that they serve, keep, refuse and survive as their names say."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ACLOperation, ResourceType
from kafka.errors import KafkaTimeoutError, TopicAuthorizationFailedError

from bench.kafka.broker import Broker, Cluster, SecureBroker, Server, StartError, make_topic
from bench.kafka.certificates import Authority

DAY = dt.timedelta(days=1)
REFUSED = 1500
"""Milliseconds after which a client that was not let in gives up: kafka-python tries again whatever the refusal was."""


def produce(client: dict[str, Any], topic: str, values: Iterable[bytes]) -> None:
    """Send and wait until all are acknowledged."""
    with KafkaProducer(**client, acks="all", max_block_ms=20_000) as producer:
        for acknowledgement in [producer.send(topic, value) for value in values]:
            acknowledgement.get(30)


def consume(client: dict[str, Any], topic: str, partitions: int = 1) -> list[bytes]:
    """All that the topic holds."""
    with KafkaConsumer(**client, auto_offset_reset="earliest", enable_auto_commit=False) as consumer:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(places)
        ends = consumer.end_offsets(places)
        values: list[bytes] = []
        while any(consumer.position(place) < end for place, end in ends.items()):
            values += [record.value for records in consumer.poll(1000).values() for record in records]
        return values


def numbered(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


@pytest.mark.parametrize("topic", [1, 3], indirect=True, ids=["one partition", "three partitions"])
def test_what_is_produced_is_consumed(broker: Server, topic: str, request: pytest.FixtureRequest) -> None:
    partitions = request.node.callspec.params["topic"]
    produce(broker.client(), topic, numbered(500))
    assert sorted(consume(broker.client(), topic, partitions)) == sorted(numbered(500))


def test_a_group_goes_on_where_it_was(broker: Server, topic: str) -> None:
    produce(broker.client(), topic, numbered(10))
    seen: list[bytes] = []
    for _ in range(2):
        options = {"group_id": topic, "auto_offset_reset": "earliest", "enable_auto_commit": False, "max_poll_records": 5}
        with KafkaConsumer(topic, **broker.client(), **options) as consumer:
            while not (records := consumer.poll(1000)):
                pass
            seen += [record.value for batch in records.values() for record in batch]
            consumer.commit()
    assert seen == numbered(10)


def test_what_was_acknowledged_survives_kill_9(durable_broker: Server, topic: str) -> None:
    produce(durable_broker.client(), topic, numbered(500))
    durable_broker.kill()
    durable_broker.start()
    assert consume(durable_broker.client(), topic) == numbered(500)


def test_a_paused_broker_answers_when_resumed(broker: Server, topic: str) -> None:
    with KafkaProducer(**broker.client()) as producer:
        producer.send(topic, b"before").get(30)
        broker.pause()
        try:
            during = producer.send(topic, b"during")
            with pytest.raises(KafkaTimeoutError):
                during.get(0.5)
        finally:
            broker.resume()
        during.get(30)
    assert consume(broker.client(), topic) == [b"before", b"during"]


def test_a_closed_broker_leaves_neither_process_nor_data(broker: Server) -> None:
    with type(broker)() as server:
        process = server.process
        assert process is not None
        assert server.folder.is_dir()
    assert process.poll() is not None
    assert not server.folder.exists()


@pytest.fixture(scope="module")
def flows(secure_broker: SecureBroker) -> str:
    """A topic that agent-01 may write."""
    name = make_topic(secure_broker.servers, f"flows-{uuid4().hex}", client=secure_broker.client())
    secure_broker.allow("agent-01", ResourceType.TOPIC, name, ACLOperation.WRITE, ACLOperation.DESCRIBE)
    return name


def refusal(client: dict[str, Any], caplog: pytest.LogCaptureFixture) -> str:
    """What the client said in its log when it was not let in: its exception is a timeout, whatever the cause."""
    with caplog.at_level(logging.WARNING, logger="kafka"), pytest.raises(KafkaTimeoutError):
        KafkaAdminClient(**client, bootstrap_timeout_ms=REFUSED)
    return caplog.text


def test_a_known_certificate_may_do_what_is_allowed(secure_broker: SecureBroker, flows: str) -> None:
    produce(secure_broker.client("agent-01"), flows, [b"mine"])
    assert b"mine" in consume(secure_broker.client("admin"), flows)


def test_a_client_may_not_write_what_another_may(secure_broker: SecureBroker, flows: str) -> None:
    with pytest.raises(TopicAuthorizationFailedError):
        produce(secure_broker.client("detector"), flows, [b"not mine"])


def test_a_client_may_not_write_what_nobody_may(secure_broker: SecureBroker) -> None:
    alerts = make_topic(secure_broker.servers, f"alerts-{uuid4().hex}", client=secure_broker.client())
    with pytest.raises(TopicAuthorizationFailedError):
        produce(secure_broker.client("agent-01"), alerts, [b"not mine"])


def test_no_certificate_is_refused(secure_broker: SecureBroker, caplog: pytest.LogCaptureFixture) -> None:
    client = {key: value for key, value in secure_broker.client().items() if key not in {"ssl_certfile", "ssl_keyfile"}}
    assert "ALERT_BAD_CERTIFICATE" in refusal(client, caplog)


def test_a_certificate_of_another_authority_is_refused(
    secure_broker: SecureBroker, caplog: pytest.LogCaptureFixture
) -> None:
    Authority("another").issue(secure_broker.certificates, "agent-01", file="stranger")
    assert "ALERT_CERTIFICATE_UNKNOWN" in refusal(secure_broker.client("stranger"), caplog)


def test_an_expired_certificate_is_refused(secure_broker: SecureBroker, caplog: pytest.LogCaptureFixture) -> None:
    until = dt.datetime.now(dt.UTC) - DAY
    secure_broker.authority.issue(secure_broker.certificates, "agent-01", file="expired", since=until - DAY, until=until)
    assert "ALERT_CERTIFICATE_UNKNOWN" in refusal(secure_broker.client("expired"), caplog)


def test_a_certificate_for_later_is_not_valid_now(secure_broker: SecureBroker, caplog: pytest.LogCaptureFixture) -> None:
    since = dt.datetime.now(dt.UTC) + DAY
    secure_broker.authority.issue(secure_broker.certificates, "agent-01", file="early", since=since, until=since + DAY)
    assert "ALERT_CERTIFICATE_UNKNOWN" in refusal(secure_broker.client("early"), caplog)


def test_the_right_password_is_let_in_and_no_other(
    secure_broker: SecureBroker, flows: str, caplog: pytest.LogCaptureFixture
) -> None:
    secure_broker.add_user("agent-02", "right")
    secure_broker.allow("agent-02", ResourceType.TOPIC, flows, ACLOperation.WRITE, ACLOperation.DESCRIBE)
    produce(secure_broker.sasl_client("agent-02", "right"), flows, [b"with a password"])
    assert b"with a password" in consume(secure_broker.client("admin"), flows)
    assert refusal(secure_broker.sasl_client("agent-02", "wrong"), caplog)  # now and then only "socket disconnected"


def test_three_nodes_survive_the_loss_of_one(cluster: Cluster) -> None:
    client = {"bootstrap_servers": cluster.servers}
    name = make_topic(cluster.servers, f"kept-{uuid4().hex}", 3)
    produce(client, name, numbered(100))
    cluster.kill(0)
    produce(client, name, numbered(100))
    assert sorted(consume(client, name, 3)) == sorted(2 * numbered(100))
    cluster.start(0)
    produce(client, name, numbered(100))
    assert sorted(consume(client, name, 3)) == sorted(3 * numbered(100))


def test_a_broker_with_a_wrong_setting_says_so(no_kafka: str | None) -> None:
    if no_kafka:
        pytest.skip(no_kafka)
    with pytest.raises(StartError, match="no-such-role"), Broker(settings={"process.roles": "no-such-role"}):
        pytest.fail("it started")
