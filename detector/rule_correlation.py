"""A correlation document, read against the rules it counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sigma.correlations import (
    SigmaCorrelationCondition,
    SigmaCorrelationConditionOperator,
    SigmaCorrelationRule,
    SigmaCorrelationTimespan,
    SigmaCorrelationType,
)
from sigma.exceptions import SigmaError

from detector.correlation import COMPARE, KINDS, MAX_LIMIT, MAX_TIMESPAN, Correlation, Reading, reader
from detector.rule import RefusedError, Rule
from detector.rule_field import Field, Kind, field_named, fields, nearest
from nigrani.stream.events import DATASETS

KEYS = frozenset({"type", "rules", "group-by", "timespan", "condition", "generate"})


def correlation_refusals(correlation: dict[str, Any]) -> Iterator[RefusedError]:
    """Everything wrong with a correlation that shows without the rules it counts."""
    for key in sorted(correlation.keys() - KEYS):
        remedy = "name the fields alike" if key == "aliases" else nearest(key, KEYS)
        yield RefusedError(f"`{key}` is not supported in a correlation", remedy, "correlation", key)
    for key in ("type", "rules", "timespan", "condition"):
        if key not in correlation:
            yield RefusedError(f"the correlation has no {key}", f"add `{key}:`", "correlation")
    if "type" in correlation:
        yield from _type_refusals(correlation["type"])
    if "rules" in correlation and not _texts(correlation["rules"]):
        yield RefusedError("`rules` names no rule", "name the rules to count by `name:` or id", "correlation", "rules")
    if "group-by" in correlation and not _texts(correlation["group-by"]):
        yield RefusedError("`group-by` names no field", "write a list of fields", "correlation", "group-by")
    if "generate" in correlation and not isinstance(correlation["generate"], bool):
        yield RefusedError("`generate` is not true or false", "write true or false", "correlation", "generate")
    if "timespan" in correlation:
        yield from _timespan_refusals(correlation["timespan"])
    if "condition" in correlation:
        yield from _condition_refusals(correlation["condition"], str(correlation.get("type")))


def counted_rules(data: dict[str, Any]) -> set[str]:
    """Names of the rules that a document counts and so keeps from alerting, be the document sound or not."""
    correlation = data.get("correlation")
    if not isinstance(correlation, dict) or correlation.get("generate") is True:
        return set()
    return set(_texts(correlation.get("rules")))


def never_silent(parsed: SigmaCorrelationRule) -> Iterator[tuple[str, str]]:
    """Yield a warning (message, remedy) where the rule seems to wait for silence."""
    if isinstance(parsed.condition, SigmaCorrelationCondition) and parsed.condition.op.name in {"LT", "LTE"}:
        yield (
            "a count is compared when an event comes, so silence is never seen",
            "alert on a missing series of the metrics in place of a rule",
        )


def read_correlation(parsed: SigmaCorrelationRule, rule: Rule, datasets: Sequence[str]) -> Correlation:
    """Return the correlation over events of those datasets. Raises RefusedError."""
    condition = parsed.condition
    assert isinstance(condition, SigmaCorrelationCondition)  # noqa: S101 correlation_refusals saw to it; tells mypy
    group_by = tuple(parsed.group_by or ())
    values = _texts(condition.fieldref or [])
    readings = {}
    for dataset in datasets:
        known = fields(dataset)
        groups = [_single(name, known, "group-by", number) for number, name in enumerate(group_by)]
        counted = [_single(name, known, "condition", "field") for name in values]
        readings[DATASETS[dataset]] = Reading(
            reader(tuple(field.attribute for field in groups)), reader(tuple(field.attribute for field in counted))
        )
    limit = (condition.op.name.lower(), int(condition.count))
    return Correlation(rule, parsed.type.name.lower(), group_by, parsed.timespan.seconds, limit, readings)


def _single(name: str, known: dict[str, Field], *keys: str | int) -> Field:
    """Find a field of the event with one value. Raises RefusedError."""
    try:
        field = field_named(name, known)
    except RefusedError as error:
        raise RefusedError(error.message, error.remedy, "correlation", *keys) from error
    if field.owner != "event" or field.many or field.kind is Kind.OTHER:
        raise RefusedError(f"`{name}` is no single value of the event", "use another field", "correlation", *keys)
    return field


def _type_refusals(kind: object) -> Iterator[RefusedError]:
    supported = ", ".join(KINDS)
    if isinstance(kind, str) and kind in KINDS:
        return
    message = f"unknown correlation type `{kind}`"
    if str(kind).upper() in SigmaCorrelationType.__members__:
        message = f"correlation type `{kind}` is not supported yet"
    yield RefusedError(message, f"use one of: {supported}", "correlation", "type")


def _timespan_refusals(timespan: object) -> Iterator[RefusedError]:
    try:
        seconds = SigmaCorrelationTimespan(str(timespan)).seconds
    except SigmaError:
        seconds = 0
    if not 0 < seconds <= MAX_TIMESPAN:
        yield RefusedError(
            f"`{timespan}` is no timespan up to {MAX_TIMESPAN // 86_400} days",
            "write 90s, 5m or 12h",
            "correlation",
            "timespan",
        )


def _condition_refusals(condition: object, kind: str) -> Iterator[RefusedError]:
    keys = ("correlation", "condition")
    if not isinstance(condition, dict):
        yield RefusedError("the correlation's condition is not a map", "write `gt: 30` below it", *keys)
        return
    operators = SigmaCorrelationConditionOperator.operators() & condition.keys()
    for key in sorted(condition.keys() - operators - {"field"}):
        yield RefusedError(f"unknown key `{key}` in the condition", nearest(key, [*COMPARE, "field"]), *keys, key)
    if len(operators) != 1 or not operators <= COMPARE.keys():
        yield RefusedError("the condition does not compare once", "use one of: " + ", ".join(COMPARE), *keys)
    for key in operators:
        if type(condition[key]) is not int or not 0 <= condition[key] <= (MAX_LIMIT if kind == "value_count" else 1 << 40):
            yield RefusedError(f"`{condition[key]}` is no count that can be compared", "write a whole number", *keys, key)
    if kind == "value_count" and not _texts(condition.get("field")):
        yield RefusedError("value_count has no field", "add `field:` with the field whose values count", *keys)
    if kind == "event_count" and "field" in condition:
        yield RefusedError("event_count has no field", "use value_count, or remove `field:`", *keys, "field")


def _texts(value: object) -> tuple[str, ...]:
    """Return a text or list of texts as a tuple; empty where it is neither."""
    values: list[Any] = value if isinstance(value, list) else [value]
    return tuple(values) if all(isinstance(item, str) and item for item in values) else ()
