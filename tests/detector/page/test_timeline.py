"""The story's plot: lanes, marks, and ticks on round times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from detector.cases.case import Finding
from detector.page.timeline import MAX_LANES, NEAR, draw
from detector.page.times import time_zone

ZONE = time_zone("Asia/Kolkata")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def seen(minutes: float, kind: str = "scan", device: str = "a", severity: str = "low", lasts: float = 0.0) -> Finding:
    when = NOON + timedelta(minutes=minutes)
    first = when - timedelta(minutes=lasts)
    return Finding(
        uid=f"{minutes}{kind}{device}", kind=kind, title=kind, severity=severity, device=device, when=when, first=first
    )


def test_nothing_has_no_plot() -> None:
    assert draw([], ZONE) is None


def test_one_finding_stands_in_the_middle() -> None:
    plot = draw([seen(0)], ZONE)
    assert plot is not None
    assert [mark.x for mark in plot.lanes[0].marks] == [50.0]
    assert plot.ticks


def test_lanes_go_by_device_and_by_when_they_began() -> None:
    plot = draw([seen(9, "b", "y"), seen(0, "a", "x"), seen(5, "c", "y"), seen(7, "d", "x")], ZONE)
    assert plot is not None
    assert [(lane.device, lane.title) for lane in plot.lanes] == [("x", "a"), ("x", "d"), ("y", "c"), ("y", "b")]
    assert plot.devices == 2


def test_places_keep_their_order_and_within_the_plot() -> None:
    plot = draw([seen(minute, lasts=1) for minute in (0, 10, 20, 60)], ZONE)
    assert plot is not None
    marks = plot.lanes[0].marks
    assert [mark.x for mark in marks] == sorted(mark.x for mark in marks)
    assert all(0 <= mark.since < mark.x <= 100 for mark in marks)


def test_a_storm_is_a_few_marks_that_say_how_many() -> None:
    plot = draw([seen(at / 100, severity="high" if at == 777 else "low") for at in range(1000)], ZONE)
    assert plot is not None
    (lane,) = plot.lanes
    assert lane.dense
    assert 0 < min(map(lane.height, lane.marks)) <= max(map(lane.height, lane.marks)) == 100
    assert len(lane.marks) <= 100 / NEAR + 1
    assert sum(mark.size for mark in lane.marks) == lane.size == 1000
    assert sum(mark.finding.severity == "high" for mark in lane.marks) == 1


def test_lanes_are_bounded_and_the_urgent_ones_stay() -> None:
    findings = [seen(at, f"kind{at}", severity="critical" if at == 39 else "low") for at in range(40)]
    plot = draw(findings, ZONE)
    assert plot is not None
    assert len(plot.lanes) == MAX_LANES
    assert "kind39" in {lane.title for lane in plot.lanes}
    assert plot.shared == 40 - (MAX_LANES - 1)
    assert plot.lanes[-1].size == plot.shared
    assert plot.lanes[-1].title == ""


def test_of_many_devices_there_is_one_lane_a_kind() -> None:
    plot = draw([seen(at, "ab"[at % 2], f"device{at}") for at in range(50)], ZONE)
    assert plot is not None
    assert [(lane.title, lane.device, lane.devices, lane.size) for lane in plot.lanes] == [
        ("a", "", 25, 25),
        ("b", "", 25, 25),
    ]
    assert plot.devices == 50


def test_ticks_are_round_in_the_sites_time() -> None:
    plot = draw([seen(0), seen(180)], ZONE)
    assert plot is not None
    assert [tick.when.strftime("%H:%M") for tick in plot.ticks] == [
        "17:30",
        "18:00",
        "18:30",
        "19:00",
        "19:30",
        "20:00",
        "20:30",
    ]
    assert plot.ticks[0].utc.strftime("%H:%M") == "12:00"
    assert plot.format == "%H:%M"


def test_a_new_day_is_told() -> None:
    plot = draw([seen(0), seen(60 * 20)], ZONE)
    assert plot is not None
    assert [tick.when.strftime("%H:%M") for tick in plot.ticks if tick.day] == ["00:00"]


def test_months_have_days_for_ticks() -> None:
    plot = draw([seen(0), seen(60 * 24 * 90)], ZONE)
    assert plot is not None
    assert 3 <= len(plot.ticks) <= 7
    assert all(tick.day for tick in plot.ticks)
