"""A correlation document, read against the rules it counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from sigma.correlations import (
    CorrelationConditionItem,
    CorrelationConditionNOT,
    CorrelationConditionOR,
    SigmaCorrelationCondition,
    SigmaCorrelationConditionOperator,
    SigmaCorrelationRule,
    SigmaExtendedCorrelationCondition,
    SigmaRuleReference,
)

from detector.absence import Absence
from detector.correlation import COMPARE, MAX_LIMIT, MAX_TIMESPAN, WINDOWS, Correlation, Reading, reader
from detector.correlation_kind import NUMERIC, TEMPORAL, Expression, Plan, Row
from detector.rhythm import beat
from detector.rule import RefusedError, Rule
from detector.rule_field import Field, Kind, field_named, fields, nearest
from detector.rule_own import BEAT, OTHERS, OUTLIER, PATIENCE, WITHOUT, named_fields, own_refusals, seconds
from nigrani.stream.event import Event
from nigrani.stream.events import DATASETS

KEYS = frozenset({"type", "rules", "group-by", "timespan", "condition", "generate", "aliases", "patience"})
TYPES = (*WINDOWS, WITHOUT)
MAX_RULES = 32
"""Rules that one correlation counts."""
MAX_EXPRESSION = 2000
MAX_BRACKETS = 24
MAX_NUMBER = 1 << 53


class Base(NamedTuple):
    """One of the rules that a correlation counts."""

    name: str
    """As the correlation has it."""
    title: str
    datasets: tuple[str, ...]
    basis: str
    """A hash of the rule as it is written."""


def correlation_refusals(correlation: dict[str, Any]) -> Iterator[RefusedError]:
    """Everything wrong with a correlation that shows without the rules it counts."""
    kind = correlation.get("type") if isinstance(correlation.get("type"), str) else ""
    for key in sorted(correlation.keys() - KEYS):
        yield RefusedError(f"`{key}` is not supported in a correlation", nearest(key, KEYS), "correlation", key)
    extended = kind in TEMPORAL and isinstance(correlation.get("condition"), str)
    compares = kind not in TEMPORAL and kind != WITHOUT
    needed = ["type", "timespan", *(() if extended else ("rules",)), *(("condition",) if compares else ())]
    for key in needed:
        if key not in correlation:
            yield RefusedError(f"the correlation has no {key}", f"add `{key}:`", "correlation")
    yield from _shape_refusals(correlation)
    if "timespan" in correlation:
        yield from _timespan_refusals(correlation["timespan"])
    if "condition" in correlation and kind in TEMPORAL:
        yield from _expression_refusals(correlation["condition"])
    elif "condition" in correlation and compares:
        yield from _condition_refusals(correlation["condition"], str(kind))
    yield from _alias_refusals(correlation.get("aliases", {}))
    yield from own_refusals(correlation)


def _shape_refusals(correlation: dict[str, Any]) -> Iterator[RefusedError]:
    if "type" in correlation and correlation["type"] not in list(TYPES):
        message = f"unknown correlation type `{correlation['type']}`"
        yield RefusedError(message, "use one of: " + ", ".join(TYPES), "correlation", "type")
    if "rules" in correlation and not 0 < len(_texts(correlation["rules"])) <= MAX_RULES:
        remedy = f"name the rules to count, {MAX_RULES} at most, by `name:` or id"
        yield RefusedError("`rules` names no rule", remedy, "correlation", "rules")
    if "group-by" in correlation and not _texts(correlation["group-by"]):
        yield RefusedError("`group-by` names no field", "write a list of fields", "correlation", "group-by")
    if "generate" in correlation and not isinstance(correlation["generate"], bool):
        yield RefusedError("`generate` is not true or false", "write true or false", "correlation", "generate")


def counted_rules(data: dict[str, Any]) -> set[str]:
    """Names of the rules that a document counts and so keeps from alerting, be the document sound or not."""
    correlation = data.get("correlation")
    if not isinstance(correlation, dict) or correlation.get("generate") is True:
        return set()
    if "rules" not in correlation and isinstance(correlation.get("condition"), str):
        return set(re.findall(r"[A-Za-z_]\w*", correlation["condition"][:MAX_EXPRESSION])) - {"and", "or", "not"}
    return set(_texts(correlation.get("rules")))


def references(parsed: SigmaCorrelationRule) -> list[str]:
    """Names of the rules that it counts, each once, in its order."""
    if isinstance(parsed.condition, SigmaExtendedCorrelationCondition) and not parsed.rules:
        return parsed.condition.get_referenced_rules()
    return list(dict.fromkeys(reference.reference for reference in parsed.rules or ()))


def never_silent(parsed: SigmaCorrelationRule) -> Iterator[tuple[str, str]]:
    """Yield a warning (message, remedy) where the rule seems to wait for silence."""
    if isinstance(parsed.condition, SigmaCorrelationCondition) and parsed.condition.op.name in {"LT", "LTE"}:
        yield (
            "a count is compared when an event comes, so silence is never seen",
            "alert on a missing series of the metrics in place of a rule",
        )


def read_correlation(
    parsed: SigmaCorrelationRule, rule: Rule, bases: Sequence[Base], written: Mapping[str, Any] | None = None
) -> Correlation | Absence:
    """Return the correlation over those rules, in their order. Raises RefusedError.

    written: the document's correlation, which of our own types tells more than pySigma does.
    """
    condition = parsed.condition
    written = written or {}
    kind = str(written.get("type", parsed.type.name.lower()))
    group_by = tuple(parsed.group_by or ())
    plan = Plan(kind, group_by, parsed.timespan.seconds, basis=" ".join(base.basis for base in bases))
    what = rule.unit
    if kind == WITHOUT:
        return _absence(plan, rule, bases, written)
    if kind in TEMPORAL:
        plan = replace(plan, expression=_expression(condition, [base.name for base in bases]))
        what = _awaited(condition, kind, bases)
    elif isinstance(condition, SigmaCorrelationCondition):
        counted = _texts(condition.fieldref or [])
        op = condition.op.name.lower()
        plan = replace(plan, op=op, limit=condition.count, fields=counted, percentile=condition.percentile or 50)
        if kind == OUTLIER:
            own = written["condition"]
            plan = replace(plan, fields=(*counted, own["by"]), others=own.get("others", OTHERS))
        what = _counted(plan, rule.unit)
    aliases = {
        alias.alias: {reference.reference: field for reference, field in alias.mapping.items()} for alias in parsed.aliases
    }
    readings = [
        {DATASETS[dataset]: _reading(plan, base.name, dataset, aliases) for dataset in base.datasets} for base in bases
    ]
    return Correlation(rule, plan, readings, what)


def _reading(plan: Plan, base: str, dataset: str, aliases: Mapping[str, Mapping[str, str]]) -> Reading:
    """How the events of one rule are read; a field's name may be an alias that says which it is in that rule."""
    known = fields(dataset)
    groups = [
        single(aliases.get(name, {}).get(base, name), known, "group-by", number) for number, name in enumerate(plan.group_by)
    ]
    counted = [single(aliases.get(name, {}).get(base, name), known, "condition", "field") for name in plan.fields]
    if plan.kind in NUMERIC and counted[0].kind is not Kind.NUMBER:
        raise RefusedError(
            f"`{counted[0].name}` is no number", "use a number, or value_count", "correlation", "condition", "field"
        )
    value = beat if plan.kind == BEAT else reader(tuple(field.attribute for field in counted))
    return Reading(reader(tuple(field.attribute for field in groups)), value)


