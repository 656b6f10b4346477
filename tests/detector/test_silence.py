"""Agents that fall silent, by the events' time and by this machine's."""

from __future__ import annotations

import msgspec
import pytest

from detector import silence as module
from detector.silence import BREAK, PATIENCE, Heard, Silence
from tests.detector.conftest import START, Maker

MINUTE = 60
OVER = PATIENCE // MINUTE


class Hall:
    """Agents' reports, and a machine whose time goes as theirs does unless told otherwise."""

    def __init__(self, make: Maker) -> None:
        self.make = make
        self.machine = 0.0
        self.silence = Silence(watch=lambda: self.machine)

    def minute(self, minute: float, *agents: str, takes: float = MINUTE) -> list[str]:
        """One minute's reports; returns who is found silent."""
        self.machine += takes
        reports = [self.make.status(minute * MINUTE, f"host:{agent}", agent=agent) for agent in agents]
        return [silent.agent for report in reports for silent in self.silence.heard(report)]

    def minutes(self, first: int, last: int, *agents: str, takes: float = MINUTE) -> list[tuple[int, str]]:
        return [(minute, gone) for minute in range(first, last) for gone in self.minute(minute, *agents, takes=takes)]


@pytest.fixture
def hall(make: Maker) -> Hall:
    return Hall(make)


def test_an_agent_is_silent_once_others_went_on_for_ten_minutes(hall: Hall) -> None:
    assert hall.minutes(0, 3, "a", "b", "c") == []
    assert hall.minutes(3, 2 + OVER, "a", "c") == []
    hall.machine += MINUTE
    [gone] = hall.silence.heard(hall.make.status((2 + OVER) * MINUTE, agent="c"))
    assert (gone.agent, gone.host, gone.since) == ("b", "host:b", START.timestamp() + 2 * MINUTE)


def test_it_is_told_once_and_again_after_it_was_heard(hall: Hall) -> None:
    hall.minute(0, "a", "b")
    assert hall.minutes(1, 60, "a") == [(OVER, "b")]
    assert hall.minute(60, "a", "b") == []
    assert hall.minutes(61, 120, "a") == [(60 + OVER, "b")]


def test_nobody_is_silent_where_nobody_goes_on(hall: Hall) -> None:
    hall.minute(0, "a", "b")
    hall.machine += 10 * PATIENCE
    assert hall.minute(100, "b") == [], "the stream itself was away, for both"
    assert hall.minute(100, "a") == []
    assert hall.minutes(101, 200, "a", "b") == []


def test_an_agent_that_is_behind_is_not_silent(hall: Hall) -> None:
    """After an outage an hour of one agent's reports comes in a second, and then the other's."""
    hall.minute(0, "a", "b")
    assert hall.minutes(1, 60, "a", takes=0.01) == []
    assert hall.minutes(1, 60, "b", takes=0.01) == []
    assert hall.minutes(60, 90, "a", "b") == []


def test_a_replay_finds_nobody_silent_in_it_or_at_its_end(hall: Hall) -> None:
    assert hall.minutes(0, 60, "a", "b", takes=0.001) == []
    assert hall.minutes(60, 600, "a", takes=0.001) == []


def test_a_detector_that_is_slow_to_catch_up_finds_nobody_silent(hall: Hall) -> None:
    """Ten minutes of this machine's time in which the others' events go on for one."""
    hall.minute(0, "a", "b")
    for _ in range(3 * OVER):
        assert hall.minute(1, "a") == []


def test_a_break_counts_no_more_than_the_bound(hall: Hall) -> None:
    hall.minute(0, "a", "b")
    breaks = int(PATIENCE // BREAK)
    for number in range(breaks):
        assert hall.minute(20 * (number + 1), "a", takes=20 * MINUTE) == []
    assert hall.minute(20 * (breaks + 1), "a", takes=20 * MINUTE) == ["b"]


def test_a_clock_ahead_hides_its_agent_alone(hall: Hall) -> None:
    hall.minute(50, "wrong")
    hall.minute(0, "a", "b")
    assert hall.minutes(1, 40, "a") == [(OVER, "b")]
    found = hall.minutes(40, 90, "a")
    assert [agent for _, agent in found] == ["wrong"]


def test_after_a_restart_patience_begins_anew(hall: Hall, make: Maker) -> None:
    hall.minute(0, "a", "b")
    assert hall.minutes(1, OVER, "a") == []
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(hall.silence.state()), type=dict[str, Heard])
    again = Hall(make)
    again.silence.resume(kept)
    assert again.minutes(OVER, 3 * OVER, "a") == [(2 * OVER - 1, "b")]


def test_what_is_told_is_not_told_again_after_a_restart(hall: Hall, make: Maker) -> None:
    hall.minute(0, "a", "b")
    assert hall.minutes(1, 2 * OVER, "a") == [(OVER, "b")]
    again = Hall(make)
    again.silence.resume(hall.silence.state())
    assert again.minutes(2 * OVER, 6 * OVER, "a") == []


def test_agents_are_bounded(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_AGENTS", 2)
    hall.minute(0, "a", "b", "c")
    assert hall.silence.counters.unwatched_agents == 1
    assert hall.minutes(1, 60, "a") == [(OVER, "b")]
    assert hall.minute(60, "c", "a") == []
    assert set(hall.silence.state()) == {"a", "c"}, "whoever is gone leaves room"
