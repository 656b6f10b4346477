from __future__ import annotations

from pathlib import Path

import pytest

from nigrani.stream.kafka.settings import MAX_SERVERS, Connection, Sasl, Tls, Topics, check_topic, options

CA, CERTIFICATE, KEY = Path("/c/ca.pem"), Path("/c/me.pem"), Path("/c/me.key")


@pytest.mark.parametrize("server", ["kafka-1:9092", "10.0.0.1:9092", "[::1]:9092", "k.hospital.example:65535"])
def test_servers_are_host_and_port(server: str) -> None:
    assert Connection(servers=(server,)).servers == (server,)


@pytest.mark.parametrize(
    "server", ["", "kafka", "kafka:", ":9092", "kafka:0", "kafka:65536", "::1:9092", "a b:1", "http://k:1"]
)
def test_what_is_no_server_is_told(server: str) -> None:
    with pytest.raises(ValueError, match="is not host:port"):
        Connection(servers=(server,))
    with pytest.raises(ValueError, match="is not host:port"):
        Topics(servers=(server,))


def test_servers_are_bounded() -> None:
    with pytest.raises(ValueError, match="too many"):
        Connection(servers=("k:1",) * (MAX_SERVERS + 1))


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a/b", "ä", "x" * 250])
def test_what_is_no_topic_is_told(name: str) -> None:
    with pytest.raises(ValueError, match=r"kafka\.topic"):
        check_topic("kafka.topic", name)


def test_halves_of_an_identity_are_told() -> None:
    for make in (
        lambda: Tls(CA, CERTIFICATE),
        lambda: Tls(CA, None, KEY),
        lambda: Tls(None, CERTIFICATE, KEY),
        lambda: Sasl("user"),
        lambda: Sasl("", KEY),
    ):
        with pytest.raises(ValueError, match=r"together|needs"):
            make()


@pytest.mark.parametrize(
    ("tls", "sasl", "protocol"),
    [
        (Tls(), Sasl(), "PLAINTEXT"),
        (Tls(CA), Sasl(), "SSL"),
        (Tls(), Sasl("u", KEY), "SASL_PLAINTEXT"),
        (Tls(CA), Sasl("u", KEY), "SASL_SSL"),
    ],
)
def test_the_protocol_follows(tls: Tls, sasl: Sasl, protocol: str) -> None:
    assert Connection(tls=tls, sasl=sasl).protocol == protocol


def test_the_password_is_read_each_time(tmp_path: Path) -> None:
    password = tmp_path / "password"
    connection = Connection(servers=("k:1",), tls=Tls(CA, CERTIFICATE, KEY), sasl=Sasl("u", password))
    for word in ("first", "second"):
        password.write_text(f"{word}\n")
        found = options(connection, "me")
        assert found["sasl_plain_password"] == word
    assert found == {
        "bootstrap_servers": ["k:1"],
        "client_id": "me",
        "security_protocol": "SASL_SSL",
        "ssl_cafile": str(CA),
        "ssl_certfile": str(CERTIFICATE),
        "ssl_keyfile": str(KEY),
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "u",
        "sasl_plain_password": "second",
    }
    password.unlink()
    with pytest.raises(OSError, match="password"):
        options(connection, "me")
