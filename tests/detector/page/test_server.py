"""The page as it is served: a real listener, real connections, in a thread."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bench.kafka.certificates import Authority
from detector.cases.store import Store
from detector.page import listener, server
from detector.page.listener import Listener
from detector.page.server import PageServer
from detector.page.settings import PageSettings, PageTls
from tests.detector.page.visitor import serving

Serve = Callable[..., PageServer]


@pytest.fixture
def serve(store: Store) -> Iterator[Serve]:
    opened: list[PageServer] = []

    def begin(**settings: object) -> PageServer:
        made = serving(store, PageSettings(**{"listen": "127.0.0.1:0", **settings}))
        opened.append(made)
        return made

    yield begin
    for one in opened:
        one.close()


def status(page: PageServer, path: str = "/cases", context: ssl.SSLContext | None = None) -> int:
    place = urlsplit(page.url)
    connection: http.client.HTTPConnection
    if context is None:
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    else:
        connection = http.client.HTTPSConnection("localhost", place.port, timeout=10, context=context)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def port(page: PageServer) -> int:
    return urlsplit(page.url).port or 0


def test_it_answers_and_ends_soon(serve: Serve) -> None:
    page = serve()
    assert status(page) == 200
    at = port(page)
    began = time.monotonic()
    page.close()
    assert time.monotonic() - began < 3
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", at))


def test_it_ends_though_a_client_holds_on(serve: Serve) -> None:
    page = serve()
    with socket.create_connection(("127.0.0.1", port(page))) as silent:
        silent.sendall(b"GET /cases HTTP/1.1\r\n")
        began = time.monotonic()
        page.close()
        assert time.monotonic() - began < 6


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_port_that_is_taken_is_waited_for(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "AGAIN", 0.1)
    with Listener("127.0.0.1", 0, Counter()) as other:
        taken = other.getsockname()[1]
        page = serve(listen=f"127.0.0.1:{taken}")
        assert page.url == ""
        assert "Address already in use" in page.trouble
        time.sleep(0.4)
    until(lambda: page.url)
    assert status(page) == 200
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_clients_that_say_nothing_keep_nobody_out(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MAX_CONNECTIONS", 5)
    page = serve()
    silent = [socket.create_connection(("127.0.0.1", port(page))) for _ in range(12)]
    assert status(page) == 200
    for one in silent:
        one.close()


def test_a_slow_client_ends(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "SECONDS", 0.3)
    page = serve()
    with socket.create_connection(("127.0.0.1", port(page)), timeout=10) as slow:
        slow.sendall(b"POST /cases/1/note HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nte")
        assert slow.recv(1000) == b""
    assert status(page) == 200


@pytest.mark.parametrize(
    "request_",
    [b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 70_000, b"GET /cases HTTP/1.1\r\nX: " + b"a" * 99_999],
)
def test_what_is_no_request_ends_itself_alone(serve: Serve, request_: bytes) -> None:
    page = serve()
    with socket.create_connection(("127.0.0.1", port(page)), timeout=10) as odd:
        try:
            odd.sendall(request_)
            odd.shutdown(socket.SHUT_WR)
            answer = odd.recv(1000)
        except OSError:
            answer = b""
    assert answer[:12] in {b"", b"HTTP/1.1 400", b"HTTP/1.1 421"}
    assert status(page) == 200


class TestTls:
    """Encryption, from files that are renewed."""

    @pytest.fixture
    def authority(self) -> Authority:
        return Authority()

    @pytest.fixture
    def context(self, authority: Authority, tmp_path: Path) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=authority.write(tmp_path / "ca.crt"))

    def test_it_is_encrypted_and_plain_gets_nothing(
        self, serve: Serve, authority: Authority, context: ssl.SSLContext, tmp_path: Path, users_file: Path
    ) -> None:
        mine = authority.issue(tmp_path, "page")
        page = serve(tls=PageTls(mine.certificate, mine.key), users=users_file, hosts=("localhost",))
        assert page.url.startswith("https://")
        assert status(page, "/login", context) == 200
        assert status(page, "/cases", context) == 303
        with socket.create_connection(("127.0.0.1", port(page)), timeout=10) as plain:
            plain.sendall(b"GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert b"HTTP" not in plain.recv(1000)

    def test_files_that_cannot_be_used_are_waited_for(
        self,
        serve: Serve,
        tmp_path: Path,
        authority: Authority,
        users_file: Path,
        context: ssl.SSLContext,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(server, "AGAIN", 0.05)
        mine = authority.issue(tmp_path, "page")
        hidden, place = tmp_path / "hidden", tmp_path / "later.users"
        key = mine.key.rename(hidden)
        page = serve(tls=PageTls(mine.certificate, mine.key), users=place, hosts=("localhost",))
        assert not page.url
        assert "page.users" in page.trouble
        users_file.rename(place)
        until(lambda: "page.tls" in page.trouble)
        key.rename(mine.key)
        until(lambda: page.url and not page.trouble)
        assert status(page, "/login", context) == 200
        assert [record.levelname for record in caplog.records if "detection goes on" in record.message] == ["ERROR"] * 2
