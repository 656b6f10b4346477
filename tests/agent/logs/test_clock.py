from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.logs.clock import EPOCH, microseconds, now, read_moment, yearless, zone_named

INDIA = ZoneInfo("Asia/Kolkata")
BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2018-10-15 13:56:18,976", "2018-10-15T13:56:18.976+00:00"),
        ("2026-08-21 14:26:03.123", "2026-08-21T14:26:03.123+00:00"),
        ("2025/07/16 - 22:25:26", "2025-07-16T22:25:26+00:00"),
        ("2022-09-1412:59:47.691957", "2022-09-14T12:59:47.691957+00:00"),
        ("2024-06-25T13:47:57.598829760Z", "2024-06-25T13:47:57.598829+00:00"),
        ("2013-10-17T15:12:04.287-06:00", "2013-10-17T21:12:04.287+00:00"),
        ("2010-12-12T13:28:52.531-0500", "2010-12-12T18:28:52.531+00:00"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59+00:00"),
    ],
)
def test_a_moment(text: str, expected: str) -> None:
    assert read_moment(text, UTC) == at(expected)


def test_a_zone_is_for_what_has_none() -> None:
    assert read_moment("2026-08-21 14:26:03", INDIA) == at("2026-08-21T08:56:03+00:00")
    assert read_moment("2026-08-21T14:26:03Z", INDIA) == at("2026-08-21T14:26:03+00:00")
    local = datetime(2026, 8, 21, 14, 26, 3).astimezone()
    assert read_moment("2026-08-21 14:26:03", None) == at(local.isoformat())


def test_the_hour_that_comes_twice_is_the_one_nearer_to_its_arrival() -> None:
    early, late = at("2026-10-25T00:30:00+00:00"), at("2026-10-25T01:30:00+00:00")
    assert read_moment("2026-10-25 02:30:00", BERLIN) == early
    assert read_moment("2026-10-25 02:30:00", BERLIN, early + 1) == early
    assert read_moment("2026-10-25 02:30:00", BERLIN, late + 1) == late


@pytest.mark.parametrize(
    ("arrival", "line", "expected"),
    [
        ("2026-11-21T20:13:20+00:00", (11, 21), "2026-11-21T20:13:16.117174+00:00"),
        ("2027-01-01T00:00:05+00:00", (12, 31), "2026-12-31T20:13:16.117174+00:00"),
        ("2026-12-31T23:59:59+00:00", (1, 1), "2027-01-01T20:13:16.117174+00:00"),
        ("2027-01-05T00:00:00+00:00", (1, 7), "2026-01-07T20:13:16.117174+00:00"),
        ("2027-03-02T00:00:00+00:00", (2, 29), "2024-02-29T20:13:16.117174+00:00"),
        ("2103-03-02T00:00:00+00:00", (2, 29), "2096-02-29T20:13:16.117174+00:00"),
    ],
)
def test_a_year_comes_from_the_arrival(arrival: str, line: tuple[int, int], expected: str) -> None:
    assert yearless(*line, (20, 13, 16, 117_174), UTC, at(arrival)) == at(expected)


def test_without_an_arrival_it_is_now() -> None:
    today = datetime.now(UTC)
    found = yearless(today.month, today.day, (0, 0, 0, 0), UTC)
    assert found == microseconds(today.replace(hour=0, minute=0, second=0, microsecond=0), UTC)
    assert abs(now() - at(today.isoformat())) < 60_000_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "2026-13-01 00:00:00",
        "2026-02-30 00:00:00",
        "0001-01-01 00:00:00",
        "2107-01-01 00:00:00Z",
        "9999-12-31 23:59:59",
    ],
)
@pytest.mark.parametrize("zone", [UTC, None, INDIA, zone_named("-23:59")])
def test_no_moment_is_a_value_error(text: str, zone: tzinfo | None) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_moment(text, zone, 1)


@pytest.mark.parametrize("day", [(0, 1), (13, 1), (2, 30), (99, 99)])
def test_no_day_is_a_value_error(day: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no such day"):
        yearless(*day, (0, 0, 0, 0), UTC)


def test_zones_have_names() -> None:
    assert zone_named("") is None
    assert zone_named("UTC") is UTC
    assert zone_named("Asia/Kolkata") == INDIA
    for text, hours in (("+05:30", 5.5), ("-0600", -6)):
        zone = zone_named(text)
        assert zone is not None
        assert zone.utcoffset(None) == timedelta(hours=hours)


@pytest.mark.parametrize("name", ["Mars/Olympus", "+99", "../etc/passwd", "/etc/localtime", "\0", "+24:00", "x" * 400])
def test_no_zone_is_a_value_error(name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        zone_named(name)


@given(st.text(alphabet="0123456789-/: T.,Z+", max_size=40), st.integers(0, 1 << 52))
def test_any_text_is_a_moment_or_a_value_error(text: str, arrival: int) -> None:
    for zone in (UTC, None, BERLIN):
        try:
            assert 0 < read_moment(text, zone, arrival) < 1 << 52
        except ValueError:
            continue


ZONES = (
    UTC, INDIA, BERLIN, ZoneInfo("America/New_York"), ZoneInfo("Pacific/Auckland"), ZoneInfo("Australia/Lord_Howe"),
    ZoneInfo("Pacific/Kiritimati"), zone_named("-12:00"),
)  # fmt: skip
MOMENTS = st.integers(at("1990-01-01T00:00:00+00:00"), at("2099-01-01T00:00:00+00:00"))
NEAR_NEW_YEAR = st.builds(
    lambda year, micro: at(f"{year}-01-01T00:00:00+00:00") + micro, st.integers(1991, 2098), st.integers(-(1 << 37), 1 << 37)
)


@given(MOMENTS | NEAR_NEW_YEAR, st.sampled_from(ZONES), st.timedeltas(timedelta(hours=-20), timedelta(days=300)))
def test_what_a_host_wrote_is_read_back_wherever_it_is(when: int, zone: tzinfo, delay: timedelta) -> None:
    """Its clock may be ahead, its line read months later; only of the hour that comes twice, either may be meant."""
    local = (EPOCH + timedelta(microseconds=when)).astimezone(zone).replace(tzinfo=None)
    arrival = when + delay // timedelta(microseconds=1)
    clock = (local.hour, local.minute, local.second, local.microsecond)
    both = {(local.replace(tzinfo=zone, fold=fold).astimezone(UTC) - EPOCH) // timedelta(microseconds=1) for fold in (0, 1)}
    assert yearless(local.month, local.day, clock, zone, arrival) in both
    assert read_moment(local.isoformat(" ", "microseconds"), zone, arrival) in both


@given(MOMENTS, st.sampled_from(ZONES), st.timedeltas(timedelta(minutes=-10), timedelta(minutes=10)))
def test_what_is_read_at_once_has_the_very_time(when: int, zone: tzinfo, delay: timedelta) -> None:
    """The repeated hour too: lines of both its passes stay apart."""
    local = (EPOCH + timedelta(microseconds=when)).astimezone(zone).replace(tzinfo=None)
    arrival = when + delay // timedelta(microseconds=1)
    assert read_moment(local.isoformat(" ", "microseconds"), zone, arrival) == when


def test_an_hour_that_spring_passes_over_is_read_as_what_it_would_have_been() -> None:
    found = read_moment("2026-03-29 02:30:00", BERLIN, at("2026-03-29T01:30:00+00:00"))
    assert abs(found - at("2026-03-29T01:30:00+00:00")) <= 3_600_000_000
