"""How far the detector has come, by dataset, and how late."""

from __future__ import annotations

import pytest

from detector.reach import LONGEST, Reach
from nigrani.stream.event import Event
from nigrani.stream.events import DATASETS
from tests.detector.conftest import Maker

Series = dict[tuple[str, str], float]


def series(reach: Reach) -> Series:
    return {
        (sample.name, sample.labels.get("dataset", sample.labels.get("le", ""))): sample.value
        for family in reach.collect()
        for sample in family.samples
    }


def at(event: Event) -> float:
    return event.timestamp.timestamp()


def test_every_dataset_begins_at_0() -> None:
    found = series(Reach())
    assert {name for metric, name in found if metric == "nigrani_dataset_event_time_seconds"} == set(DATASETS)
    assert set(found.values()) == {0}


def judged(reach: Reach, now: float, *events: Event) -> None:
    for event in events:
        reach.last[type(event)] = event
    reach.settle(now, 0.003)


def test_the_newest_event_counts_and_an_older_one_takes_nothing_back(make: Maker) -> None:
    reach = Reach()
    old, new = make.flow(0), make.flow(300)
    now = at(new) + 20
    judged(reach, now, new)
    judged(reach, now, old)
    found = series(reach)
    assert found["nigrani_dataset_event_time_seconds", "network.flow"] == at(new)
    assert found["nigrani_dataset_event_time_seconds", "network.dns"] == 0
    assert found["nigrani_detector_event_delay_seconds_bucket", "10.0"] == 0
    assert found["nigrani_detector_event_delay_seconds_bucket", "30.0"] == 1
    assert found["nigrani_detector_event_delay_seconds_count", ""] == 2
    assert found["nigrani_detector_event_delay_seconds_sum", ""] == pytest.approx(20 + 320)
    assert found["nigrani_detector_delivery_seconds_bucket", "0.005"] == 2
    assert found["nigrani_detector_delivery_seconds_bucket", "0.0025"] == 0


def test_each_dataset_of_a_delivery_is_looked_at_once(make: Maker) -> None:
    reach = Reach()
    judged(reach, at(make.flow(60)), make.flow(0), make.flow(1), make.dns(2))
    judged(reach, at(make.flow(60)))
    found = series(reach)
    assert found["nigrani_detector_event_delay_seconds_count", ""] == 2
    assert found["nigrani_dataset_event_time_seconds", "network.flow"] == at(make.flow(1))
    assert found["nigrani_detector_delivery_seconds_count", ""] == 2


def test_a_clock_that_is_ahead_does_not_hide_that_nothing_comes(make: Maker) -> None:
    reach = Reach()
    event = make.flow(300)
    judged(reach, at(event) - 1_000_000, event)
    found = series(reach)
    assert found["nigrani_dataset_event_time_seconds", "network.flow"] == at(event) - 1_000_000
    assert found["nigrani_detector_event_delay_seconds_sum", ""] == 0


def test_one_wrong_clock_does_not_make_the_sum_meaningless(make: Maker) -> None:
    reach = Reach()
    judged(reach, at(make.flow(0)) + 10 * LONGEST, make.flow(0))
    assert series(reach)["nigrani_detector_event_delay_seconds_sum", ""] == LONGEST
