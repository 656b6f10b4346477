from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agent.source import Piece
from agent.sources.frames import MAX_MESSAGE
from agent.sources.settings import Syslog
from agent.sources.syslog import STALL, SyslogListener
from nigrani.service.errors import Problem

AUDIT = b"<85>1 2026-06-25T13:47:57.600Z host app 1 IHE+RFC-3881 - <?xml"
TOLD = Piece(b"<?xml", 1_782_395_277_600_000, "127.0.0.1")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def counted(*messages: bytes) -> bytes:
    return b"".join(b"%d %s" % (len(message), message) for message in messages)


def read(listener: SyslogListener, count: int = 1, within: float = 5.0) -> list[Piece]:
    pieces: list[Piece] = []
    end = time.monotonic() + within
    while len(pieces) < count and time.monotonic() < end:
        pieces += listener.read(0.05)
    return pieces


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tcp(clock: Clock) -> Iterator[SyslogListener]:
    listener = SyslogListener(Syslog(transport="tcp", listen="127.0.0.1:0", connections=3), clock)
    yield listener
    listener.close()


def connect(listener: SyslogListener) -> socket.socket:
    return socket.create_connection(("127.0.0.1", listener.port), 5)


def test_udp(clock: Clock) -> None:
    listener = SyslogListener(Syslog(transport="udp", listen="127.0.0.1:0"), clock)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for message in (AUDIT, AUDIT + b"\n", b"no header", b"<34>hello"):
            sender.sendto(message, ("127.0.0.1", listener.port))
    assert read(listener, 4) == [TOLD, TOLD, Piece(b"no header", None, "127.0.0.1"), Piece(b"hello", None, "127.0.0.1")]
    assert (listener.counters["messages"], listener.counters["headless"]) == (4, 1)
    assert listener.state() == {}
    listener.close()


def test_tcp_in_both_framings(tcp: SyslogListener) -> None:
    with connect(tcp) as one, connect(tcp) as other:
        one.sendall(counted(AUDIT, AUDIT)[:-3])
        other.sendall(AUDIT + b"\n" + AUDIT)
        assert read(tcp, 2) == [TOLD, TOLD]
        assert tcp.counters["open"] == 2
        one.sendall(counted(AUDIT)[-3:])
        other.shutdown(socket.SHUT_WR)
        assert read(tcp, 2) == [TOLD, TOLD]
    read(tcp, 1, 0.2)
    assert (tcp.counters["connections"], tcp.counters["open"]) == (2, 0)


def test_a_connection_without_framing_is_closed(tcp: SyslogListener) -> None:
    with connect(tcp) as one:
        one.sendall(b"0x GET / HTTP/1.1\r\n")
        assert read(tcp, 1, 0.3) == []
        assert tcp.counters["unframed"] == 1
        assert one.recv(1) == b""


def test_connections_are_bounded(tcp: SyslogListener, clock: Clock) -> None:
    held = [connect(tcp) for _ in range(3)]
    read(tcp, 1, 0.3)
    with connect(tcp) as fourth:
        read(tcp, 1, 0.2)
        assert (tcp.counters["refused"], tcp.counters["open"]) == (1, 3)
        assert fourth.recv(1) == b""
    clock.now += STALL  # one that has been silent for long gives way
    with connect(tcp) as fifth:
        fifth.sendall(AUDIT + b"\n")
        assert read(tcp) == [TOLD]
    for one in held:
        one.close()


def test_a_sender_that_stops_in_a_message_is_closed(tcp: SyslogListener, clock: Clock) -> None:
    with connect(tcp) as half, connect(tcp) as idle:
        half.sendall(b"100 <1>")
        idle.sendall(AUDIT + b"\n")
        read(tcp, 1)
        read(tcp, 1, 0.1)
        clock.now += STALL + 1
        tcp.read()
        assert (tcp.counters["stalled"], tcp.counters["open"]) == (1, 1)


def test_a_reset_connection_is_forgotten(tcp: SyslogListener) -> None:
    one = connect(tcp)
    one.sendall(b"<1>x")
    read(tcp, 1, 0.2)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    one.close()
    read(tcp, 1, 0.2)
    assert tcp.counters["open"] == 0


