"""Moments in two times at once, and spans that promise nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from detector.page.times import Times, ago, span, time_zone

NIGHT = datetime(2026, 11, 21, 21, 34, 15, tzinfo=UTC)


def test_the_sites_time_and_utc() -> None:
    times = Times("Asia/Kolkata")
    assert times.day(NIGHT) == "22 Nov 2026"
    assert times.clock(NIGHT) == "03:04 IST"
    assert times.utc(NIGHT) == "21 Nov 21:34 UTC"
    assert times.full(NIGHT) == "22 Nov 2026 03:04:15 IST · 21 Nov 21:34:15 UTC"
    assert Times("UTC").full(NIGHT) == "21 Nov 2026 21:34:15 UTC"


def test_a_zone_without_letters_tells_its_offset() -> None:
    assert Times("Asia/Dubai").clock(NIGHT) == "01:34 UTC+04"


def test_an_unknown_zone() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        time_zone("Nowhere")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (21_599, "5 h 59 min"),
        (7200, "2 h"),
        (259_199, "2 d 23 h"),
    ],
)
def test_a_span_is_cut_and_never_rounded_up(seconds: float, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(2, "just now"), (-30, "just now"), (90, "1 min ago"), (7300, "2 h ago"), (-7300, "in 2 h")]
)
def test_ago(seconds: float, words: str) -> None:
    assert ago(NIGHT - timedelta(seconds=seconds), NIGHT) == words
