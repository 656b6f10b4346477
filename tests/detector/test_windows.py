"""Minutes by the events' own time."""

from __future__ import annotations

import random

import pytest

from detector import windows as module
from detector.features import WINDOW
from detector.windows import AHEAD, BEHIND, BELIEVED, LAST, LATENESS, Windows

START = 1_772_438_400
"""A full minute in 2026."""
OVER = WINDOW + LATENESS


def closed(windows: Windows, *, everything: bool = False) -> list[tuple[int, str]]:
    return [(window.start - START, window.device) for window in windows.close(everything=everything)]


def test_an_event_counts_in_its_own_minute() -> None:
    windows = Windows()
    first = windows.at("a", START + 59.999)
    assert first is not None
    assert (first.start, first.device) == (START, "a")
    assert windows.at("a", START) is first
    second = windows.at("a", START + 60)
    assert second is not None
    assert second.start == START + 60
    assert windows.at("b", START) is not first


def test_a_window_is_due_once_the_lateness_is_past() -> None:
    windows = Windows()
    assert not windows.due()
    windows.at("a", START)
    windows.at("b", START + OVER - 0.001)
    assert not windows.due()
    assert closed(windows) == []
    windows.at("b", START + OVER)
    assert windows.due()
    assert closed(windows) == [(0, "a")]
    assert not windows.due()


def test_windows_close_by_time_then_device_however_they_came() -> None:
    order = [(START + minute * 60, device) for minute in range(3) for device in "cab"]
    for seed in range(5):
        shuffled = order.copy()
        random.Random(seed).shuffle(shuffled)
        windows = Windows()
        for when, device in shuffled:
            windows.at(device, when)
        assert closed(windows, everything=True) == [(m * 60, d) for m in range(3) for d in "abc"]
        assert closed(windows, everything=True) == []


def test_only_what_is_over_closes_before_the_end() -> None:
    windows = Windows()
    for minute in range(4):
        windows.at("a", START + minute * 60)
    assert closed(windows) == [(0, "a")], "three minutes on, the first is over and the second is not"
    assert closed(windows, everything=True) == [(60, "a"), (120, "a"), (180, "a")]


def test_late_events_are_taken_until_their_minute_is_over_and_then_counted() -> None:
    windows = Windows()
    windows.at("b", START + OVER - 1)
    assert windows.at("a", START) is not None
    windows.at("b", START + OVER)
    assert windows.at("a", START + 59) is None
    assert windows.at("new", START + 1) is None
    assert windows.late == 2
    assert windows.at("a", START + 60) is not None
    assert windows.now == START + OVER, "time never goes back"


def test_a_jump_ahead_is_not_believed_until_it_is_the_rule() -> None:
    windows = Windows()
    windows.at("a", START)
    far = START + AHEAD + 100
    for _ in range(BELIEVED):
        assert windows.at("broken", far) is None
    assert (windows.ahead, windows.now) == (BELIEVED, START)
    assert windows.at("broken", far) is not None
    assert windows.now == far


def test_an_event_of_the_present_breaks_the_row() -> None:
    windows = Windows()
    for _ in range(BELIEVED * 3):
        windows.at("a", START)
        assert windows.at("broken", START + AHEAD + 100) is None
    assert windows.now == START


def test_a_step_within_the_hour_is_believed_at_once() -> None:
    windows = Windows()
    windows.at("a", START)
    assert windows.at("a", START + AHEAD) is not None
    assert (windows.now, windows.ahead) == (START + AHEAD, 0)


def test_the_devices_of_a_minute_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DEVICES", 3)
    windows = Windows()
    found = [windows.at(f"d{number}", START) for number in range(5)]
    assert [window is not None for window in found] == [True] * 3 + [False] * 2
    assert windows.unwatched == 2
    assert windows.at("d0", START) is found[0]
    assert windows.at("d4", START + 60) is not None, "another minute has room of its own"


@pytest.mark.parametrize("when", [-62_135_679_600.0, -float(OVER)])
def test_a_time_long_before_the_first_is_late(when: float) -> None:
    windows = Windows()
    assert windows.at("a", when) is None
    assert windows.late == 1
    assert windows.at("a", START) is not None


def test_a_time_without_a_next_day_is_never_believed() -> None:
    windows = Windows()
    assert windows.at("a", LAST + 1) is None
    assert windows.at("a", START) is not None
    for _ in range(3 * BELIEVED):
        assert windows.at("a", LAST + 1) is None
    assert (windows.now, windows.ahead) == (START, 1 + 3 * BELIEVED)


def test_the_same_events_open_and_close_the_same_windows() -> None:
    def story() -> list[object]:
        chance = random.Random(3)
        windows = Windows()
        told: list[object] = []
        for step in range(3000):
            when = START + step / 4 + chance.choice([0, 0, -30, -200, 2 * AHEAD])
            window = windows.at(chance.choice("abc"), when)
            told.append((window.start, window.device) if window else None)
            if windows.due():
                told.append(closed(windows))
        return [*told, closed(windows, everything=True), windows.late, windows.ahead]

    assert story() == story()


def test_a_wrong_clock_does_not_blind_for_long() -> None:
    """A row of believed events from the future must not make everything after it late for ever."""
    windows = Windows()
    windows.at("a", 1_000_000.0)
    for number in range(BELIEVED + 1):
        windows.at("liar", 2_000_000.0 + number)
    assert windows.now > 1_999_999
    taken = [windows.at("a", 1_000_100.0 + number) for number in range(BEHIND + 2)]
    assert [window is None for window in taken[:BEHIND]] == [True] * BEHIND
    assert taken[-1] is not None
    assert windows.late == BEHIND
