"""Every metric of the detector, in one place; each label set exists from the start at 0.

A counter that is born at 1 has an `increase()` of 0, and the first alert would never fire. Labels come from closed lists:
never a device, an address, an AE title or free text.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from detector.alert import SEVERITY, Alert
from detector.baseline_metrics import BaselineMetrics
from detector.counters import Counters
from detector.response import LIKE_RULES, RESPONSES
from detector.rule_metrics import RuleMetrics
from detector.ruleset import RuleSet
from nigrani import __version__
from nigrani.stream.events import DATASETS
from nigrani.stream.kafka.fault import KINDS

MOVES = ("begun", "ended", "lost")
"""What happens to a partition of ours."""

_COUNTS = {
    "flows_scored": "Flow records that the models scored.",
    "windows_judged": "Device-minutes held against the device's habits.",
    "windows_beyond": "Device-minutes stranger than the budget allows, told or not.",
    "windows_unknown": "Device-minutes of devices that the baseline does not know, held against the site's habits.",
    "merged": "Strange minutes that became evidence of an alert already told.",
    "repeated": "Findings that belong to an alert already told.",
    "shed": "Flow records that the heavy models passed over under load.",
    "forgotten": "Alert episodes dropped from memory at its bound.",
    "quiet_hits": "Matches of rules below medium, which do not alert alone.",
    "retold": "Alerts that a restart found again, already told.",
    "late": "Events too late for their minute; rules saw them.",
    "ahead": "Events whose time was not believed; rules saw them.",
    "unwatched": "Events beyond the bound of open minutes; rules saw them.",
    "unwatched_agents": "Reports of agents beyond the bound of those whose silence would be told.",
}
_NAMES = {"late": "late_events", "ahead": "ahead_events", "unwatched": "unwatched_events"}


class Metrics:
    """The detector's registry and what is set in it."""

    def __init__(self, rules: RuleSet, counters: Counters) -> None:
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
        self.repeated = Counter(
            "nigrani_events_repeated", "Events that the bus delivered once more; judged once.", registry=self.registry
        )
        self.unwritten = Counter(
            "nigrani_alerts_unwritten", "Alerts dropped because their log could not be reached.", registry=self.registry
        )
        self.pending = Gauge("nigrani_alerts_pending", "Alerts that are not in their log yet.", registry=self.registry)
        self.unkept = Gauge(
            "nigrani_detector_unkept_seconds",
            "Time since the oldest state that has changed was kept; a restart goes back as far.",
            registry=self.registry,
        )
        self.partitions = Gauge("nigrani_detector_partitions", "Partitions of the bus read here.", registry=self.registry)
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
        self.open_windows = Gauge(
            "nigrani_detector_open_windows", "Device-minutes that are not judged yet.", registry=self.registry
        )
        self.agents = Gauge("nigrani_detector_agents", "Agents whose reports come.", registry=self.registry)
        self.rules = Gauge("nigrani_rules_loaded", "Rules in force.", registry=self.registry)
        self._rules_taken = Gauge(
            "nigrani_rules_last_load_successful",
            "0 while the rule files that were read last are refused, and the rules before them are in force.",
            registry=self.registry,
        )
        self._refusals = Counter(
            "nigrani_rules_load_failures", "Rule files not loaded for their faults.", registry=self.registry
        )
        Gauge("nigrani_build_info", "Version of nigrani.", ("version",), registry=self.registry).labels(__version__).set(1)
        self.registry.register(_Engine(counters))
        self.baseline = BaselineMetrics(counters)
        self.registry.register(self.baseline)
        self._rule_metrics = RuleMetrics(rules, counters)
        self.registry.register(self._rule_metrics)
        self._moves = Counter(
            "nigrani_detector_partition_moves", "Partitions that came and went.", ("kind",), registry=self.registry
        )
        self._checkpoints = Counter(
            "nigrani_detector_checkpoints", "States of partitions kept.", ("result",), registry=self.registry
        )
        self._trouble = Gauge(
            "nigrani_bus_trouble", "1 while the bus cannot be read, by what is wrong.", ("kind",), registry=self.registry
        )
        for kind in MOVES:
            self._moves.labels(kind)
        for result in ("kept", "failed"):
            self._checkpoints.labels(result)
        for kind in KINDS:
            self._trouble.labels(kind)
        self._troubled = ""
        self._kinds: dict[str, str] = {}
        self._series: set[tuple[str, str]] = set()
        self.use(rules)
        for response in LIKE_RULES:
            self.alerts.labels("rule", response.slug, "medium")
        for response in RESPONSES:
            for severity in ("medium", "high"):
                self.alerts.labels("anomaly", f"anomaly-{response.slug}", severity)
        self._datasets = {kind: self.events.labels(name) for name, kind in DATASETS.items()}

    def use(self, rules: RuleSet) -> None:
        """Have the series of these rules: those that are new at 0, and none of rules that are no more."""
        series = {(rule.path.stem, rule.level) for rule in rules.rules}
        for kind, level in self._series - series:
            self.alerts.remove("rule", kind, level)
        for kind, level in series:
            self.alerts.labels("rule", kind, level)
        self._series = series
        self._kinds = {
            **{response.slug: response.slug for response in LIKE_RULES},
            **{rule.id: rule.path.stem for rule in rules.rules},
        }
        self.rules.set(len(rules.in_force))
        self._rules_taken.set(1)
        self._rule_metrics.use(rules)

    @property
    def kinds(self) -> set[tuple[str, str]]:
        """Kind and severity of every alert that there may be."""
        anomalies = {(f"anomaly-{response.slug}", severity) for response in RESPONSES for severity in ("medium", "high")}
        return self._series | {(response.slug, "medium") for response in LIKE_RULES} | anomalies

    def rules_refused(self) -> None:
        """Count rule files that were not loaded."""
        self._refusals.inc()
        self._rules_taken.set(0)

    def moved(self, kind: str, partitions: int) -> None:
        """Count a partition that was begun, ended or lost; `partitions` are left."""
        self._moves.labels(kind).inc()
        self.partitions.set(partitions)

    def kept(self, result: str) -> None:
        """Count a state that was kept, or that keeping failed."""
        self._checkpoints.labels(result).inc()

    def trouble(self, kind: str) -> None:
        """Say what is wrong with the bus; empty where nothing is."""
        if kind == self._troubled:
            return
        if self._troubled:
            self._trouble.labels(self._troubled).set(0)
        self._troubled = (kind if kind in KINDS else "other") if kind else ""
        if self._troubled:
            self._trouble.labels(self._troubled).set(1)

    def event(self, kind: type, count: int) -> None:
        """Count events of one dataset."""
        self._datasets[kind].inc(count)

    def alert(self, alert: Alert) -> None:
        """Count an alert."""
        kind = self._kinds.get(alert.kind, "other") if alert.source == "rule" else alert.kind
        severity = alert.severity if alert.severity in SEVERITY else "other"
        self.alerts.labels(alert.source, kind, severity).inc()


class _Engine(Collector):
    """The engine's plain counters, read when Prometheus asks."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        """One counter each."""
        for name, text in _COUNTS.items():
            metric = f"nigrani_detector_{_NAMES.get(name, name)}"
            yield CounterMetricFamily(metric, text, value=getattr(self._counters, name))
