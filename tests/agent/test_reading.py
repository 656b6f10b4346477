"""Metrics are fetched from endpoints of our own, plain and with TLS, and read as `exposition` writes them."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.reading import Place, Reading, fetch, parse, place_of, running
from bench.kafka.certificates import Authority
from nigrani.service.endpoint import Endpoint
from nigrani.service.errors import Problem, Usage
from nigrani.service.exposition import Family, Registry, exposition
from nigrani.service.metrics import MetricsSettings, MetricsTls


def registry(text: str = "x") -> Registry:
    class Some:
        def collect(self) -> list[Family]:
            states = Family("gauge", "nigrani_agent_forward_state", "s")
            states.add(0, state="idle")
            states.add(1, state=text)
            lines = Family("counter", "nigrani_agent_log_lines", "l")
            lines.add(7, source="gateway")
            return [Family("counter", "nigrani_agent_packets", "p", 5), states, lines]

    made = Registry()
    made.register(Some())
    return made


def reading(text: str = "x") -> Reading:
    return Reading(0.0, dict(parse(exposition(registry(text)).decode())))


def test_what_is_written_is_read() -> None:
    it = reading()
    assert it.value("packets_total") == 5
    assert (it.value("nothing"), it.number("nothing")) == (None, 0)
    assert it.word("forward_state", "state") == "x"
    assert it.word("nothing", "state") == ""
    assert it.labelled("forward_state", "state") == {"idle": 0, "x": 1}
    assert it.sources() == {"gateway": {"lines": 7}}


@given(st.text(st.characters(exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029{}", codec="utf-8")))
def test_any_label_comes_back(text: str) -> None:
    assert text in reading(text).labelled("forward_state", "state") or not text.strip()


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    for (name, labels), value in parse(text):
        assert name
        assert isinstance(value, float)
        assert isinstance(labels, tuple)


def test_a_plain_endpoint() -> None:
    endpoint = Endpoint(registry(), MetricsSettings("127.0.0.1:0"))
    try:
        settings = MetricsSettings(f"127.0.0.1:{endpoint.port}")
        assert fetch(place_of(settings)).number("packets_total") == 5
        assert running(settings)
        with pytest.raises(Problem, match="404"):
            fetch(Place(f"http://127.0.0.1:{endpoint.port}/nothing"))
    finally:
        endpoint.close()
    with pytest.raises(Problem, match="no agent answers at http://127"):
        fetch(place_of(settings))
    assert not running(settings)


def test_an_endpoint_with_certificates(tmp_path: Path) -> None:
    authority = Authority()
    mine, other = authority.issue(tmp_path, "agent"), authority.issue(tmp_path, "other")
    tls = MetricsTls(mine.certificate, mine.key, authority.write(tmp_path / "ca.pem"))
    endpoint = Endpoint(registry(), MetricsSettings("127.0.0.1:0", tls))
    try:
        place = place_of(MetricsSettings(f"127.0.0.1:{endpoint.port}", tls))
        assert fetch(place).number("packets_total") == 5
        with pytest.raises(Problem, match="another certificate"):
            fetch(place._replace(certificate=other.certificate, key=other.key))
        with pytest.raises(Problem, match="--config"):
            fetch(Place(place.url))
    finally:
        endpoint.close()


def test_what_is_no_address() -> None:
    for url in ("nonsense", "ftp://x:1/metrics", "http://:5/", "http://x:99999/", "http://x/"):
        with pytest.raises(Usage, match="is no address of metrics"):
            fetch(Place(url))


def test_where_it_is_asked_though_it_listens_everywhere() -> None:
    assert place_of(MetricsSettings("0.0.0.0:9465", unprotected=True)).url == "http://127.0.0.1:9465/metrics"
    assert place_of(MetricsSettings("[::]:9465", unprotected=True)).url == "http://[::1]:9465/metrics"


def test_who_answers_something_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"\x16\x03\x01 no HTTP\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(Problem, match="no agent answers"):
            fetch(Place(f"http://127.0.0.1:{server.getsockname()[1]}/metrics"))
        thread.join()
