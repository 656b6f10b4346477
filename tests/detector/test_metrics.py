"""Every series is there at 0 before anything happens, and no label says who, where or what."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from detector.alert import SEVERITY, Alert
from detector.counters import P_BOUNDS, RULE_BOUNDS
from detector.engine import Engine
from detector.gate import REASONS
from detector.metrics import MOVES, Metrics
from detector.response import LIKE_RULES, RESPONSES
from detector.rule import STAGES
from detector.rule_metrics import FORGOTTEN
from detector.ruleset import RuleSet
from detector.setup import load_rules
from nigrani import __version__
from nigrani.stream.events import DATASETS
from nigrani.stream.kafka.fault import KINDS
from tests.detector.rule_files import load, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.detector.conftest import Learnt, Maker

RULES = load_rules()
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def metrics() -> Metrics:
    engine = Engine(RULES, lambda alert: None)
    return Metrics(RULES, engine.counters)


def series(metrics: Metrics) -> Series:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def alerts_of(found: Series) -> dict[tuple[str, ...], float]:
    return {
        tuple(value for _, value in labels): count
        for (name, labels), count in found.items()
        if name == "nigrani_alerts_total"
    }


def label_values(found: Series) -> Iterator[tuple[str, str]]:
    return (label for _, labels in found for label in labels)


def alert(source: str, kind: str, slug: str, severity: str) -> Alert:
    when = datetime(2026, 3, 2, 8, tzinfo=UTC)
    return Alert(
        id="i", kind=kind, slug=slug, title="t", severity=severity, device="ip:ws", when=when, first=when, source=source
    )


def test_every_alert_that_can_be_exists_at_0(metrics: Metrics) -> None:
    found = alerts_of(series(metrics))
    rules = {(rule.path.stem, rule.level, "rule") for rule in RULES.rules} | {
        (response.slug, "medium", "rule") for response in LIKE_RULES
    }
    anomalies = {(f"anomaly-{response.slug}", level, "anomaly") for response in RESPONSES for level in ("medium", "high")}
    kinds = {(kind, severity, source) for kind, severity, source in found if kind != "other"}
    assert kinds == rules | anomalies
    assert set(found.values()) == {0}


def test_every_dataset_and_counter_exists_at_0(metrics: Metrics) -> None:
    found = series(metrics)
    assert {name for label, name in label_values(found) if label == "dataset"} == set(DATASETS)
    constant = {"nigrani_rules_loaded": len(RULES.rules), "nigrani_build_info": 1, "nigrani_rules_info": 1}
    constant["nigrani_rules_last_load_successful"] = 1
    assert found.pop(("nigrani_rules_loaded_timestamp_seconds", ()))
    assert found.pop(("nigrani_rules_stage", (("stage", "on"),))) == len(RULES.rules)
    assert {name: value for (name, _), value in found.items() if value} == constant
    for name in (
        "flows_scored",
        "windows_judged",
        "windows_beyond",
        "windows_unknown",
        "merged",
        "repeated",
        "late_events",
        "ahead_events",
        "unwatched_events",
    ):
        assert found[f"nigrani_detector_{name}_total", ()] == 0
    for name in ("nigrani_events_refused_total", "nigrani_events_missed_total", "nigrani_bus_lag_events"):
        assert found[name, ()] == 0


def test_alerts_are_counted_by_kind(metrics: Metrics) -> None:
    rule = next(rule for rule in RULES.rules if rule.path.stem == "port_scan")
    before = set(series(metrics))
    for _ in range(3):
        metrics.alert(alert("rule", rule.id, "port_scan", rule.level))
    metrics.alert(alert("anomaly", "anomaly-exfiltration", "anomaly-exfiltration", "high"))
    found = series(metrics)
    counted = {labels: count for labels, count in alerts_of(found).items() if count}
    assert counted == {("port_scan", rule.level, "rule"): 3, ("anomaly-exfiltration", "high", "anomaly"): 1}
    assert set(found) == before, "no series is born by an alert"


def test_real_alerts_are_counted_and_give_birth_to_no_series(make: Maker, learnt: Learnt) -> None:
    alerts: list[Alert] = []
    engine = Engine(load_rules(), alerts.append, learnt.knowledge)
    metrics = Metrics(engine.rules, engine.counters)
    before = set(series(metrics))
    end = learnt.end
    events = [
        *make.morning(10, seed=4, at=end),
        *make.scan(end + 60, "ip:ws0"),
        make.dicom("associate", end + 70, "ip:ws2", calling_ae="ROGUE"),
        make.flow(end + 200, "ip:ws1", destination="ip:server0", destination_zone="internet", source_payload=10**10),
    ]
    for event in sorted(events, key=lambda event: event.timestamp):
        engine.feed(event)
    engine.close()
    for told in alerts:
        metrics.alert(told)
    found = series(metrics)
    counted = {labels for labels, count in alerts_of(found).items() if count}
    assert counted >= {
        ("port_scan", "high", "rule"),
        ("rogue_ae_title", "medium", "rule"),
        ("anomaly-exfiltration", "high", "anomaly"),
    }
    assert set(found) == before
    assert found["nigrani_detector_windows_judged_total", ()] == engine.counters.windows_judged > 0
    assert found["nigrani_detector_flows_scored_total", ()] == engine.counters.flows_scored > 0


def test_no_label_is_outside_its_list(metrics: Metrics) -> None:
    metrics.alert(alert("rule", "a rule of yesterday", "yesterday", "high"))
    metrics.alert(alert("rule", RULES.rules[0].id, "x", "ip:10.0.0.1"))
    known = {
        "dataset": set(DATASETS),
        "source": {"rule", "anomaly"},
        "kind": {rule.path.stem for rule in RULES.rules}
        | {response.slug for response in LIKE_RULES}
        | {f"anomaly-{response.slug}" for response in RESPONSES}
        | {*MOVES, *KINDS, "other"},
        "result": {"kept", "failed"},
        "severity": {*SEVERITY, "other"},
        "version": {__version__},
        "fingerprint": {RULES.fingerprint[:12]},
        "stage": set(STAGES),
        "reason": set(REASONS),
        "what": set(FORGOTTEN),
        "le": {"+Inf", *map(repr, (*P_BOUNDS, *RULE_BOUNDS))},
    }
    for label, value in label_values(series(metrics)):
        assert value in known[label]


def test_every_event_is_counted_in_its_dataset(metrics: Metrics) -> None:
    for number, kind in enumerate(DATASETS.values()):
        metrics.event(kind, number)
    found = series(metrics)
    assert [found["nigrani_events_total", (("dataset", name),)] for name in DATASETS] == list(range(len(DATASETS)))


def test_every_metric_says_what_it_is(metrics: Metrics) -> None:
    for family in metrics.registry.collect():
        assert re.fullmatch(r"nigrani_[a-z_]+", family.name)
        assert re.fullmatch(r"[A-Z0-9].*\.", family.documentation), family.name


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("rules", [RULES])
def test_promtool_finds_no_fault(metrics: Metrics, rules: RuleSet) -> None:
    metrics.alert(alert("rule", rules.rules[0].id, rules.rules[0].path.stem, rules.rules[0].level))
    exposition = generate_latest(metrics.registry)
    checked = subprocess.run(["promtool", "check", "metrics"], input=exposition, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout.decode() + checked.stderr.decode()) == (0, "")


def test_rules_that_come_have_series_at_0_and_those_that_go_have_none(metrics: Metrics, tmp_path: Path) -> None:
    metrics.alert(alert("rule", RULES.rules[0].id, "x", RULES.rules[0].level))
    (tmp_path / "site").mkdir()
    rules = RuleSet(load(tmp_path / "site", rule(level="high")))
    metrics.use(rules)
    found = alerts_of(series(metrics))
    assert {kind for kind, _, source in found if source == "rule"} == {"rules", *(response.slug for response in LIKE_RULES)}
    assert found["rules", "high", "rule"] == 0
    assert series(metrics)["nigrani_rules_loaded", ()] == 1
    metrics.alert(alert("rule", rules.rules[0].id, "rules", "high"))
    assert alerts_of(series(metrics))["rules", "high", "rule"] == 1


def test_refused_rules_are_counted(metrics: Metrics) -> None:
    assert series(metrics)["nigrani_rules_load_failures_total", ()] == 0
    metrics.rules_refused()
    assert series(metrics)["nigrani_rules_load_failures_total", ()] == 1


def test_refused_rules_show_until_others_are_in_force(metrics: Metrics) -> None:
    def taken() -> float:
        return series(metrics)["nigrani_rules_last_load_successful", ()]

    assert taken() == 1
    metrics.rules_refused()
    assert taken() == 0
    assert series(metrics)["nigrani_rules_load_failures_total", ()] == 1
    metrics.use(RULES)
    assert taken() == 1
