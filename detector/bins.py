"""A histogram in plain numbers: cheap to add to with each event, and shown to Prometheus when it asks."""

from __future__ import annotations

from bisect import bisect_left

from msgspec import Struct
from prometheus_client.core import HistogramMetricFamily


class Bins(Struct):
    """How many values were at or under each bound."""

    bounds: tuple[float, ...]
    """Ascending; what is above the last is counted too."""
    counts: list[int] = []
    """Of each bound alone, not of those under it."""
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def family(self, name: str, text: str) -> HistogramMetricFamily:
        """As Prometheus has it: each bucket with all those under it."""
        buckets: list[tuple[str, float]] = []
        count = 0
        for bound, found in zip((*self.bounds, float("inf")), self.counts.copy(), strict=True):
            count += found
            buckets.append(("+Inf" if bound == float("inf") else repr(float(bound)), count))
        return HistogramMetricFamily(name, text, buckets=buckets, sum_value=self.total)
