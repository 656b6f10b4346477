from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter

from bench.kafka.certificates import Authority
from nigrani.service import endpoint as module
from nigrani.service.endpoint import MAX_CONNECTIONS, MAX_REQUEST, Endpoint
from nigrani.service.errors import Problem
from nigrani.service.metrics import MetricsSettings, MetricsTls

ISSUERS, STRANGERS = Authority(), Authority("a stranger")
GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


def registry() -> CollectorRegistry:
    found = CollectorRegistry()
    Counter("nigrani_test", "A test.", registry=found).inc(3)
    return found


@pytest.fixture
def plain() -> Iterator[Endpoint]:
    endpoint = Endpoint(registry(), MetricsSettings("127.0.0.1:0"))
    yield endpoint
    endpoint.close()


@pytest.fixture
def mutual(tmp_path: Path) -> Iterator[Endpoint]:
    """With TLS, for those with a certificate of ours."""
    mine = ISSUERS.issue(tmp_path, "agent")
    tls = MetricsTls(mine.certificate, mine.key, ISSUERS.write(tmp_path / "ca.crt"))
    endpoint = Endpoint(registry(), MetricsSettings("127.0.0.1:0", tls))
    yield endpoint
    endpoint.close()


def client(folder: Path, issuers: Authority | None) -> ssl.SSLContext:
    """One that believes our authority, and has a certificate by the other."""
    context = ssl.create_default_context(cafile=ISSUERS.write(folder / "ca.crt"))
    if issuers is not None:
        mine = issuers.issue(folder, "prometheus", file=f"client-{id(issuers)}")
        context.load_cert_chain(mine.certificate, mine.key)
    return context


def scrape(endpoint: Endpoint, context: ssl.SSLContext | None = None) -> bytes:
    with urlopen(endpoint.url, timeout=5, context=context) as answer:
        text: bytes = answer.read()
        assert int(answer.headers["Content-Length"]) == len(text)
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return text


def dial(endpoint: Endpoint, text: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", endpoint.port), timeout=5)
    connection.sendall(text)
    return connection


def answer(endpoint: Endpoint, request: bytes) -> bytes:
    with dial(endpoint, request) as connection:
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def soon(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_metrics_are_served_until_closed(host: str) -> None:
    if host == "[::1]" and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    endpoint = Endpoint(registry(), MetricsSettings(f"{host}:0"))
    assert endpoint.url == f"http://{host}:{endpoint.port}/metrics"
    assert b"nigrani_test_total 3.0\n" in scrape(endpoint)
    began = time.monotonic()
    endpoint.close()
    assert time.monotonic() - began < 1
    Endpoint(registry(), MetricsSettings(f"{host}:{endpoint.port}")).close()


def test_the_endpoint_counts_its_own_connections(plain: Endpoint) -> None:
    scrape(plain)
    assert b'nigrani_metrics_connections_total{end="answered"} 1\n' in scrape(plain)
    assert b'nigrani_metrics_connections_total{end="slow"} 0\n' in scrape(plain)


def test_a_port_in_use_is_a_problem(plain: Endpoint) -> None:
    with pytest.raises(Problem, match=rf"cannot serve metrics on 127\.0\.0\.1:{plain.port}: .*in use; free the port"):
        Endpoint(registry(), MetricsSettings(f"127.0.0.1:{plain.port}"))


def test_an_address_of_another_host_is_a_problem() -> None:
    with pytest.raises(Problem, match=r"cannot serve metrics on 192\.0\.2\.1:9464"):
        Endpoint(registry(), MetricsSettings("192.0.2.1:9464", unprotected=True))


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (GET, b"200 OK"),
        (b"GET /metrics?name[]=up HTTP/1.0\r\n\r\n", b"200 OK"),
        (b"GET / HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", b"405 Method Not Allowed"),
        (b"GET /metrics\r\n\r\n", b"400 Bad Request"),
        (b"\x16\x03\x01\x00\xff\r\n\r\n", b"400 Bad Request"),
        (b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 1500, b"431 Request Header Fields Too Large"),
    ],
    ids=["metrics", "query", "elsewhere", "write", "no version", "not HTTP", "a flood of headers"],
)
def test_what_is_asked_is_what_is_answered(plain: Endpoint, request_: bytes, status: bytes) -> None:
    with contextlib.suppress(ConnectionResetError):
        assert answer(plain, request_).startswith(b"HTTP/1.1 " + status + b"\r\n")
    soon(lambda: plain.ends["answered" if status == b"200 OK" else "refused"] == 1)


def test_head_has_no_body(plain: Endpoint) -> None:
    with urlopen(Request(plain.url, method="HEAD"), timeout=5) as found:
        assert int(found.headers["Content-Length"]) > 100
        assert found.read() == b""


def test_a_request_in_pieces(plain: Endpoint) -> None:
    with dial(plain) as connection:
        for at in range(len(GET)):
            connection.sendall(GET[at : at + 1])
        assert connection.recv(15) == b"HTTP/1.1 200 OK"


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda junk: GET[:20] + junk + b"\r\n\r\n"))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_end_one_connection_and_nothing_else(
    plain: Endpoint, monkeypatch: pytest.MonkeyPatch, junk: bytes
) -> None:
    monkeypatch.setattr(module, "PACE", 0)
    with dial(plain, junk), contextlib.suppress(OSError):
        pass
    assert b"nigrani_test_total" in scrape(plain)


