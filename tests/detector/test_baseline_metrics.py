"""What is usual, as metrics: nothing before a baseline, its age and size after, and p-values that tell of drift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from detector.baseline_metrics import BaselineMetrics
from detector.calibration import budget_p
from detector.counters import P_BOUNDS, Counters
from detector.engine import SAMPLE, Engine
from detector.setup import load_rules

if TYPE_CHECKING:
    from nigrani.stream.event import Event
    from tests.detector.conftest import Learnt, Maker

LATER = 50 * 60


def values(metrics: BaselineMetrics) -> dict[str, float]:
    return {
        sample.name + sample.labels.get("le", ""): sample.value for family in metrics.collect() for sample in family.samples
    }


def judged(learnt: Learnt, events: list[Event], budget: float = 7.0) -> tuple[Counters, BaselineMetrics]:
    counters = Counters()
    engine = Engine(load_rules(), lambda alert: None, learnt.knowledge, budget, counters)
    for event in events:
        engine.feed(event)
    engine.close()
    metrics = BaselineMetrics(counters)
    metrics.budget, metrics.knowledge = budget, learnt.knowledge
    return counters, metrics


def test_without_a_baseline_all_is_0() -> None:
    metrics = BaselineMetrics(Counters())
    metrics.budget, metrics.progress = 7.0, 0.25
    found = values(metrics)
    assert found.pop("nigrani_false_alarm_budget_per_week") == 7
    assert found.pop("nigrani_baseline_learning_progress_ratio") == 0.25
    assert set(found.values()) == {0}


def test_a_baseline_tells_its_age_its_size_and_the_threshold(learnt: Learnt) -> None:
    metrics = BaselineMetrics(Counters())
    metrics.budget, metrics.knowledge, metrics.progress = 7.0, learnt.knowledge, 0.5
    found = values(metrics)
    assert found["nigrani_baseline_learnt_timestamp_seconds"] == max(event.timestamp for event in learnt.events).timestamp()
    assert found["nigrani_baseline_windows"] == learnt.baseline.header["counts"]["minutes"]
    assert found["nigrani_baseline_devices"] == 5
    assert found["nigrani_baseline_learning_progress_ratio"] == 1
    assert found["nigrani_anomaly_threshold_p"] == pytest.approx(budget_p(7.0, learnt.knowledge.minutes_per_week))


def test_each_judged_minute_has_its_p_value_and_habits_that_hold_are_uniform(learnt: Learnt, make: Maker) -> None:
    counters, metrics = judged(learnt, make.morning(60, seed=3, at=LATER))
    found = values(metrics)
    bucket = "nigrani_detector_window_p_value_bucket"
    assert found["nigrani_detector_window_p_value_count"] == counters.windows_judged == sum(counters.p_values.counts)
    assert found[f"{bucket}1.0"] == counters.windows_judged
    assert 0.3 < found[f"{bucket}0.5"] / counters.windows_judged < 0.7
    assert found[f"{bucket}0.01"] / counters.windows_judged < 0.03
    assert counters.windows_unknown == 0


def test_drift_shows_in_small_p_values_and_in_minutes_beyond(learnt: Learnt, make: Maker) -> None:
    events = [
        make.flow(LATER + 60 * minute, f"ip:ws{minute % 4}", destination=f"ip:new{minute}", source_payload=10**8)
        for minute in range(40)
    ]
    counters, metrics = judged(learnt, events)
    found = values(metrics)
    assert found["nigrani_detector_window_p_value_bucket0.01"] == counters.windows_judged == 40
    assert counters.windows_beyond == 40


def test_minutes_beyond_count_those_that_are_not_told_again(learnt: Learnt, make: Maker) -> None:
    loud = [
        make.flow(LATER + 60 * minute, "ip:ws1", destination_zone="internet", source_payload=5 * 10**9)
        for minute in range(3)
    ]
    counters, _ = judged(learnt, loud)
    assert counters.windows_beyond == 3
    assert counters.repeated + counters.merged == 2


def test_devices_that_the_baseline_does_not_know_are_counted(learnt: Learnt, make: Maker) -> None:
    counters, _ = judged(learnt, [make.flow(LATER, "ip:stranger"), make.flow(LATER, "ip:ws1")])
    assert (counters.windows_judged, counters.windows_unknown) == (2, 1)


def test_the_rules_time_is_taken_of_some_events(learnt: Learnt, make: Maker) -> None:
    counters, metrics = judged(learnt, [make.flow(LATER) for _ in range(3 * SAMPLE)])
    assert sum(counters.rule_seconds.counts) == 3
    assert 0 < counters.rule_seconds.total < 1
    assert values(metrics)["nigrani_detector_rules_seconds_count"] == 3


def test_bounds_are_a_closed_list() -> None:
    assert list(P_BOUNDS) == sorted(P_BOUNDS)
    assert P_BOUNDS[-1] == 1
