"""Metrics of the rules: each series from the start, none that outlives its rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from detector.counters import Counters
from detector.rule_metrics import RuleMetrics
from detector.ruleset import RuleSet
from tests.detector.rule_files import counting, identity, load, rule

TODAY = datetime.now(UTC).date()


class Shown:
    """The metrics of a rule set."""

    def __init__(self, rules: RuleSet) -> None:
        self.counters = Counters()
        self.metrics = RuleMetrics(rules, self.counters)
        self.metrics.use(rules)
        self.registry = CollectorRegistry()
        self.registry.register(self.metrics)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"nigrani_rules_{name}", labels)


def day(days: int) -> str:
    return (TODAY + timedelta(days=days)).isoformat()


def rules(folder: Path, *documents: dict[str, object]) -> RuleSet:
    return RuleSet(load(folder, *documents))


def test_what_is_in_force(tmp_path: Path) -> None:
    loaded = rules(
        tmp_path, rule("a", custom={"stage": "test"}), rule("b", custom={"stage": "shadow"}), rule("c"), rule("d")
    )
    shown = Shown(loaded)
    assert [shown.value("stage", stage=stage) for stage in ("test", "shadow", "on")] == [1, 1, 2]
    assert shown.value("info", fingerprint=loaded.fingerprint[:12]) == 1
    assert shown.value("loaded_timestamp_seconds") == pytest.approx(datetime.now(UTC).timestamp(), abs=60)


def test_what_expires_before_and_after(tmp_path: Path) -> None:
    days = {"a": -1, "b": 0, "c": 14, "d": 15}
    shown = Shown(rules(tmp_path, *[rule(name, custom={"expires": day(one)}) for name, one in days.items()], rule("e")))
    assert (shown.value("expired"), shown.value("expiring")) == (1, 2)


def test_what_was_held_back_from_0_on(tmp_path: Path) -> None:
    custom = {"stage": "shadow", "suppress": {"by": ["host.id"], "for": "1h"}}
    shown = Shown(rules(tmp_path, rule(custom=custom)))
    for reason in ("shadow", "suppressed"):
        assert shown.value("held_total", kind="rules", reason=reason) == 0
    assert shown.value("held_total", kind="rules", reason="expired") is None
    shown.counters.held = {(identity("query"), "shadow"): 3, ("gone", "suppressed"): 2}
    assert shown.value("held_total", kind="rules", reason="shadow") == 3
    assert shown.value("held_total", kind="other", reason="suppressed") == 2


def test_what_was_forgotten_is_kept_over_a_reload(tmp_path: Path) -> None:
    first = rules(tmp_path, rule(id=None, level=None), counting())
    shown = Shown(first)
    assert shown.value("forgotten_total", what="groups") == 0
    first.evicted[identity("burst")].groups = 5
    shown.metrics.use(rules(tmp_path, rule()))
    assert shown.value("forgotten_total", what="groups") == 5
