"""A rule on events: what matched, what nearly did, and how far a count came."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from detector.rule import Extra
from detector.rule_trial import Trial, by_themselves
from tests.detector.rule_files import counting, load, rule

if TYPE_CHECKING:
    from detector.rule_loader import Loader
    from detector.rule_trial import Told
    from nigrani.stream.event import Event
    from tests.detector.conftest import Maker

MANY = {"sel": {"event.action": "c-find", "dicom.contexts|gt": 3}, "condition": "sel"}


def trial(loader: Loader, name: str) -> Trial:
    assert not loader.faults
    return Trial(loader, next(draft for draft in loader.drafts if draft.rule.name == name))


def run(one: Trial, *events: Event) -> list[Told]:
    return list(one.run((event, Extra()) for event in events))


def test_matches_and_near_misses(make: Maker, tmp_path: Path) -> None:
    one = trial(load(tmp_path, rule(detection=MANY)), "query")
    events = [
        make.dicom("c-find", contexts=5),
        make.dicom("c-find", contexts=2),
        make.dicom("c-move", contexts=9),
        make.dicom("c-move", contexts=1),
        make.flow(),
    ]
    told = run(one, *events)
    assert [(line.kind, line.why) for line in told] == [
        ("alert", ("event.action = c-find", "dicom.contexts = 5")),
        ("near", ("wanted dicom.contexts > 3, but dicom.contexts is 2",)),
        ("near", ("wanted event.action = c-find, but event.action is c-move",)),
    ]
    assert one.seen == 4
    assert one.failed == {"dicom.contexts > 3": 1, "event.action = c-find": 1}
    assert one.peak_words() == ""


def test_how_far_a_count_came(make: Maker, tmp_path: Path) -> None:
    one = trial(load(tmp_path, rule(id=None, level=None), counting()), "burst")
    told = run(one, *[make.dicom("c-find", at, host) for at, host in ((0, "a"), (1, "b"), (2, "b"))])
    assert [line.kind for line in told] == ["counted"] * 3
    assert one.peak_words() == "the most was 2 events within 60 s (rule: more than 2), of host.id b"
    assert [line.kind for line in run(one, make.dicom("c-find", 3, "b"))] == ["counted", "alert"]


def test_one_clause_has_no_near_misses(make: Maker, tmp_path: Path) -> None:
    assert not run(trial(load(tmp_path, rule()), "query"), make.dicom("c-move"))


def test_in_whatever_stage(make: Maker, tmp_path: Path) -> None:
    loader = load(tmp_path, rule(custom={"stage": "test", "expires": "2020-01-01"}))
    assert [line.kind for line in run(trial(loader, "query"), make.dicom("c-find"))] == ["alert"]
    [alone] = by_themselves(loader, loader.drafts).rules
    assert (alone.stage, alone.expires) == ("on", None)


def test_by_themselves_what_is_counted_is_silent(make: Maker, tmp_path: Path) -> None:
    loader = load(tmp_path, rule(), rule("other"), counting(generate=True))
    rules = by_themselves(loader, [draft for draft in loader.drafts if draft.rule.name == "burst"])
    assert [hit.rule.name for at in range(4) for hit in rules.match(make.dicom("c-find", at))] == ["burst"]
