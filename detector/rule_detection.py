"""The detection of a rule or filter: each selection is checked by itself, so that every fault has its line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pyparsing import ParseException
from sigma.conditions import ConditionIdentifier, ConditionItem, ConditionSelector
from sigma.exceptions import SigmaError
from sigma.modifiers import SigmaRegularExpressionModifier, modifier_mapping
from sigma.rule import SigmaDetectionItem, SigmaDetections

from detector.condition import KEYWORD_REMEDY, Conditions
from detector.rule import Fault, RefusedError
from detector.rule_field import nearest
from detector.rule_file import Document
from detector.rule_tree import Any as AnyOf
from detector.rule_tree import Node, compile_pattern

MAX_CONDITION = 2000
MAX_BRACKETS = 24

FILTER_PREFIX = "_filt_"
"""Of the selections that pySigma brings into a rule from a filter."""

NO_SELECTIONS = frozenset({"condition", "rules"})
"""Keys of a detection or a filter that are none."""
GRAMMAR = frozenset({"and", "or", "not", "of", "all", "any", "them"})
"""Words of a condition that name no selection."""
MISFIT = re.compile(r"Modifier (\w+) incompatible to value type of '(.*)'", re.DOTALL)
"""pySigma's complaint, by the modifier's class."""
FITTING = {
    "exists": "write true or false",
    **dict.fromkeys(("lt", "lte", "gt", "gte", "minute", "hour", "day", "week", "month", "year"), "write a number"),
}
"""Modifier → the remedy for a value that does not fit; of all others below."""
FITTING_TEXT = "put the value in quotes; a number is compared by lt, lte, gt and gte"

Keys = tuple[str | int, ...]

PYSIGMA_ERRORS = (SigmaError, AttributeError, TypeError, KeyError, ValueError, IndexError, RecursionError)
"""What pySigma raises on documents of another shape than it expects."""


def detection_refusals(conditions: Conditions, detection: dict[str, Any], key: str = "detection") -> Iterator[RefusedError]:
    """Everything that a detection has and that cannot be run."""
    if "condition" not in detection:
        yield RefusedError("the detection has no condition", "add `condition:`, such as `condition: selection`", key)
    else:
        selections = [name for name in detection if name not in NO_SELECTIONS]
        yield from _condition_refusals(detection["condition"], selections, key)
    for name, definition in detection.items():
        if name not in NO_SELECTIONS:
            yield from _selection_refusals(conditions, definition, (key, name))


def parse_condition(conditions: Conditions, detections: SigmaDetections, key: str = "detection") -> Node:
    """Return the whole condition of a rule as a tree. Raises RefusedError."""
    nodes: list[Node] = []
    for parsed in detections.parsed_condition:
        try:
            nodes.append(conditions.read(parsed.parsed))
        except RefusedError as error:
            raise RefusedError(error.message, error.remedy, key, "condition") from error
        except PYSIGMA_ERRORS as error:
            message = words(error)
            if isinstance(error.__context__, ParseException):
                message = f"the condition cannot be understood from character {error.__context__.column} on"
            remedy = "write it as `selection and not filter`, of selections that exist"
            raise RefusedError(message, remedy, key, "condition") from error
    return nodes[0] if len(nodes) == 1 else AnyOf(tuple(nodes))


def unused_selections(detections: SigmaDetections) -> list[str]:
    """List selections that no condition names: a forgotten `and not filter` is a week of false alarms."""
    used: set[str] = set()
    for parsed in detections.parsed_condition:
        used |= set(_identifiers(parsed.parse(postprocess=False), detections))
    return [name for name in detections.detections if name not in used and not name.startswith(FILTER_PREFIX)]


def pysigma_fault(document: Document, error: Exception) -> Fault:
    """Place a complaint of pySigma's at the key that its class is named after."""
    key = type(error).__name__.removeprefix("Sigma").removesuffix("Error").lower()
    places = [place for place in (key, "correlation", "filter", "detection") if place in document.data]
    return document.fault(words(error), "see the Sigma specification of that key", *places[:1])


def words(error: Exception) -> str:
    """Return the error's own words, on one line."""
    if isinstance(error, RecursionError):
        return "the rule nests too deep"
    text = str(error.args[0]) if error.args else type(error).__name__
    return " ".join(text.split())[:300]