def test_who_says_nothing_keeps_nobody_out(plain: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACE", 0.001)
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(dial(plain, b"GET /me")) for _ in range(MAX_CONNECTIONS + 4)]
        began = time.monotonic()
        assert b"nigrani_test_total" in scrape(plain)
        assert time.monotonic() - began < 2
        assert plain.ends["crowded"] == 5
        assert silent[0].recv(1) == b""


def test_who_is_slow_is_cut_off(plain: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.3)
    with dial(plain, b"GET /metrics HTTP/1.1\r\n") as connection:
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while connection.send(b"X: y\r\n"):
                time.sleep(0.05)
        assert 0.2 < time.monotonic() - began < 2
    assert plain.ends["slow"] == 1


def test_who_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.3)
    large = CollectorRegistry()
    Counter("nigrani_test", "x" * 8_000_000, registry=large)
    endpoint = Endpoint(large, MetricsSettings("127.0.0.1:0"))
    with dial(endpoint, GET):
        soon(lambda: endpoint.ends["slow"] == 1)
    with dial(endpoint, GET) as connection:
        assert len(b"".join(iter(lambda: connection.recv(1 << 20), b""))) > 8_000_000
    endpoint.close()


def test_connections_cost_no_more_than_their_pace(plain: Endpoint) -> None:
    began = time.monotonic()
    for _ in range(20):
        dial(plain).close()
    soon(lambda: plain.ends["gone"] == 20)
    assert time.monotonic() - began > 19 * module.PACE


def test_a_collectors_fault_is_told_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Faulty:
        def collect(self) -> list[object]:
            raise OSError("the disk is gone")

    endpoint = Endpoint(Faulty(), MetricsSettings("127.0.0.1:0"))  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(HTTPError, match="500"):
            scrape(endpoint)
    endpoint.close()
    assert "metrics cannot be collected" in caplog.text


def test_memory_and_files_are_bounded(plain: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACE", 0)
    scrape(plain)
    files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted, not looked at
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(20):
        for _ in range(10):
            dial(plain, b"x" * (MAX_REQUEST // 2)).close()
        scrape(plain)  # as many wait at a time as the kernel keeps
    soon(lambda: sum(plain.ends.values()) == 221)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 200_000
    assert len(os.listdir("/proc/self/fd")) <= files  # noqa: PTH208 - as above


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_over_tls_only_our_own_clients_may_read(
    mutual: Endpoint, tmp_path: Path, version: ssl.TLSVersion, caplog: pytest.LogCaptureFixture
) -> None:
    ours, strange, none = (client(tmp_path, issuers) for issuers in (ISSUERS, STRANGERS, None))
    for context in (ours, strange, none):
        context.minimum_version = context.maximum_version = version
    assert mutual.url.startswith("https://127.0.0.1:")
    assert b"nigrani_test_total 3.0" in scrape(mutual, ours)
    for context in (strange, none):
        with pytest.raises(OSError, match=r"alert|reset|refused|EOF|closed"):
            scrape(mutual, context)
    with contextlib.suppress(ConnectionResetError):
        assert not answer(mutual, GET).startswith(b"HTTP/1.1")
    soon(lambda: mutual.ends["refused"] == 3)
    assert b"nigrani_test_total" in scrape(mutual, ours)
    assert [record.message for record in caplog.records] == ["metrics: a client was refused: CERTIFICATE_VERIFY_FAILED"]


def test_a_handshake_that_never_comes_holds_up_nobody(mutual: Endpoint, tmp_path: Path) -> None:
    context = client(tmp_path, ISSUERS)
    with dial(mutual), dial(mutual, b"\x16\x03\x01\x02\x00\x01"):
        began = time.monotonic()
        for _ in range(3):
            assert b"nigrani_test_total" in scrape(mutual, context)
        assert time.monotonic() - began < 2


def test_who_leaves_in_the_middle_of_the_handshake_is_gone(mutual: Endpoint) -> None:
    dial(mutual, b"\x16\x03\x01\x02\x00\x01").close()
    soon(lambda: mutual.ends["gone"] == 1)


def test_tls_files_that_are_not_there_are_a_problem(tmp_path: Path) -> None:
    tls = MetricsTls(tmp_path / "no.crt", tmp_path / "no.key")
    with pytest.raises(Problem, match=r"metrics\.tls: .*no\.crt: No such file"):
        Endpoint(registry(), MetricsSettings("127.0.0.1:0", tls))


def test_plain_metrics_load_no_tls() -> None:
    code = "import nigrani.service.endpoint, sys; sys.exit(bool({'ssl', 'http', 'prometheus_client'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed here")
def test_prometheus_scrapes_with_its_certificate(mutual: Endpoint, tmp_path: Path) -> None:
    theirs = ISSUERS.issue(tmp_path, "prometheus")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "prometheus.yml").write_text(f"""\
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: nigrani
    scheme: https
    tls_config: {{ca_file: {tmp_path}/ca.crt, cert_file: {theirs.certificate}, key_file: {theirs.key}}}
    static_configs: [{{targets: ["127.0.0.1:{mutual.port}"]}}]
""")
    server = subprocess.Popen(
        [
            *("prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"),
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        found = ""
        until = time.monotonic() + 30
        while '"3"' not in found and time.monotonic() < until:
            time.sleep(0.3)
            with (
                contextlib.suppress(OSError),
                urlopen(f"http://127.0.0.1:{port}/api/v1/query?query=nigrani_test_total", timeout=5) as told,
            ):
                found = told.read().decode()
        assert '"3"' in found
        assert mutual.ends["answered"] > 0
    finally:
        server.terminate()
        server.wait()
