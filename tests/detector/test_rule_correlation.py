"""Faults of correlation documents, each at its line."""

from pathlib import Path
from typing import Any, cast

import pytest
from sigma.correlations import SigmaCorrelationRule

from detector.rule import RefusedError, Rule
from detector.rule_correlation import correlation_refusals, counted_rules, never_silent, read_correlation
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
        ("type: temporal", "2: correlation type `temporal` is not supported yet; use one of: event_count, value_count"),
        ("type: value_percentile", "2: correlation type `value_percentile` is not supported yet"),
        ("type: counting", "2: unknown correlation type `counting`"),
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
        ("condition: {neq: 3}", "6: the condition does not compare once"),
        ("condition: {gt: three}", "6: `three` is no count"),
        ("condition: {gt: 3.5}", "6: `3.5` is no count"),
        ("condition: {gt: true}", "6: `True` is no count"),
        ("condition: {gt: -1}", "6: `-1` is no count"),
        ("condition: {gt: 3, fild: x}", "6: unknown key `fild` in the condition; did you mean `field`?"),
        ("condition: {gt: 3, field: x}", "6: event_count has no field"),
        ("generate: 'yes'", "7: `generate` is not true or false"),
        ("aliases: {}", "7: `aliases` is not supported in a correlation; name the fields alike"),
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


def test_fields_of_all_datasets() -> None:
    read_correlation(parsed(), RULE, ["network.flow", "dicom.association"])


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
        read_correlation(parsed(**changes), RULE, ["network.flow"])
    assert message in caught.value.message
    assert caught.value.keys == keys