def misfit(error: Exception) -> RefusedError:
    """A complaint of pySigma's about a value, in the words of whoever wrote it."""
    found = MISFIT.fullmatch(words(error))
    modifier = next((name for name, kind in modifier_mapping.items() if found and kind.__name__ == found[1]), None)
    if found is None or modifier is None:
        return RefusedError(words(error), "see the Sigma modifiers that fit such a value")
    if "(" in found[2]:  # what another modifier made of a value
        return RefusedError(f"the modifier `{modifier}` does not fit the one before it", "leave one of the two out")
    return RefusedError(f"the modifier `{modifier}` does not fit `{found[2]}`", FITTING.get(modifier, FITTING_TEXT))


def _condition_refusals(written: object, selections: Sequence[str], key: str) -> Iterator[RefusedError]:
    texts: list[Any] = written if isinstance(written, list) else [written]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        yield RefusedError("the condition is not text", "write it as `selection and not filter`", key, "condition")
        return
    for text in texts:
        if len(text) > MAX_CONDITION or text.count("(") > MAX_BRACKETS or text.split().count("not") > MAX_BRACKETS:
            yield RefusedError(
                f"the condition is longer than {MAX_CONDITION} characters or has over {MAX_BRACKETS} brackets",
                "use `1 of selection_*`, or split the rule",
                key,
                "condition",
            )
            return
        for name in _unknown(text, selections):
            yield RefusedError(f"there is no selection `{name}`", nearest(name, selections), key, "condition")


def _unknown(condition: str, selections: Sequence[str]) -> Iterator[str]:
    """Names in a condition, and patterns of names, that no selection has."""
    if "|" in condition:  # the old syntax, of which pySigma tells
        return
    for name in dict.fromkeys(re.findall(r"[\w*-]+", condition)):
        pattern = ".*".join(map(re.escape, name.split("*")))
        if name not in GRAMMAR and not name.isdigit() and not any(re.fullmatch(pattern, one) for one in selections):
            yield name


def _selection_refusals(conditions: Conditions, definition: object, keys: Keys) -> Iterator[RefusedError]:
    if isinstance(definition, dict) and definition:
        for name, values in definition.items():
            yield from _item_refusals(conditions, name, values, (*keys, name))
    elif isinstance(definition, list) and any(isinstance(part, dict | list) for part in definition):
        for number, part in enumerate(definition):
            yield from _selection_refusals(conditions, part, (*keys, number))
    elif definition in ({}, []):
        yield RefusedError("the selection is empty", "give it a field, or remove it", *keys)
    elif not conditions.keywords:
        yield RefusedError("a search without a field is not supported", KEYWORD_REMEDY, *keys)


def _item_refusals(conditions: Conditions, name: str, values: object, keys: Keys) -> Iterator[RefusedError]:
    if values == []:
        yield RefusedError("the list of values is empty", "give it a value; an absent field is `null`", *keys)
    for number, value in enumerate(values if isinstance(values, list) else [values]):
        place = (*keys, number) if isinstance(values, list) else keys
        try:
            _check_item(conditions, name, value)
        except RefusedError as error:
            yield RefusedError(error.message, error.remedy, *place)
            if error.message.startswith("unknown field"):
                return
        except PYSIGMA_ERRORS as error:
            refusal = misfit(error)
            yield RefusedError(refusal.message, refusal.remedy, *place)


def _check_item(conditions: Conditions, name: str, value: Any) -> None:
    field, *modifiers = name.split("|")
    if not field:
        raise RefusedError("a search without a field is not supported", KEYWORD_REMEDY)
    for modifier in modifiers:
        if modifier not in modifier_mapping:
            raise RefusedError(f"unknown modifier `{modifier}`", nearest(modifier, modifier_mapping))
    if isinstance(value, dict | list):
        raise RefusedError("a value is a list or a map", "write a plain value")
    if SigmaRegularExpressionModifier in (modifier_mapping[modifier] for modifier in modifiers):
        if not isinstance(value, str):
            raise RefusedError("a pattern is not text", "put it in quotes")
        compile_pattern(value)  # pySigma would print RE2's complaint on stderr
    item = SigmaDetectionItem.from_mapping(name, value)
    for part in item.value:
        conditions.values(field, [part])


def _identifiers(node: object, detections: SigmaDetections) -> Iterator[str]:
    if isinstance(node, ConditionIdentifier):
        yield node.identifier
    elif isinstance(node, ConditionSelector):
        for found in node.resolve_referenced_detections(detections):
            yield found.identifier
    elif isinstance(node, ConditionItem):
        for part in node.args:
            yield from _identifiers(part, detections)
