"""A value beside its usual, on the scale that shows both."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detector.alert import Reason
from detector.page.reasonplot import draw

ANY = st.floats(allow_nan=True, allow_infinity=True)


def reason(value: float, p50: float, p99: float) -> Reason:
    return Reason(feature="connections", value=value, p50=p50, p99=p99, once_in=10, own=True, minutes=100)


def test_near_values_are_linear() -> None:
    plot = draw(reason(40, 10, 20))
    assert (plot.low, plot.band, plot.value) == (24.0, 24.0, 96.0)
    assert not plot.logarithmic
    assert plot.times == "2.0 ×"


def test_far_values_are_logarithmic_and_the_usual_is_seen() -> None:
    plot = draw(reason(1e6, 1, 10))
    assert plot.logarithmic
    assert plot.band > 5
    assert len(plot.grid) == 6
    assert plot.times == "100,000 ×"


def test_what_never_was_is_a_thin_band_at_nothing() -> None:
    plot = draw(reason(248, 0, 0))
    assert plot.low == 0
    assert 0 < plot.band < 2
    assert plot.value == 96.0
    assert plot.times == ""


def test_a_value_within_the_usual() -> None:
    plot = draw(reason(5, 2, 10))
    assert plot.low < plot.value < plot.low + plot.band
    assert plot.times == ""


@given(ANY, ANY, ANY)
def test_whatever_the_numbers_it_stays_within_its_bounds(value: float, p50: float, p99: float) -> None:
    plot = draw(reason(value, p50, p99))
    assert 0 <= plot.low <= 96
    assert 0 <= plot.value <= 96
    assert plot.low + plot.band <= 97.3
    assert all(0 <= place <= 96 for place in plot.grid)
    assert len(plot.grid) <= 9
