"""Numbers as the renderer shows them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.grafana.values import colour, shown

STEPS = {"steps": [{"color": "green", "value": None}, {"color": "orange", "value": 1}, {"color": "red", "value": 5}]}
WORDS = [{"type": "value", "options": {"0": {"text": "down", "color": "red"}}}]


@pytest.mark.parametrize(
    ("value", "given", "told"),
    [
        (0, {"unit": "s"}, "0 s"),
        (5.5 * 3600, {"unit": "s", "decimals": 1}, "5.5 hours"),
        (-90, {"unit": "s"}, "-1.5 mins"),
        (0.000_21, {"unit": "s"}, "210 µs"),
        (0.125, {"unit": "percentunit", "decimals": 0}, "12%"),
        (44_000_000, {"unit": "bytes", "decimals": 1}, "42.0 MiB"),
        (1234.0, {"unit": "pps"}, "1.23 K p/s"),
        (7, {"unit": "short"}, "7"),
        (999_000, {"unit": "none"}, "999,000"),
        (0, {"mappings": WORDS}, "down"),
        (float("nan"), {}, "NaN"),
    ],
)
def test_shown(value: float, given: dict[str, Any], told: str) -> None:
    assert shown(value, given) == told


def test_a_moment_is_told_as_how_long_ago() -> None:
    assert shown(1_000_000.0, {"unit": "dateTimeFromNow"}, now=1000 + 7200) == "2 hours ago"


@pytest.mark.parametrize(("value", "told"), [(0, "green"), (1, "orange"), (4.9, "orange"), (5, "red")])
def test_colour_by_steps(value: float, told: str) -> None:
    assert colour(value, {"thresholds": STEPS}) == told


def test_colour_by_word() -> None:
    assert colour(0, {"thresholds": STEPS, "mappings": WORDS}) == "red"
