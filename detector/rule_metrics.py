"""Metrics of the rules themselves: which are in force, what they held back, and which are about to lapse."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from detector.counters import Counters
from detector.gate import EXPIRED, SHADOW, SUPPRESSED
from detector.rule import STAGES, Rule
from detector.rule_loader import SOON
from detector.ruleset import RuleSet

OTHER = "other"
FORGOTTEN = ("groups", "values", "late")


class RuleMetrics(Collector):
    """Read when Prometheus asks."""

    def __init__(self, rules: RuleSet, counters: Counters) -> None:
        self._counters = counters
        self._rules = rules
        self._kinds: dict[str, str] = {}
        self._before: Counter[str] = Counter()
        """What the correlations of sets before this one could not count."""
        self._loaded = time.time()

    def use(self, rules: RuleSet) -> None:
        """These are in force from now on."""
        if rules is not self._rules:
            self._before.update(_forgotten(self._rules))
        self._rules = rules
        self._kinds = {rule.id: rule.path.stem for rule in rules.rules}
        self._loaded = time.time()

    def collect(self) -> Iterator[Metric]:
        """All of them, each label set from the start."""
        rules = self._rules.rules
        info = GaugeMetricFamily("nigrani_rules_info", "1 for the rules in force.", labels=["fingerprint"])
        info.add_metric([self._rules.fingerprint[:12]], 1)
        yield info
        yield GaugeMetricFamily(
            "nigrani_rules_loaded_timestamp_seconds", "When the rules in force were loaded.", value=self._loaded
        )
        stages = GaugeMetricFamily("nigrani_rules_stage", "Rules, by stage.", labels=["stage"])
        for stage in STAGES:
            stages.add_metric([stage], sum(rule.stage == stage for rule in rules))
        yield stages
        today = datetime.now(UTC).date()
        left = [(rule.expires - today).days for rule in rules if rule.expires is not None]
        yield GaugeMetricFamily(
            "nigrani_rules_expiring",
            f"Rules whose last day is within {SOON} days.",
            value=sum(0 <= days <= SOON for days in left),
        )
        yield GaugeMetricFamily(
            "nigrani_rules_expired", "Rules whose last day is over.", value=sum(days < 0 for days in left)
        )
        yield self._held(rules)
        forgotten = CounterMetricFamily(
            "nigrani_rules_forgotten", "What correlations did not count, to stay within their bounds.", labels=["what"]
        )
        counts = self._before + _forgotten(self._rules)
        for what in FORGOTTEN:
            forgotten.add_metric([what], counts[what])
        yield forgotten

    def _held(self, rules: tuple[Rule, ...]) -> Metric:
        counts: Counter[tuple[str, str]] = Counter()
        for rule in rules:
            counts.update({(rule.path.stem, reason): 0 for reason in _reasons(rule)})
        for (rule_id, reason), count in self._counters.held.copy().items():
            counts[self._kinds.get(rule_id, OTHER), reason] += count
        held = CounterMetricFamily("nigrani_rules_held", "Matches that did not alert, and why.", labels=["kind", "reason"])
        for (kind, reason), count in sorted(counts.items()):
            held.add_metric([kind, reason], count)
        return held


def _reasons(rule: Rule) -> Iterator[str]:
    """What may hold back a rule's matches."""
    if rule.stage == SHADOW:
        yield SHADOW
    if rule.suppress is not None:
        yield SUPPRESSED
    if rule.expires is not None:
        yield EXPIRED


def _forgotten(rules: RuleSet) -> Counter[str]:
    totals: Counter[str] = Counter(dict.fromkeys(FORGOTTEN, 0))
    for one in rules.evicted.values():
        totals.update(groups=one.groups, values=one.values, late=one.late)
    return totals
