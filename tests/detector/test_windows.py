"""Minutes by the events' own time."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector import windows as module
from detector.features import WINDOW
from detector.windows import AHEAD, BEHIND, BELIEVED, IDLE, LAST, LATENESS, ClockState, Windows

START = 1_772_438_400
"""A full minute in 2026."""
OVER = WINDOW + LATENESS


def closed(windows: Windows, *, everything: bool = False, agent: str = "agent") -> list[tuple[int, str]]:
    found = windows.close_all() if everything else windows.close(agent)
    return [(window.start - START, window.device) for window in found]


def test_an_event_counts_in_its_own_minute() -> None:
    windows = Windows()
    first = windows.at("agent", "a", START + 59.999)
    assert first is not None
    assert (first.start, first.device) == (START, "a")
    assert windows.at("agent", "a", START) is first
    second = windows.at("agent", "a", START + 60)
    assert second is not None
    assert second.start == START + 60
    assert windows.at("agent", "b", START) is not first


def test_a_window_is_due_once_the_lateness_is_past() -> None:
    windows = Windows()
    assert not windows.due("agent")
    windows.at("agent", "a", START)
    windows.at("agent", "b", START + OVER - 0.001)
    assert not windows.due("agent")
    assert closed(windows) == []
    windows.at("agent", "b", START + OVER)
    assert windows.due("agent")
    assert closed(windows) == [(0, "a")]
    assert not windows.due("agent")


def test_windows_close_by_time_then_device_however_they_came() -> None:
    order = [(START + minute * 60, device) for minute in range(3) for device in "cab"]
    for seed in range(5):
        shuffled = order.copy()
        random.Random(seed).shuffle(shuffled)
        windows = Windows()
        for when, device in shuffled:
            windows.at("agent", device, when)
        assert closed(windows, everything=True) == [(m * 60, d) for m in range(3) for d in "abc"]
        assert closed(windows, everything=True) == []


def test_only_what_is_over_closes_before_the_end() -> None:
    windows = Windows()
    for minute in range(4):
        windows.at("agent", "a", START + minute * 60)
    assert closed(windows) == [(0, "a")], "three minutes on, the first is over and the second is not"
    assert closed(windows, everything=True) == [(60, "a"), (120, "a"), (180, "a")]


def test_late_events_are_taken_until_their_minute_is_over_and_then_counted() -> None:
    windows = Windows()
    windows.at("agent", "b", START + OVER - 1)
    assert windows.at("agent", "a", START) is not None
    windows.at("agent", "b", START + OVER)
    assert windows.at("agent", "a", START + 59) is None
    assert windows.at("agent", "new", START + 1) is None
    assert windows.counters.late == 2
    assert windows.at("agent", "a", START + 60) is not None
    assert windows.now == START + OVER, "time never goes back"


def test_a_jump_ahead_is_not_believed_until_it_is_the_rule() -> None:
    windows = Windows()
    windows.at("agent", "a", START)
    far = START + AHEAD + 100
    for _ in range(BELIEVED):
        assert windows.at("agent", "broken", far) is None
    assert (windows.counters.ahead, windows.now) == (BELIEVED, START)
    assert windows.at("agent", "broken", far) is not None
    assert windows.now == far


def test_an_event_of_the_present_breaks_the_row() -> None:
    windows = Windows()
    for _ in range(BELIEVED * 3):
        windows.at("agent", "a", START)
        assert windows.at("agent", "broken", START + AHEAD + 100) is None
    assert windows.now == START


def test_a_step_within_the_hour_is_believed_at_once() -> None:
    windows = Windows()
    windows.at("agent", "a", START)
    assert windows.at("agent", "a", START + AHEAD) is not None
    assert (windows.now, windows.counters.ahead) == (START + AHEAD, 0)


def test_open_windows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WINDOWS", 3)
    windows = Windows()
    found = [windows.at("agent", f"d{number}", START) for number in range(5)]
    assert [window is not None for window in found] == [True] * 3 + [False] * 2
    assert windows.counters.unwatched == 2
    assert windows.at("agent", "d0", START) is found[0]
    windows.at("agent", "d0", START + OVER)
    assert closed(windows) == [(0, "d0"), (0, "d1"), (0, "d2")]
    assert windows.at("agent", "d4", START + OVER) is not None, "what is closed leaves room"


def test_clocks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_AGENTS", 2)
    windows = Windows()
    found = [windows.at(agent, "d", START) for agent in "abcd"]
    assert None not in found
    assert found[2] is found[3], "those beyond the bound share a clock"
    assert set(windows.clocks) == {"a", "b", ""}


def interleaved(streams: dict[str, list[tuple[str, float]]], order: list[str]) -> dict[str, list[object]]:
    """Agent → what became of its windows, with its events taken in that order of agents."""
    windows = Windows()
    told: dict[str, list[object]] = {agent: [] for agent in streams}
    left = {agent: iter(stream) for agent, stream in streams.items()}
    sizes: dict[tuple[str, int, str], int] = {}
    for agent in order:
        device, when = next(left[agent])
        window = windows.at(agent, device, when)
        if window is None:
            told[agent].append("late")
        else:
            window.values[0] += 1
            sizes[agent, window.start, device] = int(window.values[0])
        if windows.due(agent):
            told[agent] += [(one.start, one.device, one.values[0]) for one in windows.close(agent)]
    return told


@given(st.integers(0, 2**32), st.sampled_from(["together", "one after the other", "at random"]))
def test_however_agents_are_interleaved_their_windows_hold_the_same(seed: int, how: str) -> None:
    """A broker that was away gives one agent's minutes before another's: no window may depend on that."""
    chance = random.Random(seed)
    streams = {
        agent: [(chance.choice("xy"), START + step * 7 + chance.choice([0, 0, -30])) for step in range(80)] for agent in "ab"
    }
    alone = {agent: interleaved({agent: stream}, [agent] * 80)[agent] for agent, stream in streams.items()}
    order = list("ab" * 80 if how == "together" else "a" * 80 + "b" * 80)
    if how == "at random":
        chance.shuffle(order)
    assert interleaved(streams, order) == alone


class Watch:
    """This machine's time, as a test wants it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def silent(minutes: int, seconds: float) -> list[tuple[int, str]]:
    """What is judged of an agent that says no more, while two others go on, a minute of theirs in so many seconds."""
    watch = Watch()
    windows = Windows(watch=watch)
    windows.at("gone", "victim", START)
    story: list[tuple[int, str]] = []
    for minute in range(minutes):
        for agent in ("agent", "b"):
            watch.now += seconds / 2
            windows.at(agent, "d", START + minute * 60)
            if windows.due(agent):
                story += closed(windows, agent=agent)
    return [(start, device) for start, device in story if device == "victim"]


