"""A service is told to read its configuration anew, and is not ended by it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from nigrani.service.hangup import Hangup


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    kept = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, kept)


def test_each_asking_is_taken_once() -> None:
    hangup = Hangup()
    assert not hangup.taken()
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGHUP)
    assert hangup.taken()
    assert not hangup.taken()
    os.kill(os.getpid(), signal.SIGHUP)
    assert hangup.taken()
