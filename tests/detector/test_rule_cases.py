"""The tests that rules bring along."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from detector.rule import RefusedError
from detector.rule_cases import START, event_of
from nigrani.stream.events import DATASETS
from tests.detector.rule_files import counting, load, rule, told

FIND, MOVE = {"event.action": "c-find"}, {"event.action": "c-move"}


def cases(*tests: dict[str, Any]) -> dict[str, Any]:
    return {"tests": list(tests)}


def test_tests_that_hold(tmp_path: Path) -> None:
    custom = cases({"event": FIND, "match": True}, {"events": [MOVE, MOVE], "match": False})
    loader = load(tmp_path, rule(custom=custom))
    assert not loader.faults
    assert [outcome.fault for _, outcome in loader.outcomes] == [None, None]


def test_a_test_that_fails_is_a_fault_at_its_line_that_says_why(tmp_path: Path) -> None:
    detection = {"sel": {"event.action": "c-find", "dicom.contexts|gt": 3}, "condition": "sel"}
    custom = cases({"event": {**FIND, "dicom.contexts": 2}, "match": True}, {"event": MOVE, "match": False})
    loader = load(tmp_path, rule(detection=detection, custom=custom))
    [fault] = loader.faults
    assert fault.message == (
        "a test says that the rule matches, and it does not: wanted dicom.contexts > 3, but dicom.contexts is 2"
    )
    assert (tmp_path / "rules.yml").read_text().splitlines()[fault.line - 1].strip() == "- event:"


def test_a_match_that_must_not_be(tmp_path: Path) -> None:
    loader = load(tmp_path, rule(custom=cases({"events": [MOVE, FIND], "match": False})))
    assert told(loader) == ["a test says that the rule does not match, and it does"]


def test_of_a_correlation(tmp_path: Path) -> None:
    good = cases({"events": [FIND, FIND, FIND], "match": True}, {"event": {**FIND, "nigrani.count": 2}, "match": False})
    assert not load(tmp_path, rule(level=None, id=None), counting(custom=good)).faults
    bad = cases({"events": [FIND, FIND], "match": True})
    assert "does not within these events" in told(load(tmp_path, rule(), counting(custom=bad)))[0]


def test_a_rule_is_tested_as_it_was_written(tmp_path: Path) -> None:
    """Neither a site's filter nor its threshold nor a stage makes a shipped rule's tests fail."""
    suppress = {"title": "Not here", "logsource": {"service": "dicom"}}
    away = {**suppress, "filter": {"rules": ["query"], "sel": FIND, "condition": "not sel"}}
    raised = {"title": "Less", "override": {"rule": "burst", "threshold": 1000, "stage": "test"}}
    custom = cases({"events": [FIND, FIND, FIND], "match": True})
    assert not load(
        tmp_path, rule(custom=cases({"event": FIND, "match": True})), counting(custom=custom), away, raised
    ).faults


def test_what_is_new_stands_beside_the_event(tmp_path: Path) -> None:
    detection = {"sel": {"nigrani.new": "calling_ae", "p_value|lt": 0.01}, "condition": "sel"}
    event = {"nigrani.new": "calling_ae", "p_value": 0.001}
    custom = cases({"event": event, "match": True}, {"event": {"nigrani.new": ["peer"], "p_value": 0.001}, "match": False})
    assert not load(tmp_path, rule(detection=detection, custom=custom)).faults


def test_classes_stand_beside_the_event(tmp_path: Path) -> None:
    detection = {"sel": {"source.class": "modality", "destination.class|exists": False}, "condition": "sel"}
    custom = cases({"event": {"source.class": "modality"}, "match": True}, {"event": {}, "match": False})
    assert not load(tmp_path, rule(detection=detection, custom=custom)).faults


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"event.acton": "x"}, "unknown field `event.acton`"),
        ({"dicom.contexts": "many"}, "the event cannot be read"),
        ({"dicom.contexts": -1}, "the event cannot be read"),
        ({"nigrani.new": 3}, "the event cannot be read"),
        ({"device.class": "modalitiy"}, "`modalitiy` is no class of devices"),
        ({"source.class": ["pacs"]}, "`['pacs']` is no class of devices"),
        ({"event.dataset": "network.flow"}, "the rule reads no `network.flow`"),
        ({"@timestamp": "yesterday"}, "the event cannot be read"),
    ],
)
def test_events_that_are_none(tmp_path: Path, event: dict[str, Any], said: str) -> None:
    [line] = told(load(tmp_path, rule(custom=cases({"event": event, "match": True}))))
    assert line.startswith(said)


@pytest.mark.parametrize("dataset", DATASETS)
def test_an_event_needs_say_nothing(dataset: str) -> None:
    event, _ = event_of({}, (dataset,), 3)
    assert type(event) is DATASETS[dataset]
    assert (event.timestamp - START).seconds == 3


def test_a_time_without_a_zone_is_utc() -> None:
    event, _ = event_of({"@timestamp": datetime(2026, 2, 3, 4)}, ("dicom.association",))  # noqa: DTZ001 as YAML reads it
    assert event.timestamp == datetime(2026, 2, 3, 4, tzinfo=UTC)
    with pytest.raises(RefusedError):
        event_of({"@timestamp": date(2026, 2, 3)}, ("dicom.association",))