def test_a_port_in_use_is_said(tcp: SyslogListener) -> None:
    with pytest.raises(Problem, match=r"cannot listen on 127.0.0.1:.*; free the port or set listen"):
        SyslogListener(Syslog(transport="tcp", listen=f"127.0.0.1:{tcp.port}"))


def test_a_message_over_the_bound_is_counted(tcp: SyslogListener) -> None:
    with connect(tcp) as one:
        one.sendall(counted(b"<1>" + b"x" * MAX_MESSAGE) + counted(AUDIT))
        assert read(tcp) == [TOLD]
    assert tcp.counters["long_lines"] == 1


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities, each with a certificate: `ours` signs server and archive, `theirs` signs the intruder."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for authority, names in (("ours", ["server", "archive"]), ("theirs", ["intruder"])):
        openssl(
            "req",
            "-x509",
            *key,
            "-days",
            "2",
            "-subj",
            f"/CN={authority}",
            "-keyout",
            f"{authority}.key",
            "-out",
            f"{authority}.pem",
        )
        for name in names:
            openssl("req", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
            openssl(
                "x509",
                "-req",
                "-in",
                f"{name}.csr",
                "-CA",
                f"{authority}.pem",
                "-CAkey",
                f"{authority}.key",
                "-days",
                "2",
                "-out",
                f"{name}.pem",
            )
    return folder


@pytest.fixture
def tls(certificates: Path, clock: Clock) -> Iterator[SyslogListener]:
    files = {
        name: certificates / file
        for name, file in (("certificate", "server.pem"), ("key", "server.key"), ("ca", "ours.pem"))
    }
    listener = SyslogListener(Syslog(listen="127.0.0.1:0", **files), clock)
    yield listener
    listener.close()


def greet(listener: SyslogListener, certificates: Path, name: str) -> ssl.SSLSocket:
    """A TLS connection by hand, so that one thread can play both ends."""
    context = ssl.create_default_context(cafile=str(certificates / "ours.pem"))
    context.check_hostname = False
    if name:
        context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    stream = context.wrap_socket(connect(listener), do_handshake_on_connect=False)
    stream.settimeout(0.05)
    for _ in range(100):
        listener.read(0.01)
        try:
            stream.do_handshake()
        except (TimeoutError, ssl.SSLWantReadError):
            continue
        break
    return stream


def test_tls_with_a_certificate(tls: SyslogListener, certificates: Path) -> None:
    with greet(tls, certificates, "archive") as stream:
        stream.sendall(counted(*[AUDIT] * 300))
        assert read(tls, 300) == [TOLD] * 300
        assert stream.version() == "TLSv1.3"
    assert tls.counters["failed_handshakes"] == 0


@pytest.mark.parametrize("name", ["", "intruder"])
def test_tls_without_a_certificate_of_ours(tls: SyslogListener, certificates: Path, name: str) -> None:
    with greet(tls, certificates, name) as stream:
        with suppress(OSError):
            stream.sendall(counted(AUDIT))
        assert read(tls, 1, 0.3) == []
    assert (tls.counters["failed_handshakes"], tls.counters["open"]) == (1, 0)


def test_a_handshake_that_is_none(tls: SyslogListener, clock: Clock) -> None:
    with connect(tls) as plain, connect(tls):
        plain.sendall(counted(AUDIT))
        assert read(tls, 1, 0.3) == []
        assert tls.counters["failed_handshakes"] == 1
        clock.now += STALL + 1  # the other never begins
        tls.read()
        assert (tls.counters["stalled"], tls.counters["open"]) == (1, 0)


def test_certificates_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"syslog certificates: .*; see certificate, key and ca"):
        SyslogListener(Syslog(listen="127.0.0.1:0", certificate=Path("/nowhere"), key=Path("/nowhere"), ca=Path("/nowhere")))


def test_messages_are_given_out_as_many_as_are_wanted(tcp: SyslogListener) -> None:
    with connect(tcp) as one:
        one.sendall(counted(*[AUDIT] * 5))
        time.sleep(0.05)
        tcp.read(0.5)
        found = [len(tcp.read(0.5, 2)) for _ in range(3)]
    assert found == [2, 2, 1]
