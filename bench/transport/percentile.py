"""The value that so many of a hundred do not exceed."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], part: float) -> float:
    """By the nearest rank: always one of the values; 0 of none."""
    ranked = sorted(values)
    return ranked[max(math.ceil(len(ranked) * part / 100), 1) - 1] if ranked else 0.0
