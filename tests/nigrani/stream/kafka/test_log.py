"""What a log does when its client fails; tests/kafka has it on a real broker."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError, MessageSizeTooLargeError, TopicAuthorizationFailedError

from nigrani.stream.bus import BusError
from nigrani.stream.kafka import log as module
from nigrani.stream.kafka.log import TopicLog
from nigrani.stream.kafka.settings import Connection


class Ticket:
    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault

    def get(self, timeout: float) -> None:
        if self.fault:
            raise self.fault


class Producer:
    """Stands in for the client's."""

    made: list[Producer] = []  # noqa: RUF012 - emptied by the fixture

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.sent: list[tuple[Any, ...]] = []
        self.fault: Exception | None = None
        self.late: Exception | None = None
        self.closed = False
        self.made.append(self)

    def send(self, *message: Any) -> Ticket:
        if self.fault:
            raise self.fault
        self.sent.append(message)
        return Ticket(self.late)

    def close(self, timeout: float) -> None:
        self.closed = True


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> TopicLog:
    Producer.made = []
    monkeypatch.setattr(module, "Producer", Producer)
    made = TopicLog(Connection(servers=("127.0.0.1:1",)), "t", max_bytes=5000)
    made._dial.error = lambda error, topic: BusError(f"{type(error).__name__} of {topic}")  # type: ignore[method-assign]
    return made


def test_a_producer_is_made_once_and_as_it_must_be(log: TopicLog) -> None:
    log.append(3, b"key", b"value", [("a", b"1")])
    log.append(3, b"key", None)
    [producer] = Producer.made
    assert producer.sent == [("t", b"value", b"key", [("a", b"1")], 3), ("t", None, b"key", [], 3)]
    wanted = {
        "acks": "all",
        "enable_idempotence": True,
        "linger_ms": 5,
        "max_request_size": 5000,
        "compression_type": "zstd",
    }
    assert wanted.items() <= producer.settings.items()


def test_what_is_refused_is_told_by_flush_and_the_producer_replaced(log: TopicLog) -> None:
    log.append(0, b"key", b"1")
    Producer.made[0].late = TopicAuthorizationFailedError()
    log.append(0, b"key", b"2")
    with pytest.raises(BusError, match="TopicAuthorizationFailedError of t"):
        log.flush(1)
    assert Producer.made[0].closed
    log.flush(1)
    log.append(0, b"key", b"3")
    log.flush(1)
    assert len(Producer.made) == 2


@pytest.mark.parametrize(
    ("fault", "kept"), [(MessageSizeTooLargeError(), True), (ValueError("no"), True), (KafkaTimeoutError(), False)]
)
def test_what_never_was_sent(log: TopicLog, fault: Exception, *, kept: bool) -> None:
    log.append(0, b"key", b"1")
    Producer.made[0].fault = fault
    with pytest.raises(BusError, match=type(fault).__name__):
        log.append(0, b"key", b"2")
    assert Producer.made[0].closed is not kept


def test_a_password_file_that_is_not_there(log: TopicLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def settings() -> dict[str, Any]:
        raise FileNotFoundError(2, "No such file", "password")

    monkeypatch.setattr(log._dial, "settings", settings)
    with pytest.raises(BusError, match="FileNotFoundError"):
        log.append(0, b"key", b"1")
    with pytest.raises(BusError, match="FileNotFoundError"):
        log.end(0)


def test_a_read_that_fails_is_told_and_the_next_has_a_new_client(log: TopicLog, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    def consumer(**settings: Any) -> Any:
        def fail(*_: object, **__: object) -> Any:
            raise KafkaTimeoutError

        made.append(SimpleNamespace(beginning_offsets=fail, close=lambda timeout_ms: closed.append(1)))
        return made[-1]

    closed: list[int] = []
    monkeypatch.setattr(module, "KafkaConsumer", consumer)
    for _ in range(2):
        with pytest.raises(BusError, match="KafkaTimeoutError of t"):
            list(log.read(0))
    assert (len(made), len(closed)) == (2, 2)


def test_a_log_that_was_never_used_closes(log: TopicLog) -> None:
    log.close()
    log.flush(0)
    assert Producer.made == []
