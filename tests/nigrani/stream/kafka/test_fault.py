"""Kinds of trouble by the errors that tell of them; tests/kafka/test_forwarder.py gets them from real brokers."""

from __future__ import annotations

import errno
import socket
import ssl
from pathlib import Path

import kafka.errors
import pytest
from confluent_kafka import KafkaError, KafkaException

from bench.kafka.certificates import Authority
from nigrani.stream.kafka import fault
from nigrani.stream.kafka.fault import KINDS, diagnose, look, trouble
from nigrani.stream.kafka.settings import Connection, Tls


def expired() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    error.verify_message = "certificate has expired"
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "unreachable"),
        (socket.gaierror(-2, "Name or service not known"), "unreachable"),
        (kafka.errors.KafkaConnectionError("111 ECONNREFUSED"), "unreachable"),
        (kafka.errors.NodeNotReadyError("1"), "unreachable"),
        (expired(), "certificate"),
        (ssl.SSLError(1, "[SSL: TLSV1_ALERT_UNKNOWN_CA]"), "certificate"),
        (FileNotFoundError(errno.ENOENT, "No such file"), "certificate"),
        (kafka.errors.KafkaConnectionError("Handshake failed: [SSL: CERTIFICATE_VERIFY_FAILED] expired"), "certificate"),
        (kafka.errors.KafkaConnectionError(expired()), "certificate"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/p/password"), "authentication"),
        (kafka.errors.SaslAuthenticationFailedError("no"), "authentication"),
        (kafka.errors.TopicAuthorizationFailedError("t"), "authorization"),
        (kafka.errors.ClusterAuthorizationFailedError("c"), "authorization"),
        (kafka.errors.UnknownTopicOrPartitionError("t"), "topic"),
        (kafka.errors.KafkaTimeoutError("late"), "timeout"),
        (kafka.errors.RequestTimedOutError("late"), "timeout"),
        (TimeoutError("late"), "timeout"),
        (kafka.errors.MessageSizeTooLargeError("big"), "refused"),
        (kafka.errors.RecordListTooLargeError("big"), "refused"),
        (kafka.errors.InvalidRecordError("x"), "refused"),
        (kafka.errors.InvalidTimestampError("x"), "refused"),
        (kafka.errors.NotEnoughReplicasError("x"), "stalled"),
        (kafka.errors.NotEnoughReplicasAfterAppendError("x"), "stalled"),
        (kafka.errors.KafkaStorageError("x"), "other"),
        (KeyError("x"), "other"),
        (RuntimeError(), "other"),
    ],
    ids=repr,
)
def test_an_error_has_a_kind(error: BaseException, kind: str) -> None:
    found = trouble(error, "k:9092", "topic t")
    assert found.kind == kind
    assert kind in KINDS
    assert "\n" not in str(found)
    assert found.message
    assert found.remedy in str(found)
    assert "k:9092" in found.message or "topic t" in found.message


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("_TRANSPORT", "unreachable"),
        ("_ALL_BROKERS_DOWN", "unreachable"),
        ("_SSL", "certificate"),
        ("_AUTHENTICATION", "authentication"),
        ("TOPIC_AUTHORIZATION_FAILED", "authorization"),
        ("UNKNOWN_TOPIC_OR_PART", "topic"),
        ("_UNKNOWN_TOPIC", "topic"),
        ("_MSG_TIMED_OUT", "timeout"),
        ("MSG_SIZE_TOO_LARGE", "refused"),
        ("INVALID_TIMESTAMP", "refused"),
        ("NOT_ENOUGH_REPLICAS", "stalled"),
        ("_FATAL", "other"),
    ],
)
def test_an_error_of_librdkafka_has_a_kind(name: str, kind: str) -> None:
    assert trouble(KafkaException(KafkaError(getattr(KafkaError, name)))).kind == kind


def test_what_ended_a_producer_of_librdkafka_is_in_its_text() -> None:
    text = "ProduceRequest for t [2] failed: Broker: Message size too large: unable to satisfy gap-less guarantee"
    assert trouble(KafkaException(KafkaError(KafkaError._GAPLESS_GUARANTEE, text))).kind == "refused"


def test_the_innermost_cause_that_tells_counts() -> None:
    outer = kafka.errors.KafkaTimeoutError("nothing came of it")
    outer.__cause__ = kafka.errors.KafkaConnectionError("lost")
    outer.__cause__.__context__ = expired()
    found = trouble(outer, "k:1")
    assert found.kind == "certificate"
    assert "certificate has expired" in found.message


def test_a_circle_of_causes_ends() -> None:
    first, second = KeyError("a"), KeyError("b")
    first.__context__, second.__context__ = second, first
    assert trouble(first).kind == "other"


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{taken.getsockname()[1]}"
        found = diagnose(kafka.errors.KafkaTimeoutError("x"), Connection(servers=(server,)))
    assert found.kind == "unreachable"
    assert server in found.message
    assert "refused" in found.message


def test_where_one_server_answers_the_error_stands() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        answers = f"127.0.0.1:{listening.getsockname()[1]}"
        found = diagnose(kafka.errors.KafkaTimeoutError("x"), Connection(servers=("127.0.0.1:1", answers)))
    assert found.kind == "timeout"


def test_what_is_known_is_not_looked_for() -> None:
    found = diagnose(kafka.errors.TopicAuthorizationFailedError("t"), Connection(servers=("127.0.0.1:1",)), "topic t")
    assert found.kind == "authorization"


def test_a_port_without_tls_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fault, "LOOK_SECONDS", 0.3)
    authority = Authority()
    ca = authority.write(tmp_path / "ca.crt")
    identity = authority.issue(tmp_path, "me")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"127.0.0.1:{silent.getsockname()[1]}"
        found = look(server, Tls(ca, identity.certificate, identity.key))
        assert isinstance(found, ConnectionError)
        assert trouble(found).kind == "unreachable"


def test_files_that_are_not_there_are_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = look(f"127.0.0.1:{listening.getsockname()[1]}", Tls(tmp_path / "ca.crt"))
    assert found is not None
    assert trouble(found).kind == "certificate"
