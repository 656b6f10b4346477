"""The authorities' clocks, and dates as India writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.cases.case import AUTHORITIES
from detector.reports.clocks import CLOCKS, IST, both, exact, india, left


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("when", "shown"),
    [
        ("2026-11-22 06:48:59", "22/11/2026 12:18 IST"),
        ("2026-12-31 18:29:59", "31/12/2026 23:59 IST"),
        ("2026-12-31 18:30:00", "01/01/2027 00:00 IST"),  # the day begins at half past six in the evening, UTC
        ("2028-02-28 18:30:00", "29/02/2028 00:00 IST"),  # a leap year
        ("2027-02-28 18:30:00", "01/03/2027 00:00 IST"),
        ("2100-02-28 20:00:00", "01/03/2100 01:30 IST"),  # not a leap year
        ("2026-03-29 01:30:00", "29/03/2026 07:00 IST"),  # Europe's clocks change, India's do not
    ],
)
def test_india(when: str, shown: str) -> None:
    assert india(utc(when)) == shown


@given(st.datetimes(datetime(1990, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds are naive
def test_ist_is_what_the_zones_table_says(when: datetime) -> None:
    assert when.astimezone(IST).replace(tzinfo=None) == when.astimezone(ZoneInfo("Asia/Kolkata")).replace(tzinfo=None)


def test_both_and_exact() -> None:
    assert both(utc("2026-11-21 22:33:42")) == "22/11/2026 04:03 IST (21/11/2026 22:33 UTC)"
    assert exact(utc("2026-11-21 22:33:42")) == "22/11/2026 04:03:42 IST"
    assert both(datetime(2026, 11, 22, 4, 3, tzinfo=IST)) == both(utc("2026-11-21 22:33:00"))


def test_hours_are_the_stores() -> None:
    assert {name: clock.hours for name, clock in CLOCKS.items()} == AUTHORITIES == {"cert-in": 6, "dpdp": 72}
    assert CLOCKS["cert-in"].due(utc("2028-02-28 22:00:00")) == utc("2028-02-29 04:00:00")
    assert CLOCKS["dpdp"].due(utc("2026-12-30 10:00:00")) == utc("2027-01-02 10:00:00")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (6 * 3600, "6 h 00 min left"),
        (4 * 3600 + 12 * 60 + 59, "4 h 12 min left"),  # never a minute more than there is
        (59, "0 min left"),
        (0, "0 min left"),
        (-1, "over by 1 min"),  # never a minute less than it is over
        (-20 * 60, "over by 20 min"),
        (-20 * 60 - 1, "over by 21 min"),
        (-3601, "over by 1 h 01 min"),
        (-80 * 3600, "over by 80 h 00 min"),
    ],
)
def test_what_is_left(seconds: int, words: str) -> None:
    due = utc("2026-11-22 12:48:24")
    assert left(due, due - timedelta(seconds=seconds)) == words
