"""Faults of correlation documents, each at its line."""

from pathlib import Path
from typing import Any, cast

import pytest
from sigma.correlations import SigmaCorrelationRule

from detector.rule import RefusedError, Rule
from detector.rule_correlation import Base, correlation_refusals, counted_rules, never_silent, read_correlation, references
from detector.rule_file import documents

GOOD: dict[str, object] = {
    "type": "event_count",
    "rules": ["base"],
    "group-by": ["host.id"],
    "timespan": "1m",
    "condition": {"gt": 3},
}
RULE = Rule(id="r", title="t", path=Path("x.yml"))


def faults(text: str) -> list[str]:
    document = documents(Path("x.yml"), f"correlation:\n{text}".encode())[0][0]
    refused = correlation_refusals(cast("dict[str, Any]", document.data["correlation"]))
    told = [document.fault(error.message, error.remedy, *error.keys) for error in refused]
    return [f"{fault.line}: {fault.message}; {fault.remedy}" for fault in told]


def parsed(**changes: object) -> SigmaCorrelationRule:
    return SigmaCorrelationRule.from_dict({"title": "t", "correlation": {**GOOD, **changes}})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("type: temporal", "6: a temporal correlation compares no count"),
        ("type: counting", "2: unknown correlation type `counting`; use one of: event_count, value_count, temporal"),
        ("type: [event_count]", "2: unknown correlation type"),
        ("rules: []", "3: `rules` names no rule"),
        ("rules: {a: b}", "3: `rules` names no rule"),
        ("group-by: [1]", "4: `group-by` names no field"),
        ("timespan: 1 minute", "5: `1 minute` is no timespan"),
        ("timespan: 60", "5: `60` is no timespan"),
        ("timespan: 0s", "5: `0s` is no timespan"),
        ("timespan: 2M", "5: `2M` is no timespan up to 7 days"),
        ("condition: gt 3", "6: the correlation's condition is not a map"),
        ("condition: {}", "6: the condition does not compare once"),
        ("condition: {gt: 1, lt: 3}", "6: the condition does not compare once"),
        ("condition: base and not other", "6: the correlation's condition is not a map"),
        ("condition: {gt: three}", "6: `three` is no count"),
        ("condition: {gt: 3.5}", "6: `3.5` is no count"),
        ("condition: {gt: true}", "6: `True` is no count"),
        ("condition: {gt: -1}", "6: `-1` is no count"),
        ("condition: {gt: 3, fild: x}", "6: unknown key `fild` in the condition; did you mean `field`?"),
        ("condition: {gt: 3, field: x}", "6: event_count has no field"),
        ("generate: 'yes'", "7: `generate` is not true or false"),
        ("aliases: [a]", "7: `aliases` does not say which field each rule has"),
        ("aliases: {device: host.id}", "7: `aliases` does not say which field each rule has"),
        ("timspan: 1m", "7: `timspan` is not supported in a correlation; did you mean `timespan`?"),
    ],
)
def test_bad_correlations(change: str, said: str) -> None:
    lines = {
        "type": "type: event_count",
        "rules": "rules: base",
        "group-by": "group-by: host.id",
        "timespan": "timespan: 1m",
        "condition": "condition: {gt: 3}",
    }
    lines[change.partition(":")[0]] = change
    found = faults("".join(f"  {line}\n" for line in lines.values()))
    assert len(found) == 1
    assert found[0].startswith(said)


def test_value_count_needs_a_field_and_a_limit_within_its_bound() -> None:
    text = "  type: value_count\n  rules: base\n  timespan: 1m\n  condition: {gt: 10001}\n"
    assert [line[:40] for line in faults(text)] == [
        "5: `10001` is no count that can be compa",
        "5: value_count has no field; add `field:",
    ]


def test_everything_missing_is_told() -> None:
    assert len(faults("  generate: true\n")) == 4


def test_what_a_correlation_counts_does_not_alert() -> None:
    assert counted_rules({"correlation": GOOD}) == {"base"}
    assert counted_rules({"correlation": {**GOOD, "generate": True}}) == set()
    assert counted_rules({"correlation": {"rules": "one"}}) == {"one"}
    assert counted_rules({"correlation": "broken"}) == set()
    assert counted_rules({}) == set()


