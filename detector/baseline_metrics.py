"""Metrics of what is usual: the baseline in use, the budget that is made of it, and whether reality still fits it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from detector.calibration import budget_p

if TYPE_CHECKING:
    from detector.counters import Counters
    from detector.engine import Knowledge


class BaselineMetrics(Collector):
    """Read when Prometheus asks; all are 0 as long as there is no baseline."""

    def __init__(self, counters: Counters) -> None:
        self.budget = 0.0
        """False alarms a week."""
        self.knowledge: Knowledge | None = None
        self.progress = 0.0
        """Of the time to learn from, the part that is over; 1 once there is a baseline."""
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        """As metrics."""
        knowledge = self.knowledge
        for name, text, value in (
            ("false_alarm_budget_per_week", "Anomalies a week that may be false alarms, as configured.", self.budget),
            ("anomaly_threshold_p", "A device's minute is strange where its p-value is at most this.", self.threshold),
            (
                "baseline_learnt_timestamp_seconds",
                "End of the time that the baseline was learnt from, seconds since the epoch; 0 where there is none.",
                knowledge.until if knowledge else 0.0,
            ),
            ("baseline_windows", "Device-minutes that the baseline rests on.", knowledge.habits.minutes if knowledge else 0),
            ("baseline_devices", "Devices whose habits are known.", len(knowledge.habits) if knowledge else 0),
            (
                "baseline_learning_progress_ratio",
                "The part of the time to learn from that is over; 1 once there is a baseline.",
                1.0 if knowledge else self.progress,
            ),
        ):
            yield GaugeMetricFamily(f"nigrani_{name}", text, value=value)
        yield self._counters.p_values.family(
            "nigrani_detector_window_p_value",
            "How rare device-minutes are; uniform while habits hold.",
        )
        yield self._counters.rule_seconds.family(
            "nigrani_detector_rules_seconds", "Time of all rules over one event, of one event in 64."
        )

    @property
    def threshold(self) -> float:
        """The p-value at or under which a device's minute is strange."""
        if self.knowledge is None or not self.budget:
            return 0.0
        return budget_p(self.budget, self.knowledge.minutes_per_week)