def _absence(plan: Plan, rule: Rule, bases: Sequence[Base], written: Mapping[str, Any]) -> Absence:
    """What the first rule matched and no other."""
    aliases = written.get("aliases", {})
    (group,) = plan.group_by
    readings = []
    for base in bases:
        names = named_fields(aliases.get(group, {}).get(base.name, group))
        readings.append({DATASETS[dataset]: _keys(names, dataset) for dataset in base.datasets})
    awaited = " or ".join(f"“{base.title}”" for base in bases[1:])
    plan = replace(plan, patience=seconds(written["patience"]) if "patience" in written else PATIENCE)
    return Absence(rule, plan, readings, f"“{bases[0].title}”, and no {awaited} of the same {rule.unit or group}")


def _keys(names: Sequence[str], dataset: str) -> Callable[[Event], Row]:
    """What reads the fields of which any may hold the key."""
    return reader(tuple(single(name, fields(dataset), "group-by").attribute for name in names))


def _expression(condition: object, names: Sequence[str]) -> Expression:
    if not isinstance(condition, SigmaExtendedCorrelationCondition):
        return "and", tuple(range(len(names)))
    return _term(condition.parsed, names)


def _term(node: CorrelationConditionItem | SigmaRuleReference, names: Sequence[str]) -> Expression:
    if isinstance(node, SigmaRuleReference):
        return names.index(node.reference)
    word = {CorrelationConditionOR: "or", CorrelationConditionNOT: "not"}.get(type(node), "and")
    return word, tuple(_term(part, names) for part in node.args)


def _awaited(condition: object, kind: str, bases: Sequence[Base]) -> str:
    """What a temporal correlation waits for, in words."""
    if isinstance(condition, SigmaExtendedCorrelationCondition):
        return f"{condition.expression}, {'in this order, ' if kind == 'temporal_ordered' else ''}all"
    joint = ", then " if kind == "temporal_ordered" else " and "
    return joint.join(f"“{base.title}”" for base in bases) + ","


