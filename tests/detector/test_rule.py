"""Faults read like a compiler's, and sort by place."""

from datetime import date
from pathlib import Path

import msgspec

from detector.rule import LEVELS, RISKS, Fault, RefusedError, Rule, RuleFaults, Suppress


def test_a_fault_says_where_what_and_the_remedy() -> None:
    fault = Fault(Path("rules/x.yml"), 7, "unknown field `a`", "did you mean `b`?")
    assert str(fault) == "rules/x.yml:7: unknown field `a`; did you mean `b`?"


def test_faults_sort_by_file_and_line() -> None:
    first, second = Fault(Path("a"), 2, "z", ""), Fault(Path("a"), 10, "a", "")
    assert sorted([second, first]) == [first, second]


def test_rule_faults_tell_all_at_once() -> None:
    error = RuleFaults([Fault(Path("a"), 1, "one", "x"), Fault(Path("b"), 2, "two", "y")])
    assert str(error).splitlines() == ["a:1: one; x", "b:2: two; y"]
    assert len(error.faults) == 2
    assert isinstance(error, ValueError)


def test_a_refusal_carries_its_place() -> None:
    assert RefusedError("m", "r", "detection", 0).keys == ("detection", 0)


def test_every_level_has_a_risk() -> None:
    assert set(RISKS) == set(LEVELS)


def test_what_may_hold_a_rule_back() -> None:
    plain = Rule(id="r", title="t", path=Path("x.yml"))
    assert not plain.held
    for change in ({"stage": "shadow"}, {"expires": date(2026, 1, 1)}, {"suppress": Suppress(("host.id",), 60)}):
        assert msgspec.structs.replace(plain, **change).held
