"""Types of correlation that Sigma has no word for, and how their documents are shown to pySigma.

Each stands in for one of Sigma's that has the same parts; what is ours beside them is taken out before pySigma reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sigma.correlations import SigmaCorrelationTimespan
from sigma.exceptions import SigmaError

from detector.rule import RefusedError

BEAT, OUTLIER, WITHOUT = "beat_count", "value_outlier", "temporal_without"
STAND_INS = {BEAT: "event_count", OUTLIER: "value_median", WITHOUT: "temporal"}
"""Our type → Sigma's that has the same parts."""
OTHERS = 3
"""Of an outlier: so many others there must be, where the rule does not say."""
MAX_OTHERS = 1000
PATIENCE = 600
"""Seconds for which what is awaited may come late, where the rule does not say."""
MAX_PATIENCE = 86_400
MAX_FIELDS = 4
"""Fields of one rule of which any may hold the key."""


def for_pysigma(data: Mapping[str, Any]) -> dict[str, Any]:
    """The document as pySigma knows it."""
    correlation = data.get("correlation")
    if not isinstance(correlation, dict) or correlation.get("type") not in STAND_INS:
        return dict(data)
    plain = {key: value for key, value in correlation.items() if key not in {"patience", "aliases"}}
    plain["type"] = STAND_INS[correlation["type"]]
    if isinstance(plain.get("condition"), dict):
        plain["condition"] = {key: value for key, value in plain["condition"].items() if key not in {"by", "others"}}
    return {**data, "correlation": plain}


def own_refusals(correlation: Mapping[str, Any]) -> Iterator[RefusedError]:
    """Everything wrong with what only our types have."""
    kind = correlation.get("type")
    if "patience" in correlation:
        if kind != WITHOUT:
            yield RefusedError(f"only {WITHOUT} has patience", "remove it", "correlation", "patience")
        elif not 0 < seconds(correlation["patience"]) <= MAX_PATIENCE:
            message = f"`{correlation['patience']}` is no time up to 1 day"
            yield RefusedError(message, "write `patience: 10m`", "correlation", "patience")
    if kind == WITHOUT:
        yield from _without_refusals(correlation)
    else:
        yield from _alias_refusals(correlation.get("aliases"))
    condition = correlation.get("condition")
    if kind == OUTLIER and isinstance(condition, dict):
        keys = ("correlation", "condition")
        if not isinstance(condition.get("by"), str):
            yield RefusedError(f"{OUTLIER} does not say whose values they are", "add `by:` with the member's field", *keys)
        others = condition.get("others", OTHERS)
        if type(others) is not int or not OTHERS <= others <= MAX_OTHERS:
            message = f"`{others}` is no number of others from {OTHERS} to {MAX_OTHERS}"
            yield RefusedError(message, f"write `others: {OTHERS}`", *keys, "others")


def _without_refusals(correlation: Mapping[str, Any]) -> Iterator[RefusedError]:
    rules = correlation.get("rules")
    if not isinstance(rules, list) or len(rules) < 2:
        remedy = "name the rule that is judged, then what it awaits"
        yield RefusedError(f"{WITHOUT} has fewer than two rules", remedy, "correlation", "rules")
    group_by = correlation.get("group-by")
    if isinstance(group_by, list) and len(group_by) != 1:
        yield RefusedError(f"{WITHOUT} groups by one field", "name one, or an alias", "correlation", "group-by")
    elif not group_by:
        yield RefusedError(f"{WITHOUT} has no group-by", "name the field that joins the rules", "correlation")
    if "condition" in correlation:
        yield RefusedError(f"{WITHOUT} compares nothing", "remove the condition", "correlation", "condition")


def _alias_refusals(aliases: object) -> Iterator[RefusedError]:
    mappings = aliases.values() if isinstance(aliases, dict) else ()
    if any(isinstance(field, list) for mapping in mappings if isinstance(mapping, dict) for field in mapping.values()):
        message = f"an alias is several fields of one rule, which only {WITHOUT} takes"
        yield RefusedError(message, "name one field for each rule", "correlation", "aliases")


def named_fields(field: object) -> tuple[str, ...]:
    """The fields that an alias names for one rule; empty where it names none."""
    names: list[Any] = field if isinstance(field, list) else [field]
    return tuple(names) if 0 < len(names) <= MAX_FIELDS and all(isinstance(name, str) and name for name in names) else ()


def seconds(span: object) -> int:
    """A timespan as Sigma writes it; 0 for what is none."""
    try:
        return SigmaCorrelationTimespan(str(span)).seconds
    except SigmaError:
        return 0
