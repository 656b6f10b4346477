"""When packets are left out, and when they are read again."""

from __future__ import annotations

from agent.captures.shedding import Shedding


def full(shedding: Shedding, begin: float, end: float) -> None:
    """A ring that is found full ten times a second."""
    for tenth in range(round(begin * 10), round(end * 10)):
        shedding.judge(0.9, tenth / 10)


def test_a_full_ring_tightens_step_by_step() -> None:
    shedding = Shedding()
    steps = []
    for second in range(6):
        full(shedding, second, second + 1)
        steps.append(shedding.one_in)
    assert steps == [4, 16, 64, 256, 256, 256]
    assert shedding.changes == 4


def test_one_moment_is_no_overload() -> None:
    shedding = Shedding()
    assert not any(shedding.judge(1.0 if tenth % 2 else 0.4, tenth / 10) for tenth in range(100))


def test_calm_loosens_one_step_each_ten_seconds() -> None:
    shedding = Shedding()
    full(shedding, 0.0, 2.0)
    seen = []
    for now in range(2, 30):
        shedding.judge(0.01, float(now))
        seen.append(shedding.one_in)
    assert seen == [16] * 10 + [4] * 10 + [1] * 8


def test_what_is_neither_full_nor_calm_changes_nothing() -> None:
    shedding = Shedding()
    full(shedding, 0.0, 1.0)
    assert not any(shedding.judge(0.3, float(now)) for now in range(1, 60))
    assert shedding.one_in == 4


def test_one_burst_starts_the_calm_anew() -> None:
    shedding = Shedding()
    full(shedding, 0.0, 1.0)
    for now in range(1, 10):
        shedding.judge(0.0, float(now))
    shedding.judge(0.3, 10.0)
    assert not any(shedding.judge(0.0, float(now)) for now in range(11, 21))
    assert shedding.judge(0.0, 21.0)