def test_the_window_of_a_silent_agent_is_judged_when_the_others_are_well_past() -> None:
    assert silent(IDLE // 60, 60) == []
    assert silent(IDLE // 60 + 120, 2) == [(0, "victim")]


def test_an_agent_that_is_only_behind_is_not_silent() -> None:
    """After an outage one agent's hour may come within seconds, before another's first minute."""
    assert silent(1000, 0.01) == []


def test_a_break_of_the_stream_itself_makes_nobody_silent() -> None:
    assert silent(20, 1000) == [], "twenty breaks count for twenty seconds"


def test_one_agent_with_a_wrong_clock_closes_no_window_of_others() -> None:
    windows = Windows()
    for minute in range(40):
        for agent in ("a", "b", "liar"):
            wrong = 3000 if agent == "liar" else 0
            assert windows.at(agent, "d", START + wrong + minute * 60) is not None
            list(windows.close(agent))
    assert windows.counters.late == 0
    assert windows.now < START + 40 * 60


def test_an_agent_long_gone_is_forgotten() -> None:
    watch = Watch()
    windows = Windows(watch=watch)
    windows.at("gone", "d", START)
    for minute in range(26 * 60):
        for agent in ("agent", "b"):
            watch.now += 0.5
            windows.at(agent, "d", START + minute * 60)
            list(windows.close(agent))
    assert set(windows.clocks) == {"agent", "b"}


def test_what_was_kept_goes_on_as_if_there_had_been_no_break() -> None:
    def story(*, broken: bool) -> list[object]:
        chance = random.Random(5)
        windows = Windows()
        told: list[object] = []
        for step in range(2000):
            agent = chance.choice("ab")
            window = windows.at(agent, chance.choice("xyz"), START + step / 2 + chance.choice([0, 0, -30, -200, 2 * AHEAD]))
            if window is not None:
                window.values[0] += 1
            if windows.due(agent):
                told += [(one.start, one.device, one.values[0]) for one in windows.close(agent)]
            if broken and not step % 50:
                kept = msgspec.msgpack.encode(windows.state())
                windows = Windows(windows.counters)
                windows.resume(msgspec.msgpack.decode(kept, type=dict[str, ClockState]))
        return [*told, [(one.start, one.device, one.values[0]) for one in windows.close_all()], windows.counters.late]

    # the sweep over all agents may come at another moment after a break; no agent here is silent, so it finds nothing
    assert story(broken=True) == story(broken=False)


@pytest.mark.parametrize("when", [-62_135_679_600.0, -float(OVER)])
def test_a_time_long_before_the_first_is_late(when: float) -> None:
    windows = Windows()
    assert windows.at("agent", "a", when) is None
    assert windows.counters.late == 1
    assert windows.at("agent", "a", START) is not None


def test_a_time_without_a_next_day_is_never_believed() -> None:
    windows = Windows()
    assert windows.at("agent", "a", LAST + 1) is None
    assert windows.at("agent", "a", START) is not None
    for _ in range(3 * BELIEVED):
        assert windows.at("agent", "a", LAST + 1) is None
    assert (windows.now, windows.counters.ahead) == (START, 1 + 3 * BELIEVED)


def test_the_same_events_open_and_close_the_same_windows() -> None:
    def story() -> list[object]:
        chance = random.Random(3)
        windows = Windows()
        told: list[object] = []
        for step in range(3000):
            when = START + step / 4 + chance.choice([0, 0, -30, -200, 2 * AHEAD])
            window = windows.at("agent", chance.choice("abc"), when)
            told.append((window.start, window.device) if window else None)
            if windows.due("agent"):
                told.append(closed(windows))
        return [*told, closed(windows, everything=True), windows.counters.late, windows.counters.ahead]

    assert story() == story()


def test_a_wrong_clock_does_not_blind_for_long() -> None:
    """A row of believed events from the future must not make everything after it late for ever."""
    windows = Windows()
    windows.at("agent", "a", 1_000_000.0)
    for number in range(BELIEVED + 1):
        windows.at("agent", "liar", 2_000_000.0 + number)
    assert windows.now > 1_999_999
    taken = [windows.at("agent", "a", 1_000_100.0 + number) for number in range(BEHIND + 2)]
    assert [window is None for window in taken[:BEHIND]] == [True] * BEHIND
    assert taken[-1] is not None
    assert windows.counters.late == BEHIND
