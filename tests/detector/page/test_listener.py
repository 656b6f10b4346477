"""Connections that stay too long, or are too many, end."""

from __future__ import annotations

import socket
from collections import Counter

import pytest

from detector.page import listener
from detector.page.listener import Listener
from nigrani.service.errors import Problem


def connected(server: Listener, origin: str = "127.0.0.1") -> tuple[socket.socket, socket.socket]:
    client = socket.create_connection(server.getsockname(), source_address=(origin, 0))
    client.settimeout(5)
    return client, server.accept()[0]


def ended(client: socket.socket) -> bool:
    client.settimeout(0.2)
    try:
        return client.recv(1) == b""
    except TimeoutError:
        return False


def test_the_oldest_goes_for_a_newer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MAX_CONNECTIONS", 3)
    tally: Counter[str] = Counter()
    with Listener("127.0.0.1", 0, tally) as server:
        pairs = [connected(server) for _ in range(4)]
        assert [ended(client) for client, _ in pairs] == [True, False, False, False]
        assert tally["crowded"] == 1
        for pair in pairs:
            for one in pair:
                one.close()
        again = connected(server)
        assert tally["crowded"] == 1
        for one in again:
            one.close()


def test_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    tally: Counter[str] = Counter()
    with Listener("127.0.0.1", 0, tally) as server:
        client, theirs = connected(server)
        server.sweep()
        assert not ended(client)
        monkeypatch.setattr(listener, "SECONDS", 0.0)
        server.sweep()
        assert ended(client)
        assert tally["slow"] == 1
        client.close()
        theirs.close()


def test_an_address_that_is_taken_says_so() -> None:
    with Listener("127.0.0.1", 0, Counter()) as server:
        port = server.getsockname()[1]
        with pytest.raises(Problem, match=f"cannot serve the page on 127.0.0.1:{port}: Address already in use"):
            Listener("127.0.0.1", port, Counter())


def test_one_host_that_opens_many_keeps_no_other_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MAX_CONNECTIONS", 3)
    with Listener("127.0.0.1", 0, Counter()) as server:
        pairs = [connected(server), *(connected(server, "127.0.0.2") for _ in range(8))]
        assert [ended(client) for client, _ in pairs] == [False, *[True] * 6, False, False]
        for pair in pairs:
            for one in pair:
                one.close()