def test_waiting_for_silence_is_a_warning() -> None:
    assert not list(never_silent(parsed()))
    assert "silence" in next(never_silent(parsed(condition={"lt": 3})))[0]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["type: value_sum", "condition: {gt: 1.5}"], ["value_sum has no field"]),
        (["type: value_avg", "condition: {gt: many, field: a}"], ["`many` is no number that can be compared"]),
        (["type: value_avg", "condition: {gt: .inf, field: a}"], ["`inf` is no number that can be compared"]),
        (["type: value_median", "condition: {gt: 1, field: [a, b]}"], ["value_median is of one field"]),
        (["type: value_percentile", "condition: {gt: 1, field: a}"], ["value_percentile has no percentile"]),
        (["type: value_percentile", "condition: {gt: 1, field: a, percentile: 0}"], ["value_percentile has no percentile"]),
        (["type: value_sum", "condition: {gt: 1, field: a, percentile: 5}"], ["unknown key `percentile`"]),
        (["type: value_percentile", "condition: {gt: -1.5, field: a, percentile: 99}"], []),
        (["type: temporal"], []),
        (["type: temporal", "condition: base and not other"], []),
        (
            ["type: temporal", f"condition: {'(' * 30}base{')' * 30}"],
            ["the condition is longer than 2000 characters or has"],
        ),
    ],
)
def test_the_other_types(lines: list[str], said: list[str]) -> None:
    text = "".join(f"  {line}\n" for line in ["rules: [base]", "timespan: 1m", *lines])
    found = faults(text)
    assert len(found) == len(said)
    assert all(part in line for line, part in zip(found, said, strict=True))


def base(*datasets: str, name: str = "base") -> Base:
    return Base(name, f"Title of {name}", datasets, "")


def test_fields_of_all_datasets() -> None:
    read_correlation(parsed(), RULE, [base("network.flow", "dicom.association")])


def test_names_of_an_expression_are_counted_rules() -> None:
    assert counted_rules({"correlation": {"type": "temporal", "condition": "a and not (b or c)"}}) == {"a", "b", "c"}


def test_references_are_those_of_the_list_or_of_the_expression() -> None:
    temporal = {"type": "temporal", "timespan": "1m", "condition": "b and a"}
    named = SigmaCorrelationRule.from_dict({"title": "t", "correlation": temporal})
    assert references(named) == ["b", "a"]
    assert references(parsed(rules=["x", "y", "x"])) == ["x", "y"]


def test_an_alias_is_each_rules_own_field() -> None:
    aliases = {"who": {"asked": "source.address", "base": "host.id"}}
    rule = parsed(rules=["base", "asked"], **{"group-by": ["who"], "aliases": aliases})
    read_correlation(rule, RULE, [base("dicom.audit"), base("network.flow", name="asked")])
    with pytest.raises(RefusedError, match="unknown field `who`"):
        read_correlation(rule, RULE, [base("dicom.audit"), base("network.flow", name="other")])


def test_a_sum_is_of_numbers() -> None:
    condition = {"gt": 1, "field": "network.protocol"}
    with pytest.raises(RefusedError, match="is no number"):
        read_correlation(parsed(type="value_sum", condition=condition), RULE, [base("network.flow")])


@pytest.mark.parametrize(
    ("changes", "message", "keys"),
    [
        ({"group-by": ["host.id", "hst.id"]}, "unknown field `hst.id`", ("correlation", "group-by", 1)),
        ({"group-by": ["dicom.called_ae"]}, "unknown field", ("correlation", "group-by", 0)),
        ({"group-by": ["nigrani.source.size"]}, "no single value", ("correlation", "group-by", 0)),
        ({"group-by": ["nigrani.new"]}, "no single value", ("correlation", "group-by", 0)),
        ({"group-by": ["@timestamp"]}, "no single value", ("correlation", "group-by", 0)),
        (
            {"type": "value_count", "condition": {"gt": 1, "field": "x"}},
            "unknown field `x`",
            ("correlation", "condition", "field"),
        ),
    ],
)
def test_fields_that_do_not_group(changes: dict[str, object], message: str, keys: tuple[object, ...]) -> None:
    with pytest.raises(RefusedError) as caught:
        read_correlation(parsed(**changes), RULE, [base("network.flow")])
    assert message in caught.value.message
    assert caught.value.keys == keys
