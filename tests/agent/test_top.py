"""The screen: what is in it, and that it fits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.reading import Reading
from agent.top import BARS, KEPT, PLAIN, Minute, screen, sparkline
from tests.agent.test_status import WELL, reading


def minute(looks: int = 5) -> Minute:
    made = Minute()
    for at in range(looks):
        labelled = {
            ("log_lines_total", "source", "gateway"): 10.0 * at,
            ("dataset_events_total", "dataset", "network.flow"): 2.0 * at,
            ("dataset_events_total", "dataset", "fhir.interaction"): 0.0,
        }
        made.add(reading(float(at), WELL | {"packets_total": 100.0 * at * at}, labelled))
    return made


@pytest.mark.parametrize(("width", "height"), [(80, 23), (60, 23), (200, 50), (20, 5), (1, 1)])
def test_it_fits(width: int, height: int) -> None:
    lines = screen(minute(), width, height)
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)


def test_what_it_tells() -> None:
    shown = "\n".join(screen(minute(), 100, 40))
    assert "nigrani agent: well" in shown
    assert "log gateway lines" in shown
    assert "network.flow" in shown
    assert "fhir.interaction" not in shown, "what never came takes no room"
    (packets,) = [line for line in shown.splitlines() if line.startswith("packets ")]
    assert packets.split() == ["packets", "700.0", "1,600", "▁▄▆█"] or packets.endswith("█")


def test_one_look_is_not_enough() -> None:
    assert screen(minute(1), 80, 24) == ["waiting for a second look …"]


def test_old_readings_go() -> None:
    made = minute()
    made.add(Reading(KEPT + 3.5, reading(0, WELL).samples))
    assert len(made.course("packets_total")) == 1


@given(st.lists(st.floats(0, 1e12)), st.integers(0, 80), st.sampled_from([BARS, PLAIN]))
def test_bars_are_as_many_as_there_is_room_for(values: list[float], room: int, bars: str) -> None:
    line = sparkline(values, room, bars)
    assert len(line) == min(len(values), room)
    assert set(line) <= set(bars)
    if line and max(values[-room:]) > 0:
        assert bars[-1] in line
