"""The metrics endpoint moves, or stays where it was."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.request import urlopen

import pytest

from nigrani.service.errors import Problem
from nigrani.service.exposition import Registry
from nigrani.service.metrics import MetricsSettings
from nigrani.service.serving import Serving


def free() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"127.0.0.1:{taken.getsockname()[1]}"


def answers(listen: str) -> bool:
    try:
        with urlopen(f"http://{listen}/metrics", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture
def first() -> str:
    return free()


@pytest.fixture
def serving(first: str) -> Iterator[Serving]:
    made = Serving(Registry(), MetricsSettings(first))
    yield made
    made.close()


def test_it_moves(serving: Serving, first: str) -> None:
    second = free()
    serving.change(MetricsSettings(second))
    assert answers(second)
    assert not answers(first)


def test_it_may_move_to_another_address_of_the_same_port(serving: Serving, first: str) -> None:
    port = first.rpartition(":")[2]
    serving.change(MetricsSettings(f"0.0.0.0:{port}", unprotected=True))
    assert answers(first)


def test_where_it_cannot_be_it_stays(serving: Serving, first: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(Problem, match="cannot serve metrics"):
            serving.change(MetricsSettings(f"127.0.0.1:{taken.getsockname()[1]}"))
        assert answers(first)


def test_closed_twice_is_closed(serving: Serving, first: str) -> None:
    serving.close()
    serving.close()
    assert not answers(first)
