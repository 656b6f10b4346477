"""Links by confluent-kafka; what happens to them on real brokers is in tests/kafka/test_forwarder.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

pytest.importorskip("confluent_kafka")

from confluent_kafka import KafkaError

from bench.kafka.broker import make_topic
from bench.kafka.libraries import Unavailable
from bench.kafka.noida import NoidaBroker
from nigrani.stream.kafka import producer
from nigrani.stream.kafka.confluent import ConfluentLink, _Reports, options
from nigrani.stream.kafka.message import EventWire, Message
from nigrani.stream.kafka.producer import LinkError, Route
from nigrani.stream.kafka.settings import Connection, Sasl, Tls
from tests.nigrani.stream.kafka.test_message import MANY
from tests.nigrani.stream.kafka.test_producer import settle


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
    connection = Connection(servers=(servers,), client="confluent")
    return Route(connection, make_topic(servers, f"t-{uuid4().hex}", 3))


@pytest.mark.parametrize("careful", [False, True])
def test_what_was_sent_is_acknowledged(route: Route, careful: bool) -> None:
    link = route.open(careful=careful)
    assert isinstance(link, ConfluentLink)
    assert link.partitions() == 3
    settle(link, link.send(EventWire().pack(MANY[:200], 3).messages))
    assert link.send([]).done()
    link.close()


def test_a_link_that_nobody_answers_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer, "CONNECT_SECONDS", 0.3)
    route = Route(Connection(servers=("127.0.0.1:1",), client="confluent"), "t")
    with pytest.raises(LinkError) as caught:
        route.open()
    assert route.trouble(caught.value).kind == "unreachable"


def test_the_first_failure_ends_the_link(route: Route) -> None:
    link = route.open()
    ticket = link.send([Message(0, None, b"x" * 2_000_000, []), *EventWire().pack(MANY[:10], 3).messages])
    assert link.failure is not None
    assert route.trouble(link.failure).kind == "refused"
    assert not ticket.done()
    assert link.partitions() == 0
    assert not link.send(EventWire().pack(MANY[:10], 3).messages).done()
    link.close()


def test_one_bad_report_fails_the_link(route: Route) -> None:
    link = route.open()
    assert isinstance(link, ConfluentLink)
    ticket = _Reports(link, 2)
    ticket.report(None, None)
    ticket.report(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), None)
    assert not ticket.done()
    assert link.failure is not None
    assert route.trouble(link.failure).kind == "authorization"
    link.close()


def test_identity_as_librdkafka_wants_it(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("secret\n")
    ca, certificate, key = (tmp_path / name for name in ("ca", "crt", "key"))
    connection = Connection(servers=("a:1", "b:2"), tls=Tls(ca, certificate, key), sasl=Sasl("u", password))
    assert options(connection, "me") == {
        "bootstrap.servers": "a:1,b:2",
        "client.id": "me",
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(ca),
        "ssl.certificate.location": str(certificate),
        "ssl.key.location": str(key),
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "u",
        "sasl.password": "secret",
    }
