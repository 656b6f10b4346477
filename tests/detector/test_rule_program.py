"""The generated function agrees with a plain interpreter, and holds nothing that a rule's author wrote."""

import builtins
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sigma.rule import SigmaDetections

from detector.condition import Conditions
from detector.rule import Extra
from detector.rule_detection import parse_condition
from detector.rule_field import fields
from detector.rule_program import Program
from detector.rule_tree import Constants
from nigrani.stream.events.dicom import DicomAssociation

ACTIONS = ["c-find", "c-move", "associate"]


def association(**values: object) -> DicomAssociation:
    fixed = {"timestamp": datetime(2026, 1, 1, tzinfo=UTC), "id": "e", "sequence": 0, "agent": "a", "host": "h"}
    return DicomAssociation(**{"source": "s", "destination": "d", "action": "c-find", **fixed, **values})  # type: ignore[arg-type]


def program(*detections: dict[str, object]) -> Program:
    constants = Constants()
    conditions = Conditions(fields("dicom.association"), constants)
    return Program([parse_condition(conditions, SigmaDetections.from_dict(one)) for one in detections], constants)


SELECTIONS = {
    "a": ({"event.action": "C-FIND"}, lambda e, x: e.action == "c-find"),
    "b": ({"event.action|startswith": "c-"}, lambda e, x: e.action.startswith("c-")),
    "c": ({"dicom.contexts|gt": 3}, lambda e, x: e.contexts > 3),
    "d": ({"dicom.reject.reason|lt": 3}, lambda e, x: e.reject_reason is not None and e.reject_reason < 3),
    "e": ({"dicom.abstract_syntaxes": ["1.1", "1.2"]}, lambda e, x: bool({"1.1", "1.2"} & set(e.abstract_syntaxes))),
    "f": ({"nigrani.new": "peer"}, lambda e, x: "peer" in x.new),
    "g": ({"p_value|lte": 0.5}, lambda e, x: x.p_value is not None and x.p_value <= 0.5),
    "h": ({"dicom.calling_ae|re": "^CT[0-9]$"}, lambda e, x: e.calling_ae in {"CT1", "CT2"}),
    "i": ({"dicom.calling_ae": None, "dicom.contexts": [0, 5]}, lambda e, x: not e.calling_ae and e.contexts in {0, 5}),
}

LEAVES = st.sampled_from([*SELECTIONS, "1 of them", "all of them"])
CONDITIONS = st.recursive(
    LEAVES,
    lambda part: st.one_of(
        st.tuples(st.just("not"), part),
        st.tuples(st.sampled_from(["and", "or"]), part, part),
    ),
    max_leaves=8,
)
EVENTS = st.builds(
    association,
    action=st.sampled_from(ACTIONS),
    contexts=st.integers(0, 6),
    reject_reason=st.sampled_from([None, 1, 7]),
    abstract_syntaxes=st.lists(st.sampled_from(["1.1", "1.2", "1.3"]), max_size=2),
    calling_ae=st.sampled_from(["", "CT1", "CT2", "MR1"]),
)
EXTRAS = st.builds(Extra, st.lists(st.sampled_from(["peer", "device"])).map(tuple), st.sampled_from([None, 0.1, 0.9]))


def written(condition: object) -> str:
    match condition:
        case str():
            return condition
        case ("not", part):
            return f"not ({written(part)})"
        case (word, left, right):
            return f"({written(left)}) {word} ({written(right)})"
    raise AssertionError


def interpreted(condition: object, event: DicomAssociation, extra: Extra) -> bool:
    match condition:
        case "1 of them":
            return any(holds(event, extra) for _, holds in SELECTIONS.values())
        case "all of them":
            return all(holds(event, extra) for _, holds in SELECTIONS.values())
        case str():
            return bool(SELECTIONS[condition][1](event, extra))
        case ("not", part):
            return not interpreted(part, event, extra)
        case ("and", left, right):
            return interpreted(left, event, extra) and interpreted(right, event, extra)
        case ("or", left, right):
            return interpreted(left, event, extra) or interpreted(right, event, extra)
    raise AssertionError


