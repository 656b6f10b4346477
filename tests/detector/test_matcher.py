"""Joined rules on events: who is told of, and what is counted by whom."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from detector.matcher import NO_HITS, Matcher
from detector.rule import Extra
from nigrani.stream.events import NetworkFlow
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


class Counting(Extra, frozen=True):
    """Tells how often it was asked."""

    asked: list[str] = msgspec.field(default_factory=list)

    def __getattribute__(self, name: str) -> object:
        if name in {"p_value", "device_class"}:
            object.__getattribute__(self, "asked").append(name)
        return object.__getattribute__(self, name)


def test_what_is_dear_is_asked_last(make: Maker, tmp_path: Path) -> None:
    """Also where several rules ask it: neither a class nor a p-value is worked out for an event that nothing else fits."""
    flows = {"service": "flow"}
    asks = {"p_value|lte": 0.01, "device.class": "modality", "nigrani.flow.state": "REJ"}
    rare = {"selection": asks, "condition": "selection"}
    very = {"selection": asks | {"p_value|lte": 0.002}, "condition": "selection"}
    one = matcher(tmp_path, rule(logsource=flows, detection=rare), rule("very", logsource=flows, detection=very))
    known = Counting(p_value=0.001, device_class="modality")
    assert not one.match(make.flow(state="SF"), known)
    assert not known.asked
    [hit, _] = one.match(make.flow(state="REJ"), known)
    assert known.asked[:2] == ["device_class", "p_value"]
    assert {("p_value", 0.001), ("device.class", "modality")} < set(hit.because)
    assert not one.match(make.flow(state="REJ"), Extra()), "nothing is rare where nothing was scored"
