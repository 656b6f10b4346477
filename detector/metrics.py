"""Every metric of the detector, in one place; each label set exists from the start at 0.

A counter that is born at 1 has an `increase()` of 0, and the first alert would never fire. Labels come from closed lists:
never a device, an address, an AE title or free text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from detector.alert import SEVERITY, Alert
from detector.engine import Counters
from detector.response import RESPONSES, WEAK
from detector.ruleset import RuleSet
from detector.windows import Windows
from nigrani import __version__
from nigrani.stream.events import DATASETS

_COUNTS = {
    "flows_scored": "Flow records that the models scored.",
    "windows_judged": "Device-minutes held against the device's habits.",
    "merged": "Strange minutes that became evidence of an alert already told.",
    "repeated": "Findings that belong to an alert already told.",
    "shed": "Flow records that the heavy models passed over under load.",
    "forgotten": "Alert episodes dropped from memory at its bound.",
    "quiet_hits": "Matches of rules below medium, which do not alert alone.",
}


class Metrics:
    """The detector's registry and what is set in it."""

    def __init__(self, rules: RuleSet, counters: Counters, windows: Windows) -> None:
        self.registry = CollectorRegistry()
        self.alerts = Counter(
            "nigrani_alerts",
            "Alerts raised.",
            ("source", "kind", "severity"),
            registry=self.registry,
        )
        self.events = Counter("nigrani_events", "Events read.", ("dataset",), registry=self.registry)
        self.refused = Counter("nigrani_events_refused", "Lines that were no event.", registry=self.registry)
        self.failed = Counter("nigrani_events_failed", "Events that could not be judged.", registry=self.registry)
        self.unwritten = Counter(
            "nigrani_alerts_unwritten", "Alerts that could not be written to their file.", registry=self.registry
        )
        self.missed = Counter(
            "nigrani_events_missed", "Events dropped from the bus before they were read.", registry=self.registry
        )
        self.lag = Gauge("nigrani_bus_lag_events", "Events on the bus that are not read yet.", registry=self.registry)
        self.reached = Gauge(
            "nigrani_event_time_seconds", "Time of the newest event, seconds since the epoch.", registry=self.registry
        )
        self.learning = Gauge(
            "nigrani_baseline_learning", "1 while there is no baseline yet and rules alone alert.", registry=self.registry
        )
        self.rules = Gauge("nigrani_rules_loaded", "Rules in force.", registry=self.registry)
        Gauge("nigrani_build_info", "Version of nigrani.", ("version",), registry=self.registry).labels(__version__).set(1)
        self.registry.register(_Engine(counters, windows))
        self._kinds = {WEAK.slug: WEAK.slug, **{rule.id: rule.path.stem for rule in rules.rules}}
        self.rules.set(len(rules.rules))
        for rule in rules.rules:
            self.alerts.labels("rule", rule.path.stem, rule.level)
        self.alerts.labels("rule", WEAK.slug, "medium")
        for response in RESPONSES:
            for severity in ("medium", "high"):
                self.alerts.labels("anomaly", response.slug, severity)
        self._datasets = {kind: self.events.labels(name) for name, kind in DATASETS.items()}

    def event(self, kind: type, count: int) -> None:
        """Count events of one dataset."""
        self._datasets[kind].inc(count)

    def alert(self, alert: Alert) -> None:
        """Count an alert."""
        kind = self._kinds.get(alert.kind, "other") if alert.source == "rule" else alert.kind.removeprefix("anomaly-")
        severity = alert.severity if alert.severity in SEVERITY else "other"
        self.alerts.labels(alert.source, kind, severity).inc()


class _Engine(Collector):
    """The engine's plain counters, read when Prometheus asks."""

    def __init__(self, counters: Counters, windows: Windows) -> None:
        self._read: dict[str, tuple[str, Callable[[], int]]] = {
            **{name: (text, _reader(counters, name)) for name, text in _COUNTS.items()},
            "late_events": ("Events too late for their minute; rules saw them.", _reader(windows, "late")),
            "ahead_events": ("Events whose time was not believed; rules saw them.", _reader(windows, "ahead")),
            "unwatched_events": ("Events of devices beyond the bound of one minute.", _reader(windows, "unwatched")),
        }

    def collect(self) -> Iterator[Metric]:
        """One counter each."""
        for name, (text, read) in self._read.items():
            yield CounterMetricFamily(f"nigrani_detector_{name}", text, value=read())


def _reader(thing: object, name: str) -> Callable[[], int]:
    return lambda: int(getattr(thing, name))
