from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from bench.kafka.certificates import Authority, Identity
from nigrani.service.errors import Problem
from nigrani.service.tls import ServerTls

ISSUERS = Authority()


def served(server: ServerTls, context: ssl.SSLContext) -> str:
    """The serial number of the certificate that a client is shown."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wrapped = server.wrap(ours)
        hand = threading.Thread(target=wrapped.do_handshake)
        hand.start()
        with context.wrap_socket(theirs, server_hostname="localhost") as secure:
            hand.join()
            wrapped.close()
            return str(secure.getpeercert()["serialNumber"])  # type: ignore[index]


@pytest.fixture
def mine(tmp_path: Path) -> Identity:
    return ISSUERS.issue(tmp_path, "agent")


@pytest.fixture
def client(tmp_path: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ISSUERS.write(tmp_path / "ca.crt"))


def test_a_renewed_certificate_is_shown_to_the_next_client(mine: Identity, client: ssl.SSLContext, tmp_path: Path) -> None:
    server = ServerTls(mine.certificate, mine.key, None)
    first = served(server, client)
    assert served(server, client) == first
    ISSUERS.issue(tmp_path, "agent")
    assert served(server, client) != first


def test_half_a_renewal_changes_nothing(
    mine: Identity, client: ssl.SSLContext, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = ServerTls(mine.certificate, mine.key, None)
    first = served(server, client)
    new = ISSUERS.issue(tmp_path, "agent", file="new")
    new.certificate.replace(mine.certificate)
    assert [served(server, client) for _ in range(2)] == [first, first]
    (record,) = caplog.records
    assert "agent.crt and" in record.message
    assert "the certificate from before is still used" in record.message
    new.key.replace(mine.key)
    assert served(server, client) != first
    mine.certificate.unlink()
    served(server, client)
    assert "agent.crt: No such file or directory; the certificate" in caplog.records[-1].message


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("agent.crt", r"agent\.crt and .*agent\.key are no certificate and its key"),
        ("agent.key", r"agent\.crt and .*agent\.key are no certificate and its key"),
        ("ca.crt", r"ca\.crt has no certificates"),
    ],
)
def test_files_that_cannot_be_used(mine: Identity, client: ssl.SSLContext, tmp_path: Path, broken: str, told: str) -> None:
    (tmp_path / broken).write_text("-----BEGIN CERTIFICATE-----\n")
    with pytest.raises(Problem, match=told):
        ServerTls(mine.certificate, mine.key, tmp_path / "ca.crt")
    (tmp_path / broken).unlink()
    with pytest.raises(Problem, match=rf"{broken}: No such file"):
        ServerTls(mine.certificate, mine.key, tmp_path / "ca.crt")


def test_a_key_with_a_password_is_refused_not_asked_about(mine: Identity) -> None:
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - here alone
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    key = load_pem_private_key(mine.key.read_bytes(), None)
    mine.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))
    with pytest.raises(Problem, match="are no certificate and its key"):
        ServerTls(mine.certificate, mine.key, None)


def test_old_versions_of_tls_are_refused(mine: Identity) -> None:
    ours, theirs = socket.socketpair()
    with theirs, ServerTls(mine.certificate, mine.key, None).wrap(ours) as wrapped:
        assert wrapped.context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_server_of_its_own_connections_takes_renewals_too(mine: Identity, client: ssl.SSLContext, tmp_path: Path) -> None:
    context = ServerTls(mine.certificate, mine.key, None).context()

    def shown() -> str:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            hand = threading.Thread(target=lambda: context.wrap_socket(ours, server_side=True).close())
            hand.start()
            with client.wrap_socket(theirs, server_hostname="localhost") as secure:
                hand.join()
                return str(secure.getpeercert()["serialNumber"])  # type: ignore[index]

    first = shown()
    assert shown() == first
    ISSUERS.issue(tmp_path, "agent")
    assert shown() != first


def test_what_cannot_be_used_is_told_under_its_setting(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"^page\.tls: "):
        ServerTls(tmp_path / "none", tmp_path / "none", None, "page.tls")
