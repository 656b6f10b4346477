"""Faults of detections: each with its line, all at once."""

import re
from pathlib import Path
from typing import Any, cast

import pytest
from sigma.exceptions import SigmaDateError, SigmaError
from sigma.rule import SigmaDetections

from detector.condition import Conditions
from detector.rule import RefusedError
from detector.rule_detection import detection_refusals, parse_condition, pysigma_fault, unused_selections, words
from detector.rule_field import fields
from detector.rule_file import documents
from detector.rule_tree import Constants


def reads() -> Conditions:
    return Conditions(fields("dicom.association"), Constants())


def faults(text: str) -> list[str]:
    found, wrong = documents(Path("x.yml"), f"detection:\n{text}".encode())
    assert not wrong
    document = found[0]
    detection = cast("dict[str, Any]", document.data["detection"])
    refused = detection_refusals(reads(), detection)
    told = [document.fault(error.message, error.remedy, *error.keys) for error in refused]
    return [f"{fault.line}: {fault.message}; {fault.remedy}" for fault in told]


SEL = "  sel:\n    event.action: x\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SEL, "1: the detection has no condition"),
        (f"{SEL}  condition: 5", "4: the condition is not text"),
        (f"{SEL}  condition: []", "4: the condition is not text"),
        (f"{SEL}  condition: {'(' * 30}sel{')' * 30}", "4: the condition is longer than"),
        (f"{SEL}  condition: {'not ' * 30}sel", "4: the condition is longer than"),
        (f"{SEL}  condition: {'sel or ' * 400}sel", "4: the condition is longer than"),
        (f"{SEL}  condition: sel and not flter", "4: there is no selection `flter`; use one of: sel"),
        (f"{SEL}  condition: 1 of sell*", "4: there is no selection `sell*`; did you mean `sel`?"),
        ("  sel: word\n  condition: sel", "2: a search without a field is not supported; name the field"),
        ("  sel: [a, b]\n  condition: sel", "2: a search without a field"),
        ("  sel:\n    '|contains': a\n  condition: sel", "3: a search without a field"),
        ("  sel: {}\n  condition: sel", "2: the selection is empty"),
        ("  sel:\n    - []\n  condition: sel", "3: the selection is empty"),
        ("  sel:\n    event.action: []\n  condition: sel", "3: the list of values is empty"),
        ("  sel:\n    event.action: {a: b}\n  condition: sel", "3: a value is a list or a map"),
        ("  sel:\n    event.action: [[a]]\n  condition: sel", "3: a value is a list or a map"),
        (
            "  sel:\n    event.acton: a\n  condition: sel",
            "3: unknown field `event.acton`; did you mean `event.action`?",
        ),
        (
            "  sel:\n    event.action|contain: a\n  condition: sel",
            "3: unknown modifier `contain`; did you mean `contains`?",
        ),
        ("  sel:\n    event.action|: a\n  condition: sel", "3: unknown modifier ``"),
        ("  sel:\n    event.action|re: 5\n  condition: sel", "3: a pattern is not text"),
        ("  sel:\n    event.action|re: '['\n  condition: sel", "3: RE2 refuses the pattern '['"),
        ("  sel:\n    event.action|re: (a+)+(?=b)\n  condition: sel", "3: RE2 refuses"),
        ("  sel:\n    event.action|contains|re: a\n  condition: sel", "3: Regular expression modifier only"),
        ("  sel:\n    event.action|cidr: 10.0.0.1/8\n  condition: sel", "3: Invalid CIDR"),
        (
            "  sel:\n    event.action|exists: maybe\n  condition: sel",
            "3: the modifier `exists` does not fit `maybe`; write true or false",
        ),
        (
            "  sel:\n    dicom.contexts|gt: many\n  condition: sel",
            "3: the modifier `gt` does not fit `many`; write a number",
        ),
        (
            "  sel:\n    event.action|gt|contains: 3\n  condition: sel",
            "3: the modifier `contains` does not fit the one before it",
        ),
        ("  sel:\n    dicom.contexts|contains: 3\n  condition: sel", "3: the modifier `contains` does not fit `3`; put the"),
        ("  sel:\n    dicom.contexts: many\n  condition: sel", "3: `dicom.contexts` is a number and `many` is not; write"),
        ("  sel:\n    event.action|base64: a*b\n  condition: sel", "3: Base64 encoding of strings with wildcards"),
        ("  sel:\n    event.action|windash: ' -a -b -c -d'\n  condition: sel", "3: windash modifier expands"),
        ("  sel:\n    dicom.status: 0000\n  condition: sel", "3: `dicom.status` is text and `0` is not; put the value"),
        ("  sel:\n    event.action: 2026-01-01\n  condition: sel", "3: Unsupported type"),
        ("  sel:\n    dicom.contexts: .nan\n  condition: sel", "3: Invalid number"),
        ("  sel:\n    event.action:\n      - a\n      - 5\n  condition: sel", "5: `event.action` is text and `5`"),
        ("  sel:\n    - event.action: a\n    - event.actoin: b\n  condition: sel", "4: unknown field `event.actoin`"),
    ],
)
def test_bad_detections(text: str, said: str) -> None:
    found = faults(text)
    assert len(found) == 1
    assert found[0].startswith(said)


def test_all_faults_are_told_at_once() -> None:
    found = faults("  a:\n    x: 1\n    dicom.contexts: a\n  b: word\n  c:\n    event.action|re: '('\n")
    assert [line[0] for line in found] == ["1", "3", "4", "5", "7"]
    found = faults("  a:\n    x: 1\n  condition: a and b and 1 of c_*\n")
    assert [line[0] for line in found] == ["4", "4", "3"]


@pytest.mark.parametrize("condition", ["1 of them", "all of s*", "not (sel or any of sel)", "sel", "5 of them"])
def test_names_that_a_condition_may_use(condition: str) -> None:
    assert faults(f"{SEL}  condition: {condition}") == []


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("sel and nothing", "'nothing' not defined"),
        ("1 of gone_*", "doesn't match any detection"),
        ("sel and", "cannot be understood from character 8 on"),
        ("sel | count() > 5", "pipe syntax"),
        ("(sel", "character 5 on"),
        ("sel sel", "character 5 on"),
    ],
)
def test_bad_conditions(condition: str, message: str) -> None:
    detections = SigmaDetections.from_dict({"sel": {"event.action": "a"}, "condition": condition})
    with pytest.raises(RefusedError) as caught:
        parse_condition(reads(), detections)
    assert caught.value.keys == ("detection", "condition")
    assert re.search(message, caught.value.message)


def test_unused_selections() -> None:
    parts = {name: {"event.action": "x"} for name in ("used", "group_1", "group_2", "forgotten")}
    detections = SigmaDetections.from_dict({**parts, "condition": "not used and (1 of group_* or used)"})
    assert unused_selections(detections) == ["forgotten"]


def test_a_complaint_is_placed_at_its_key() -> None:
    document = documents(Path("x.yml"), b"title: x\ndate: 1\ndetection: {}\n")[0][0]
    assert pysigma_fault(document, SigmaDateError("bad")).line == 2
    assert pysigma_fault(document, SigmaError("bad")).line == 3


def test_words_are_one_line() -> None:
    assert words(ValueError("a\n  b")) == "a b"
    assert words(RecursionError()) == "the rule nests too deep"
    assert words(KeyError()) == "KeyError"
