"""What is remembered of connections that came to nothing; tests/kafka has real ones."""

from __future__ import annotations

import gc
import logging
import socket
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import (
    KafkaConnectionError,
    KafkaTimeoutError,
    SaslAuthenticationFailedError,
    TopicAuthorizationFailedError,
)
from kafka.net.inet import KafkaNetSocket

from nigrani.stream.bus import BusError
from nigrani.stream.kafka import client as module
from nigrani.stream.kafka.client import Dial
from nigrani.stream.kafka.settings import Connection, Sasl, Tls


@pytest.fixture
def dial() -> Dial:
    return Dial(Connection(servers=("127.0.0.1:1",)), "test")


def cluster(*topics: str, denied: str = "", brokers: int = 1) -> Any:
    return SimpleNamespace(
        brokers=lambda: [None] * brokers,
        unauthorized_topics={denied},
        partitions_for_topic=lambda topic: {0} if topic in topics else None,
    )


def test_a_client_is_made_at_once_and_silent(dial: Dial) -> None:
    settings = dial.settings()
    assert settings["bootstrap_servers"] == ["127.0.0.1:1"]
    assert (settings["client_id"], settings["api_version"]) == ("test", module.NEWEST)
    assert settings["kafka_client"] is dial
    assert logging.getLogger("kafka").level == logging.CRITICAL


def test_files_are_read_for_each_client(tmp_path: Path) -> None:
    password = tmp_path / "password"
    dial = Dial(Connection(servers=("a:1",), tls=Tls(tmp_path / "ca.crt"), sasl=Sasl("u", password)), "test")
    with pytest.raises(FileNotFoundError):
        dial.settings()
    for text in ("one", "two"):
        password.write_text(text + "\n")
        assert dial.settings()["sasl_plain_password"] == text


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (SaslAuthenticationFailedError("no"), "authentication"),
        (KafkaConnectionError("Handshake failed: [SSL: CERTIFICATE_VERIFY_FAILED] expired"), "certificate"),
        (KafkaConnectionError("111 ECONNREFUSED"), "unreachable"),
    ],
)
def test_a_timeout_is_told_by_what_became_of_the_connection(dial: Dial, fault: Exception, kind: str) -> None:
    dial._fell(fault)
    assert dial.trouble(KafkaTimeoutError("5 s"), "t").kind == kind


def test_a_connection_that_stands_is_no_fault(dial: Dial) -> None:
    dial._fell(SaslAuthenticationFailedError("no"))
    dial._stands(None)
    assert dial.fault is None


def test_a_timeout_is_told_by_what_is_known_of_the_topic(dial: Dial) -> None:
    dial._cluster = cluster("t", denied="secret")
    assert dial.trouble(KafkaTimeoutError("5 s"), "none").kind == "topic"
    assert dial.trouble(KafkaTimeoutError("5 s"), "secret").kind == "authorization"


def test_without_brokers_nothing_is_known_of_a_topic(dial: Dial) -> None:
    dial._cluster = cluster(brokers=0)
    assert dial.trouble(KafkaTimeoutError("5 s"), "none").kind != "topic"


def test_brokers_are_counted(dial: Dial) -> None:
    assert dial.brokers() == 0
    dial._cluster = cluster(brokers=3)
    assert dial.brokers() == 3


def test_what_an_error_says_itself_stands(dial: Dial) -> None:
    dial._cluster = cluster()
    assert dial.trouble(TopicAuthorizationFailedError("t"), "t").kind == "authorization"


def test_the_same_as_an_error_of_the_bus(dial: Dial) -> None:
    dial._cluster = cluster()
    error = dial.error(KafkaTimeoutError("5 s"), "t")
    assert isinstance(error, BusError)
    assert str(error).startswith("topic t does not exist")


class Fake:
    """Stands in for the network client."""

    def __init__(self, **settings: Any) -> None:
        self.cluster = SimpleNamespace(config={"allow_auto_create_topics": True})
        self._manager = SimpleNamespace(get_connection=self._connect, _build_transport=self._build)
        self.callbacks: list[Callable[[Any], None]] = []
        self.errbacks: list[Callable[[Any], None]] = []
        self.heard = [(b"refused", OSError("closed")), (b"", OSError("closed"))]

    def _connect(self, node: int) -> Any:
        future = SimpleNamespace(add_callback=self.callbacks.append, add_errback=self.errbacks.append)
        return SimpleNamespace(init_future=future, node=node)

    async def _build(self, node: int) -> Any:
        return SimpleNamespace(_sock_recv=lambda: self.heard.pop(0))


def test_a_client_does_not_make_topics_and_tells_of_its_connections(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KafkaNetClient", Fake)
    client: Any = dial()
    assert client.cluster.config == {"allow_auto_create_topics": False}
    assert client._manager.get_connection(7).node == 7
    client.errbacks[0](KafkaConnectionError("gone"))
    assert dial.fault == KafkaConnectionError("gone")
    client.callbacks[0](None)
    assert dial.fault is None


def test_last_words_are_heard(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KafkaNetClient", Fake)
    client: Any = dial()
    building = client._manager._build_transport(7)
    with pytest.raises(StopIteration) as built:
        building.send(None)
    receive = built.value.value._sock_recv
    assert receive() == (b"refused", None)
    data, error = receive()
    assert (data, str(error)) == (b"", "closed")


def test_a_broker_that_is_down_costs_no_file_descriptors(dial: Dial) -> None:
    made: list[weakref.ref[socket.socket]] = []

    class Counted(socket.socket):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(weakref.ref(self))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KafkaNetSocket, "socket", lambda _, *arguments: Counted(*arguments))
        gc.disable()  # or what was forgotten would be closed by chance
        try:
            with pytest.raises(KafkaTimeoutError):
                dial.admin()
            assert len(made) > 1
            assert all(one is None or one.fileno() < 0 for one in (ref() for ref in made))
        finally:
            gc.enable()
