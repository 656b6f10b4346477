from __future__ import annotations

import socket
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry, Counter

from nigrani.service.endpoint import Endpoint
from nigrani.service.errors import Problem


def registry() -> CollectorRegistry:
    found = CollectorRegistry()
    Counter("nigrani_test", "A test.", registry=found).inc(3)
    return found


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_metrics_are_served_until_closed(host: str) -> None:
    if host == "[::1]" and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    endpoint = Endpoint(registry(), f"{host}:0")
    with urlopen(f"http://{host}:{endpoint.port}/metrics", timeout=5) as answer:
        assert b"nigrani_test_total 3.0" in answer.read()
    endpoint.close()
    again = Endpoint(registry(), f"{host}:{endpoint.port}")
    again.close()


def test_a_port_in_use_is_a_problem() -> None:
    first = Endpoint(registry(), "127.0.0.1:0")
    with pytest.raises(Problem, match=rf"cannot serve metrics on 127\.0\.0\.1:{first.port}: .*in use; free the port"):
        Endpoint(registry(), f"127.0.0.1:{first.port}")
    first.close()


@pytest.mark.parametrize(
    "listen",
    ["", "9464", ":9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:-1", "127.0.0.1:70000", "127.0.0.1:²"],
)
def test_what_is_no_address_is_a_problem(listen: str) -> None:
    with pytest.raises(Problem, match="is not address:port"):
        Endpoint(registry(), listen)


def test_an_address_of_another_host_is_a_problem() -> None:
    with pytest.raises(Problem, match=r"cannot serve metrics on 192\.0\.2\.1:9464"):
        Endpoint(registry(), "192.0.2.1:9464")