@settings(max_examples=300, deadline=None)
@given(conditions=st.lists(CONDITIONS, min_size=1, max_size=4), event=EVENTS, extra=EXTRAS)
def test_random_conditions_agree_with_an_interpreter(
    conditions: list[object], event: DicomAssociation, extra: Extra
) -> None:
    selections = {name: selection for name, (selection, _) in SELECTIONS.items()}
    compiled = program(*({**selections, "condition": written(condition)} for condition in conditions))
    expected = tuple(n for n, condition in enumerate(conditions) if interpreted(condition, event, extra))
    assert compiled.match(event, extra) == expected
    for index in expected:
        compiled.because(index, event, extra)


def test_because_tells_what_positive_tests_matched() -> None:
    compiled = program(
        {
            "find": {"event.action": ["c-find", "c-move"], "nigrani.new": "peer"},
            "other": {"dicom.contexts": 99},
            "known": {"dicom.calling_ae": "CT1"},
            "condition": "(find or other) and not known",
        }
    )
    event, extra = association(calling_ae="MR1"), Extra(new=("peer", "device"))
    assert compiled.match(event, extra) == (0,)
    assert compiled.because(0, event, extra) == (("event.action", "c-find"), ("nigrani.new", ("peer", "device")))


def test_what_several_rules_ask_is_asked_once() -> None:
    detections = [{"sel": {"event.action": "c-find", "dicom.calling_ae": name}, "condition": "sel"} for name in ("x", "y")]
    compiled = program(*detections)
    function = compiled.source.partition("checks")[0]
    assert function.count("event.action.lower()") == 1
    assert function.count("event.calling_ae.lower()") == 1
    assert compiled.match(association(calling_ae="Y"), Extra()) == (1,)


def test_costly_tests_come_last() -> None:
    compiled = program({"sel": {"dicom.called_ae|re": "a.*b", "dicom.contexts": 3}, "condition": "sel"})
    function = compiled.source.partition("checks")[0]
    assert function.index("event.contexts") < function.index("event.called_ae")


EVIL = [
    "'); __import__('os').system('x') #",
    '"""',
    "{}",
    "{0.__class__}",
    "\\'",
    "\n    return (0,)",
    "k0",
    "event",
    "ü\u2028\0",
]


@pytest.mark.parametrize("value", EVIL)
@pytest.mark.parametrize("modifier", ["", "|contains", "|startswith", "|endswith", "|cased", "|contains|cased"])
def test_no_value_reaches_the_source(value: str, modifier: str) -> None:
    compiled = program({"sel": {f"dicom.calling_ae{modifier}": [value, "x" + value]}, "condition": "sel"})
    for name in ("k0", "event", "{}"):  # what the source says by itself
        value = value.replace(name, "")
    assert not value.strip() or value.strip().lower() not in compiled.source.lower()
    assert compiled.match(association(calling_ae="harmless"), Extra()) == ()


@settings(deadline=None)
@given(value=st.text(st.characters(exclude_categories=["Cs"]), max_size=20), name=st.text(max_size=10))
def test_any_value_compiles_and_matches_itself(value: str, name: str) -> None:
    literal = value.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?")
    compiled = program({"sel": {"dicom.calling_ae|cased": literal}, "condition": "sel"})
    assert compiled.match(association(calling_ae=value), Extra()) == (0,)


def test_the_function_has_no_builtins_to_call() -> None:
    compiled = program({"sel": {"event.action": "x"}, "condition": "sel"})
    assert compiled.match.__globals__["__builtins__"] == {}
    assert not set(compiled.match.__globals__) & {"eval", "exec", "open", "__import__"}
    assert compiled.match.__builtins__ is not vars(builtins)


def test_clauses_tell_which_failed_and_what_there_was() -> None:
    one = program(
        {
            "a": {"event.action": "c-find", "dicom.contexts|gt": 3},
            "b": {"dicom.calling_ae": "CT1"},
            "condition": "a and not b",
        }
    )
    clauses = one.clauses(0, association(contexts=2, calling_ae="CT1"), Extra())
    assert [(clause.says, clause.held) for clause in clauses] == [
        ("event.action = c-find", True),
        ("dicom.contexts > 3", False),
        ("not (dicom.calling_ae = ct1)", False),
    ]
    assert clauses[1].missed() == "wanted dicom.contexts > 3, but dicom.contexts is 2"
    assert one.clauses(0, association(), Extra())[2].held
