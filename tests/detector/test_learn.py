"""A lesson over events gives a baseline that can be signed, loaded and judged by; the same events give the same file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from detector import learn as module
from detector.baseline import Baseline, BaselineError
from detector.engine import Knowledge, fingerprint
from detector.features import EVIDENCE, FLOW_FEATURES, NEW_PEERS, WINDOW_FEATURES
from detector.learn import FEATURES, LEAST_FLOWS, Lesson
from detector.setup import load_knowledge, save_baseline
from detector.signing import Verifier, signing_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nigrani.stream.event import Event
    from tests.detector.conftest import Learnt, Maker


def lesson_of(events: Iterable[Event]) -> Lesson:
    lesson = Lesson()
    for event in events:
        lesson.add(event)
    return lesson


def test_the_header_says_what_was_learnt(learnt: Learnt) -> None:
    header = learnt.baseline.header
    assert header["counts"]["events"] == len(learnt.events)
    assert header["counts"]["devices"] == 5
    assert header["counts"]["flows"] == sum("flow" in type(event).__name__.lower() for event in learnt.events)
    assert header["window"][0].startswith("2026-03-02T08:00:")
    assert header["window"][1].startswith("2026-03-02T08:39:")
    assert header["models"] == ["histogram", "iforest", "mahalanobis"]
    assert header["features"] == [*FLOW_FEATURES, *(feature.name for feature in WINDOW_FEATURES)]
    minutes = header["counts"]["minutes"]
    assert header["config"]["minutes_per_week"] == pytest.approx(minutes / 40 * 7 * 24 * 60, rel=0.01)


def test_the_file_loads_and_judges_alike(learnt: Learnt, state: Path, tmp_path: Path) -> None:
    path = tmp_path / "b.npz"
    save_baseline(learnt.baseline, path)
    loaded = load_knowledge(path)
    assert loaded.fingerprint == learnt.knowledge.fingerprint == fingerprint(learnt.baseline)
    assert loaded.minutes_per_week == learnt.knowledge.minutes_per_week
    for event in learnt.events[:50]:
        assert loaded.seen.new(event) == learnt.knowledge.seen.new(event) == ()
    row = np.linspace(0, 9, len(WINDOW_FEATURES))
    assert loaded.habits.judge("ip:ws1", row)[0] == learnt.knowledge.habits.judge("ip:ws1", row)[0]


def test_the_same_events_give_the_same_bytes(make: Maker, tmp_path: Path) -> None:
    signer = signing_key(tmp_path)
    first, second = (lesson_of(type(make)().morning(20)).baseline().to_bytes(signer) for _ in range(2))
    assert first == second
    other = lesson_of(make.morning(20, seed=2)).baseline()
    assert other.to_bytes(signer) != first
    again = Baseline.from_bytes(first, Verifier([tmp_path / "baseline.pub"]), FEATURES)
    assert fingerprint(again) != fingerprint(other)


def test_the_file_holds_no_name_from_an_event(learnt: Learnt, tmp_path: Path) -> None:
    data = learnt.baseline.to_bytes(signing_key(tmp_path))
    for text in ("clinic.test", "PACS", "ip:server"):
        assert text.encode() not in data
        assert text.encode("utf-32-le") not in data


def test_classes_are_learnt_and_signed_with_the_rest(learnt: Learnt, make: Maker) -> None:
    stores = [make.dicom("c-store-rsp", 60 * n, "ip:ct", status="0000", calling_ae="CT") for n in range(5)]
    events = [*learnt.events, *stores]
    baseline = lesson_of(events).baseline()
    classes = Knowledge.of(baseline).classes
    assert (classes.of("ip:ct"), classes.of("ip:pacs"), classes.of("ip:new")) == ("modality", "pacs", "unknown")
    assert baseline.header["counts"]["classified"] == len(classes)
    backwards = lesson_of(reversed(events)).baseline().section("classes")
    assert all(np.array_equal(array, backwards[name]) for name, array in baseline.section("classes").items())
    spoilt = {**baseline.arrays, "classes.codes": baseline.arrays["classes.codes"][1:]}
    with pytest.raises(BaselineError, match="classes do not fit the devices"):
        Knowledge.of(Baseline(baseline.header, spoilt))


def test_nothing_is_learnt_from_nothing() -> None:
    with pytest.raises(ValueError, match="no events"):
        Lesson().baseline()


def test_too_few_minutes_are_refused(make: Maker) -> None:
    with pytest.raises(ValueError, match="too few to learn from"):
        lesson_of(make.morning(3)).baseline()


def test_events_at_one_moment_are_too_few(make: Maker) -> None:
    with pytest.raises(ValueError, match="too few"):
        lesson_of(make.flow() for _ in range(500)).baseline()


def test_without_flows_there_are_habits_and_no_models(make: Maker) -> None:
    baseline = lesson_of(make.hl7(60 * minute) for minute in range(60)).baseline()
    assert baseline.header["models"] == []
    assert baseline.section("flow") == {}
    assert Knowledge.of(baseline).flows is None


def test_few_flows_train_no_models(make: Maker) -> None:
    events = [make.flow(40 * number) for number in range(LEAST_FLOWS - 1)]
    assert Knowledge.of(lesson_of(events).baseline()).flows is None
    events.append(make.flow(40 * LEAST_FLOWS))
    assert Knowledge.of(lesson_of(events).baseline()).flows is not None


def test_the_bound_on_events_is_kept_and_counted(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EVENTS", 100)
    lesson = lesson_of(make.flow(number) for number in range(130))
    assert (len(lesson.events), lesson.dropped) == (100, 30)
    assert lesson.last - lesson.first == 99


def test_what_is_new_is_so_by_the_other_blocks_of_time(make: Maker) -> None:
    """A device that comes once has new peers in its minute; one that comes all the time has none."""
    events = make.morning(40)
    events += [make.flow(60 * 20 + number, "ip:visitor", destination=f"ip:v{number}") for number in range(30)]
    habits = Knowledge.of(lesson_of(events).baseline()).habits
    assert habits.of("ip:visitor")[0].grid[NEW_PEERS, -1] == pytest.approx(np.log1p(30))
    assert habits.of("ip:ws0")[0].grid[NEW_PEERS, -1] == 0


def test_the_habits_know_the_evidence_of_single_flows(learnt: Learnt) -> None:
    """Benign minutes have some, and an unusual flow has more."""
    grid = learnt.knowledge.habits.of("ip:ws3")[0].grid[EVIDENCE]
    assert grid[-1] > 0
    assert grid[4] < 1


def test_one_clock_years_ahead_changes_little(make: Maker) -> None:
    """Neither the blocks of the lesson nor the minutes a week are stretched by it."""
    plain = lesson_of(make.morning(20)).baseline().header["config"]["minutes_per_week"]
    events = [*make.morning(20), make.flow(20 * 365 * 86400)]
    assert Knowledge.of(lesson_of(events).baseline()).minutes_per_week == pytest.approx(plain, rel=0.1)


def test_knowledge_refuses_a_baseline_whose_parts_do_not_fit(learnt: Learnt) -> None:
    def without(prefix: str) -> Baseline:
        arrays = {name: array for name, array in learnt.baseline.arrays.items() if not name.startswith(prefix)}
        return Baseline(learnt.baseline.header, arrays)

    for prefix in ("seen.client", "habits.spread", "habits.tail", "flow.gate", "flow.histogram"):
        with pytest.raises(BaselineError, match="does not hold together"):
            Knowledge.of(without(prefix))
    for config in ({}, {"minutes_per_week": 0}, {"minutes_per_week": "many"}, {"minutes_per_week": 1.5}):
        with pytest.raises(BaselineError, match="does not hold together"):
            Knowledge.of(Baseline({**learnt.baseline.header, "config": config}, learnt.baseline.arrays))


def test_events_of_every_time_teach_or_are_refused(make: Maker) -> None:
    """Wherever one event lies in time, a lesson gives a usable baseline or a ValueError."""
    for seconds in (-1e9, -8e4, 8e4, 1e9, 7e9):
        lesson = lesson_of([*make.morning(25, devices=1), make.flow(seconds)])
        try:
            Knowledge.of(lesson.baseline())
        except BaselineError:
            pytest.fail(f"a baseline that cannot be used, with one event at {seconds}")
        except ValueError:
            continue
