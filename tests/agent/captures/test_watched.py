"""An interface that comes and goes while it is watched, and one that cannot keep up."""

from __future__ import annotations

import time

import pytest

from agent.captures.settings import CaptureSettings
from agent.captures.watched import Watched
from agent.meter import Meter
from nigrani.service.errors import Problem
from tests.agent.captures.isolation import ip, isolated, needs_namespaces, send, udp, wire

pytestmark = needs_namespaces


def seen(watched: Watched, port: int) -> int:
    """Packets that come of one that is sent."""
    send("va", udp(port))
    time.sleep(0.15)
    return watched.read(Meter(lambda *_: None), time.monotonic())


def down_and_up_again() -> None:
    watched = Watched("vb", CaptureSettings())
    assert (watched.is_up, seen(watched, 1)) == (True, 1)
    ip("link", "set", "vb", "down")
    assert not watched.check(1.0)
    assert (watched.is_up, watched.counts.losses, len(watched.rings)) == (False, 1, 1)
    ip("link", "set", "vb", "up")
    assert not watched.check(2.0)
    assert (watched.is_up, seen(watched, 2)) == (True, 1)
    assert watched.counts.losses == 1


def a_blink_between_two_looks() -> None:
    watched = Watched("vb", CaptureSettings())
    ip("link", "set", "vb", "down")
    ip("link", "set", "vb", "up")
    watched.check(1.0)
    watched.check(2.0)
    assert (watched.is_up, watched.counts.losses) == (True, 1)


def deleted_and_made_again() -> None:
    watched = Watched("vb", CaptureSettings())
    assert seen(watched, 1) == 1
    ip("link", "del", "va")
    assert watched.check(1.0)
    assert (watched.is_up, watched.rings) == (False, [])
    assert not watched.check(2.0)
    wire()
    assert watched.check(3.0)
    assert (watched.is_up, seen(watched, 2)) == (True, 1)
    watched.count()
    assert (watched.counts.losses, watched.counts.packets) == (1, 2)


def made_again_between_two_looks() -> None:
    watched = Watched("vb", CaptureSettings())
    ip("link", "del", "va")
    wire()
    assert watched.check(1.0)
    assert (watched.is_up, watched.counts.losses, seen(watched, 1)) == (True, 1, 1)


def overloaded(watched: Watched) -> None:
    """For half a second the ring is full whenever it is read."""
    for tenth in range(6):
        send("va", *[udp(9, bytes(200))] * 6000)
        watched.read(Meter(lambda *_: None), 100 + tenth / 10)


def a_ring_that_stays_full_sheds() -> None:
    watched = Watched("vb", CaptureSettings(ring_bytes=1 << 20))
    overloaded(watched)
    watched.count()
    assert (watched.shedding.one_in, watched.shedding.changes) == (4, 1)
    assert watched.counts.dropped > 0
    for second in range(101, 115):
        watched.read(Meter(lambda *_: None), float(second))
        watched.check(float(second))
    assert (watched.shedding.one_in, watched.shedding.changes) == (1, 2)


def unless_it_is_told_not_to() -> None:
    watched = Watched("vb", CaptureSettings(ring_bytes=1 << 20, shed=False))
    overloaded(watched)
    watched.check(101.0)
    assert (watched.shedding.one_in, watched.shedding.changes) == (1, 0)


def test_down_and_up_again() -> None:
    isolated(down_and_up_again)


def test_a_blink_between_two_looks() -> None:
    isolated(a_blink_between_two_looks)


def test_deleted_and_made_again() -> None:
    isolated(deleted_and_made_again)


def test_made_again_between_two_looks() -> None:
    isolated(made_again_between_two_looks)


def test_a_ring_that_stays_full_sheds() -> None:
    isolated(a_ring_that_stays_full_sheds)


def test_unless_it_is_told_not_to() -> None:
    isolated(unless_it_is_told_not_to)


def test_all_interfaces_cannot_be_promiscuous() -> None:
    with pytest.raises(Problem, match="name the interfaces"):
        Watched("any", CaptureSettings(promiscuous=True))
