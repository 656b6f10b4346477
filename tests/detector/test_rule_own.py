"""Our own types of correlation: faults at their lines, what pySigma is shown, and that such rules run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from sigma.correlations import SigmaCorrelationRule

from detector.rule_correlation import correlation_refusals
from detector.rule_file import documents
from detector.rule_own import STAND_INS, for_pysigma, named_fields, seconds
from detector.ruleset import RuleSet

if TYPE_CHECKING:
    from tests.detector.conftest import Maker

BEAT = {"type": "beat_count", "rules": ["base"], "group-by": ["host.id"], "timespan": "1d", "condition": {"gte": 10}}
OUTLIER = {
    "type": "value_outlier", "rules": ["base"], "group-by": ["nigrani.training.round"], "timespan": "1d",
    "condition": {"gt": 6.5, "field": "nigrani.training.update.norm", "by": "nigrani.training.site", "others": 4},
}  # fmt: skip
WITHOUT = {
    "type": "temporal_without", "rules": ["asked", "came"], "group-by": ["study"], "timespan": "7d", "patience": "10m",
    "aliases": {"study": {"came": ["nigrani.study", "nigrani.study_hash"], "asked": "nigrani.study"}},
}  # fmt: skip


@pytest.mark.parametrize("correlation", [BEAT, OUTLIER, WITHOUT], ids=lambda one: str(one["type"]))
def test_pysigma_reads_what_it_is_shown(correlation: dict[str, Any]) -> None:
    data = {"title": "t", "correlation": correlation}
    assert not list(correlation_refusals(correlation))
    shown = for_pysigma(data)
    assert data["correlation"] is correlation, "the document stays as it is"
    parsed = SigmaCorrelationRule.from_dict(shown, collect_errors=True)
    assert not parsed.errors
    assert parsed.type.name.lower() == STAND_INS[correlation["type"]]


@pytest.mark.parametrize("data", [{"title": "t"}, {"correlation": "x"}, {"correlation": {"type": "temporal"}}])
def test_other_documents_are_shown_as_they_are(data: dict[str, Any]) -> None:
    assert for_pysigma(data) == data


def faults(text: str) -> list[str]:
    document = documents(Path("x.yml"), f"correlation:\n{text}".encode())[0][0]
    refused = correlation_refusals(cast("dict[str, Any]", document.data["correlation"]))
    told = [document.fault(error.message, error.remedy, *error.keys) for error in refused]
    return [f"{fault.line}: {fault.message}; {fault.remedy}" for fault in told]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["type: beat_count", "condition: {gte: 3, field: a}"], ["5: beat_count has no field"]),
        (["type: beat_count", "condition: {gte: 3.5}"], ["5: `3.5` is no count"]),
        (["type: beat_count"], ["1: the correlation has no condition"]),
        (["type: event_count", "condition: {gte: 3}", "patience: 5m"], ["6: only temporal_without has patience"]),
        (["type: value_outlier", "condition: {gt: 3, by: b}"], ["5: value_outlier has no field"]),
        (["type: value_outlier", "condition: {gt: 3, field: a}"], ["5: value_outlier does not say whose values they are"]),
        (["type: value_outlier", "condition: {gt: 3, field: [a, c], by: b}"], ["5: value_outlier is of one field"]),
        (["type: value_outlier", "condition: {gt: 3, field: a, by: b, others: 1}"], ["5: `1` is no number of others"]),
        (["type: value_outlier", "condition: {gt: 3, field: a, bye: b}"], ["5: unknown key `bye`", "5: value_outlier does"]),
        (["type: value_sum", "condition: {gt: 3, field: a, by: b}"], ["5: unknown key `by` in the condition"]),
        (["type: temporal_without"], ["3: temporal_without has fewer than two", "1: temporal_without has no group-by"]),
        (
            ["type: temporal_without", "group-by: [a, b]", "condition: {gt: 1}", "patience: 2d"],
            ["7: `2d` is no time", "3: temporal_without has fewer", "5: temporal_without groups by", "6: temporal_without"],
        ),
        (
            ["type: event_count", "condition: {gt: 1}", "aliases: {a: {base: [x, y]}}"],
            ["6: an alias is several fields of one rule, which only temporal_without takes"],
        ),
    ],
)
def test_faults(lines: list[str], said: list[str]) -> None:
    text = "".join(f"  {line}\n" for line in [lines[0], "rules: [base]", "timespan: 1m", *lines[1:]])
    found = faults(text)
    assert len(found) == len(said), found
    assert all(line.startswith(part) for line, part in zip(found, said, strict=True)), found


def test_named_fields() -> None:
    assert named_fields("a") == ("a",)
    assert named_fields(["a", "b"]) == ("a", "b")
    for none in ([], [""], ["a", 1], list("abcde"), None):
        assert named_fields(none) == ()


def test_seconds() -> None:
    assert (seconds("10m"), seconds("1d"), seconds("x"), seconds(None)) == (600, 86_400, 0, 0)


RULES = """
title: A question
name: asked
logsource: {service: ai_inference}
detection: {any: {nigrani.study|exists: true}, condition: any}
---
title: arrival
name: came
logsource: {service: dicom_audit}
detection: {any: {event.action: store}, condition: any}
---
title: A question about nothing
id: 7bef2be2-edc1-4d82-a5de-ab21dafac155
level: medium
correlation:
  type: temporal_without
  rules: [asked, came]
  group-by: [GROUP]
  timespan: 1h
  aliases: {study: {asked: nigrani.study, came: [nigrani.study, FIELD]}}
custom:
  suppress: {by: [STORY], for: 1h}
"""


def load(
    tmp_path: Path, group: str = "study", field: str = "nigrani.study_hash", story: str = "gen_ai.request.model"
) -> RuleSet:
    text = RULES.replace("GROUP", group).replace("FIELD", field).replace("STORY", story)
    (tmp_path / "rules.yml").write_text(text)
    return RuleSet.load(tmp_path)


def test_an_absence_is_a_rule_of_what_is_judged(tmp_path: Path, make: Maker) -> None:
    """It reads, and is suppressed by, what is judged; what it awaits need not have those fields."""
    rules = load(tmp_path)
    assert [rule.datasets for rule in rules.rules] == [("ai.inference",)]
    assert rules.state() == {}
    assert not rules.match(make.ai(study="s"))
    assert list(rules.state()) == ["7bef2be2-edc1-4d82-a5de-ab21dafac155"]
    twin = load(tmp_path)
    twin.adopt(rules)
    assert twin.state() == rules.state()
    twin = load(tmp_path).empty()
    twin.resume(rules.state())
    assert twin.state() == rules.state()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"group": "studdy"}, "unknown field `studdy`"),
        ({"field": "nigrani.study_hsh"}, "unknown field `nigrani.study_hsh`"),
        ({"story": "dicom.called_ae"}, "unknown field `dicom.called_ae`"),
    ],
)
def test_fields_that_are_not_there(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load(tmp_path, **changes)