def _counted(plan: Plan, unit: str) -> str:
    """What is compared, in words that follow a number."""
    if plan.kind == BEAT:
        return f"even gaps between {unit or 'events'}"
    if plan.kind not in NUMERIC:
        return unit
    kind = {
        OUTLIER: "robust deviations from the others in",
        "value_sum": "in all of",
        "value_avg": "on average of",
        "value_median": "in the middle of",
        "value_percentile": f"at the {plan.percentile}th percentile of",
    }[plan.kind]
    return f"{kind} {unit or plan.fields[0]}"


def single(name: str, known: Mapping[str, Field], *keys: str | int) -> Field:
    """Find a field of the event with one value. Raises RefusedError."""
    try:
        field = field_named(name, known)
    except RefusedError as error:
        raise RefusedError(error.message, error.remedy, "correlation", *keys) from error
    if field.owner != "event" or field.many or field.kind in {Kind.TIME, Kind.OTHER}:
        raise RefusedError(f"`{name}` is no single value of the event", "use another field", "correlation", *keys)
    return field


def _timespan_refusals(timespan: object) -> Iterator[RefusedError]:
    if not 0 < seconds(timespan) <= MAX_TIMESPAN:
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
    more = {"value_percentile": {"percentile"}, OUTLIER: {"by", "others"}}.get(kind, set())
    operators = SigmaCorrelationConditionOperator.operators() & condition.keys()
    for key in sorted(condition.keys() - operators - {"field"} - more):
        yield RefusedError(f"unknown key `{key}` in the condition", nearest(key, [*COMPARE, "field", *more]), *keys, key)
    if len(operators) != 1:
        yield RefusedError("the condition does not compare once", "use one of: " + ", ".join(COMPARE), *keys)
    for key in operators:
        yield from _limit_refusals(condition[key], kind, key)
    if kind.startswith("value") and not _texts(condition.get("field")):
        yield RefusedError(f"{kind} has no field", "add `field:` with the field whose values count", *keys)
    elif kind in NUMERIC and len(_texts(condition["field"])) > 1:
        yield RefusedError(f"{kind} is of one field", "name one", *keys, "field")
    if kind in {"event_count", BEAT} and "field" in condition:
        yield RefusedError(f"{kind} has no field", "use value_count, or remove `field:`", *keys, "field")
    if kind == "value_percentile" and not (type(condition.get("percentile")) is int and 1 <= condition["percentile"] <= 100):
        yield RefusedError("value_percentile has no percentile", "add `percentile: 95`, from 1 to 100", *keys)


def _limit_refusals(limit: object, kind: str, key: str) -> Iterator[RefusedError]:
    keys = ("correlation", "condition", key)
    if kind in NUMERIC:
        if type(limit) not in {int, float} or not abs(limit) <= MAX_NUMBER:  # type: ignore[arg-type] # a number, by the first half
            yield RefusedError(f"`{limit}` is no number that can be compared", "write a number", *keys)
    elif type(limit) is not int or not 0 <= limit <= (MAX_LIMIT if kind == "value_count" else 1 << 40):
        yield RefusedError(f"`{limit}` is no count that can be compared", "write a whole number", *keys)


def _expression_refusals(condition: object) -> Iterator[RefusedError]:
    keys = ("correlation", "condition")
    if not isinstance(condition, str):
        remedy = "remove it where all of `rules` are awaited, or write names joined by and, or, not"
        yield RefusedError("a temporal correlation compares no count", remedy, *keys)
    elif (
        len(condition) > MAX_EXPRESSION
        or condition.count("(") > MAX_BRACKETS
        or condition.split().count("not") > MAX_BRACKETS
    ):
        message = f"the condition is longer than {MAX_EXPRESSION} characters or has over {MAX_BRACKETS} brackets"
        yield RefusedError(message, "split the rule", *keys)


def _alias_refusals(aliases: object) -> Iterator[RefusedError]:
    sound = isinstance(aliases, dict) and all(
        isinstance(mapping, dict) and mapping and all(map(named_fields, mapping.values())) for mapping in aliases.values()
    )
    if not sound:
        remedy = "write `alias: {rule_name: field, other_rule: other.field}`"
        yield RefusedError("`aliases` does not say which field each rule has", remedy, "correlation", "aliases")


def _texts(value: object) -> tuple[str, ...]:
    """Return a text or list of texts as a tuple; empty where it is neither."""
    values: list[Any] = value if isinstance(value, list) else [value]
    return tuple(values) if all(isinstance(item, str) and item for item in values) else ()
