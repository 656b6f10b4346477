"""A reason as a small plot: the value beside what is usual for the device, from p50 to p99."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from detector.alert import Reason

FAR = 8.0
"""A value so many times its p99 leaves nothing of the usual to see on a linear scale."""
END = 96.0
"""Percent of the width at which the greatest number is."""
MAX_GRID = 8
LEAST, MOST = 1e-9, 1e18
"""What is less or more is drawn as these: a finding may hold any number."""
LEAST_BAND = 1.2
"""Percent; a usual that never differs is still seen."""


class ReasonPlot(NamedTuple):
    """Places in percent of the plot's width."""

    low: float
    """Where p50 is."""
    band: float
    """From p50 to p99, as a width."""
    value: float
    logarithmic: bool
    grid: tuple[float, ...]
    """Powers of ten, on a logarithmic scale."""
    times: str
    """How many times its p99 the value is, in words; empty where that tells nothing."""


def draw(reason: Reason) -> ReasonPlot:
    """The plot of a reason, whatever its numbers: a finding may come from anywhere."""
    value, p50, p99 = (_sound(number) for number in (reason.value, reason.p50, reason.p99))
    p99 = max(p50, p99)
    top = max(value, p99)
    far = p99 > 0 and value > FAR * p99
    unit = (p50 or p99) if far else 0.0

    def place(number: float) -> float:
        if top <= 0:
            return 0.0
        part = math.log1p(number / unit) / math.log1p(top / unit) if far else number / top
        return round(part * END, 2)

    low = min(place(p50), END - LEAST_BAND)
    band = max(place(p99) - low, LEAST_BAND)
    grid = tuple(place(number) for number in _decades(unit, top)) if far else ()
    return ReasonPlot(low, round(band, 2), place(value), far, grid, _times(value, p99))


def _decades(unit: float, top: float) -> Iterator[float]:
    first, last = math.ceil(math.log10(unit)), math.ceil(math.log10(top))
    for exponent in range(first, last, (last - first) // MAX_GRID + 1):
        yield 10.0**exponent


def _times(value: float, p99: float) -> str:
    if p99 <= 0 or value < 1.05 * p99:
        return ""
    ratio = value / p99
    return f"{ratio:,.0f} ×" if ratio >= 10 else f"{ratio:.1f} ×"


def _sound(number: float) -> float:
    return min(max(number, LEAST), MOST) if number > 0 else 0.0  # NaN is not above 0
