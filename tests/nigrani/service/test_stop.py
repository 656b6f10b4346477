"""A service is asked to end by either signal."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from nigrani.service.stop import Stop


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_either_signal_asks(number: int) -> None:
    stop = Stop()
    assert not stop.asked
    os.kill(os.getpid(), number)
    assert stop.asked
