"""Joined rules on events: who is told of, and what is counted by whom."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from detector.matcher import NO_HITS, Matcher
from detector.rule import Extra, Scored
from nigrani.stream.events import DicomAssociation, NetworkFlow
from tests.detector.rule_files import counting, load, rule

if TYPE_CHECKING:
    from tests.detector.conftest import Maker


def matcher(folder: Path, *documents: dict[str, object]) -> Matcher:
    loader = load(folder, *documents)
    assert not loader.faults
    return Matcher(loader.join, loader.constants)


def test_nothing_is_one_shared_tuple(make: Maker, tmp_path: Path) -> None:
    one = matcher(tmp_path, rule())
    assert one.match(make.flow()) is NO_HITS
    assert one.match(make.dicom("release")) is NO_HITS
    assert one.program(NetworkFlow) is None


def test_a_rule_and_what_counts_it_tell_in_this_order(make: Maker, tmp_path: Path) -> None:
    one = matcher(tmp_path, rule(), counting(generate=True))
    told = [[hit.rule.name for hit in one.match(make.dicom("c-find", at))] for at in range(3)]
    assert told == [["query"], ["query"], ["query", "burst"]]


def test_twins_count_apart(make: Maker, tmp_path: Path) -> None:
    first = matcher(tmp_path, rule(id=None, level=None), counting())
    second = first.empty()
    events = [make.dicom("c-find", at) for at in range(2)]
    for event in events:
        first.match(event)
    assert (len(first.correlations[0]), len(second.correlations[0])) == (1, 0)
    assert first.match(make.dicom("c-find", 2))
    assert not second.match(make.dicom("c-find", 2))


def test_a_p_value_is_asked_last_and_once(make: Maker, tmp_path: Path) -> None:
    asked = []

    def score() -> float:
        asked.append(1)
        return 0.001

    flows = {"service": "flow"}
    rare = {"selection": {"p_value|lte": 0.01, "nigrani.flow.state": "REJ"}, "condition": "selection"}
    very = {"selection": {"p_value|lte": 0.002, "nigrani.flow.state": "REJ"}, "condition": "selection"}
    one = matcher(tmp_path, rule(logsource=flows, detection=rare), rule("very", logsource=flows, detection=very))
    assert one.scored == {NetworkFlow}
    assert not one.match(make.flow(state="SF"), Scored((), score))
    assert not asked
    [hit, _] = one.match(make.flow(state="REJ"), Scored((), score))
    assert len(asked) == 1
    assert ("p_value", 0.001) in hit.because
    assert not one.match(make.flow(state="REJ"), Extra()), "nothing is rare where nothing was scored"


def test_only_what_asks_is_scored(tmp_path: Path) -> None:
    assert matcher(tmp_path, rule()).scored == frozenset()
    asking = rule(detection={"selection": {"p_value|lt": 0.1}, "condition": "selection"})
    assert matcher(tmp_path, asking).scored == {DicomAssociation}
