"""A Sigma condition, read into a tree of tests on the fields of one dataset.

Semantics are those of the Sigma specification 2.x (sigma-rules-specification, "Detection"). Where it leaves a choice:
an empty text or list is an absent field; a list-valued field matches where any element does; `re` searches; a
comparison of an absent number is false.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC

import re2
from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.types import (
    CompareOperators,
    Placeholder,
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaTimestampPart,
    SigmaType,
    SpecialChars,
    TimestampPart,
)

from detector.rule import NEW_FACTS, RefusedError
from detector.rule_field import Field, Kind, field_named, nearest
from detector.rule_tree import All, Any, Constants, Node, Not, Test, compile_pattern

MAX_DEPTH = 32
"""Of and, or and not within each other."""

ASKED_COST = 2
"""Of a test on a device's class: after those on the event itself, and only where they hold."""
SCORED_COST = 4
"""Of a test on the p-value, which is worked out when it is first asked for: after all others."""

KEYWORD_REMEDY = "name the field: events have no free text to search"

TIME_PARTS = {
    TimestampPart.MINUTE: ".minute",
    TimestampPart.HOUR: ".hour",
    TimestampPart.DAY: ".day",
    TimestampPart.WEEK: ".isocalendar()[1]",
    TimestampPart.MONTH: ".month",
    TimestampPart.YEAR: ".year",
}
"""Part of a time → how it is read, of UTC; weeks are those of ISO 8601."""

COMPARISONS = {
    CompareOperators.LT: "<",
    CompareOperators.LTE: "<=",
    CompareOperators.GT: ">",
    CompareOperators.GTE: ">=",
    CompareOperators.NEQ: "!=",
}

WILDCARDS: dict[object, str] = {SpecialChars.WILDCARD_MULTI: "*", SpecialChars.WILDCARD_SINGLE: "?"}

SHAPES = {"": "exact", ".": "exact", "*": "present", ".*": "prefix", "*.": "suffix", "*.*": "inside"}
"""Outline of a string, `.` standing for its plain text → the test that does without a pattern."""

SAID = {
    "exact": "=",
    "prefix": "begins with",
    "suffix": "ends with",
    "inside": "contains",
    "present": "is there",
    "glob": "matches",
}
"""Shape → how a sentence has it."""
LISTED = 8
"""Values named in a sentence."""


class Conditions:
    """Reads conditions on one dataset into trees."""

    keywords = False
    """Whether a search without a field is taken, if only to say that it finds nothing."""

    def __init__(self, fields: Mapping[str, Field], constants: Constants) -> None:
        self._fields = fields
        self._constants = constants
        self.warnings: list[tuple[str, str]] = []
        """What loads but will hardly do what its author means: (message, remedy)."""

    def read(self, condition: object, depth: int = 0) -> Node:
        """Return the tree of a condition that pySigma parsed. Raises RefusedError."""
        if depth > MAX_DEPTH:
            raise RefusedError(f"the condition nests deeper than {MAX_DEPTH}", "split the rule in two")
        match condition:
            case ConditionNOT(args=[part]):
                return Not(self.read(part, depth + 1))
            case ConditionAND(args=parts):
                return All(tuple(self.read(part, depth + 1) for part in parts))
            case ConditionOR(args=parts):
                return self._any(parts, depth + 1)
            case ConditionFieldEqualsValueExpression(field=name, value=value):
                return self.values(name, [value])
            case ConditionValueExpression():
                raise RefusedError("a search without a field is not supported", KEYWORD_REMEDY)
        raise RefusedError("the condition is empty", "name a selection in it")

    def values(self, name: str, values: Sequence[SigmaType]) -> Node:
        """Return the test that a field has any of the values. Raises RefusedError."""
        field = field_named(name, self._fields)
        nodes: list[Node] = []
        texts: dict[tuple[str, bool], list[str]] = {}
        numbers: list[int | float] = []
        for value in _expanded(values):
            if isinstance(value, SigmaString) and field.kind is Kind.TEXT:
                shape, text = self._text(field, value)
                texts.setdefault((shape, isinstance(value, SigmaCasedString)), []).append(text)
            elif isinstance(value, SigmaString | SigmaNumber) and field.kind is Kind.NUMBER:
                numbers.append(_number(field, value))
            else:
                nodes.append(self._other(field, value))
        if numbers:
            nodes.append(self._among(field, numbers))
        nodes += [self._texts(field, shape, cased, words) for (shape, cased), words in texts.items()]
        return nodes[0] if len(nodes) == 1 else Any(tuple(nodes))

    def _any(self, parts: Iterable[object], depth: int) -> Node:
        """Return an or, with the values of one field taken together."""
        together: dict[str, list[SigmaType]] = {}
        nodes: list[Node] = []
        for part in parts:
            if isinstance(part, ConditionFieldEqualsValueExpression) and part.field in self._fields:
                together.setdefault(part.field, []).append(part.value)
            else:
                nodes.append(self.read(part, depth))
        nodes += [self.values(name, values) for name, values in together.items()]
        return nodes[0] if len(nodes) == 1 else Any(tuple(nodes))

    def _text(self, field: Field, value: SigmaString) -> tuple[str, str]:
        """Shape of a string with wildcards, and its text."""
        shape, text = _shape(value, lower=not isinstance(value, SigmaCasedString))
        if field.name == "nigrani.new" and shape == "exact" and text.lower() not in NEW_FACTS:
            raise RefusedError(f"`{text}` is no fact of nigrani.new", nearest(text, NEW_FACTS))
        if field.closed and shape == "exact" and text not in field.closed:
            raise RefusedError(f"`{text}` is no class of devices", nearest(text, field.closed))
        return shape, text

    def _texts(self, field: Field, shape: str, cased: bool, words: list[str]) -> Test:
        name = self._constants.name
        says = f"{field.name} {SAID[shape]}" + (f" {_listed(words)}" if shape != "present" else "")
        match shape:
            case "exact" if len(words) == 1:
                form, cost = f"{{}} == {name(words[0])}", 0
            case "exact":
                form, cost = f"{{}} in {name(frozenset(words))}", 0
            case "prefix":
                form, cost = f"{{}}.startswith({name(tuple(words))})", 1
            case "suffix":
                form, cost = f"{{}}.endswith({name(tuple(words))})", 1
            case "inside":
                each = [f"{name(word)} in {{}}" for word in words]
                form, cost = "(" + " or ".join(each) + ")", 1
            case "present":
                form, cost = "{} != ''", 0
            case _:
                each = [f"{self._constants.pattern(word)}.fullmatch({{}}) is not None" for word in words]
                form, cost = "(" + " or ".join(each) + ")", 3
        if field.closed:  # looked up when it is asked for, and in lower case as it is
            return _test(field, form, max(cost, ASKED_COST), says=says)
        return _test(field, form, cost, lower=not cased, says=says)

    def _among(self, field: Field, numbers: list[int | float]) -> Test:
        if len(numbers) == 1:
            return _test(field, f"{{}} == {self._constants.name(numbers[0])}", says=f"{field.name} = {numbers[0]}")
        says = f"{field.name} = {_listed(sorted(numbers))}"
        return _test(field, f"{{}} in {self._constants.name(frozenset(numbers))}", says=says)

    def _other(self, field: Field, value: SigmaType) -> Node:  # noqa: PLR0911 - one for each kind of value
        """Return a test of any kind but equality of texts and of numbers."""
        match value:
            case SigmaNull() | SigmaExists():
                exists = _exists(field)
                return exists if getattr(value, "exists", False) else Not(exists)
            case SigmaTimestampPart() if field.kind is Kind.TIME:
                return self._time(field, value, "==")
            case SigmaCompareExpression(number=SigmaTimestampPart() as part) if field.kind is Kind.TIME:
                return self._time(field, part, COMPARISONS[value.op])
            case SigmaCompareExpression() if field.kind is Kind.NUMBER and type(value.number) is SigmaNumber:
                constant = self._constants.name(value.number.number)
                operator = COMPARISONS[value.op]
                return _guarded(field, f"{{}} {operator} {constant}", f"{field.name} {operator} {value.number}")
            case SigmaBool(boolean=boolean) if field.kind is Kind.BOOLEAN:
                return _test(
                    field, f"{{}} is {self._constants.name(boolean)}", says=f"{field.name} = {str(boolean).lower()}"
                )
            case SigmaRegularExpression() if field.kind is Kind.TEXT:
                return self._pattern(field, value)
            case SigmaCIDRExpression() if field.kind is Kind.TEXT:
                return self._network(field, value)
            case SigmaFieldReference():
                return self._reference(field, value)
        raise RefusedError(*_mismatch(field, value))

    def _pattern(self, field: Field, value: SigmaRegularExpression) -> Test:
        """Return a test of a text by a regular expression."""
        source = value.escape(escape_escape_char=False)
        form = f"{self._constants.pattern(source)}.search({{}}) is not None"
        if compile_pattern(source).search("") is not None:  # which an absent field must not meet
            form = f"({{}} != '' and {form})"
        return _test(field, form, 3, says=f"{field.name} matches {value.regexp}")

    def _time(self, field: Field, part: SigmaTimestampPart, operator: str) -> Test:
        """Return a test of a part of a time."""
        name = self._constants.name
        form = f"{{}}.astimezone({name(UTC)}){TIME_PARTS[part.timestamp_part]} {operator} {name(part.number)}"
        says = f"{part.timestamp_part.name.lower()} of {field.name} {operator.replace('==', '=')} {part.number}"
        return _test(field, form, 1, says=says)

    def _network(self, field: Field, value: SigmaCIDRExpression) -> Node:
        self.warnings.append(
            (
                f"`{field.name}` leaves the host as a keyed token, which lies in no network",
                "test nigrani.source.zone or nigrani.destination.zone in place of the address",
            )
        )
        says = f"{field.name} in {value.network}"
        return _test(field, f"in_network({{}}, {self._constants.name(value.network)})", 3, says=says)

    def _reference(self, field: Field, value: SigmaFieldReference) -> Test:
        other = field_named(value.field, self._fields)
        if other.kind is not field.kind or field.many or other.many or field.kind in {Kind.TIME, Kind.OTHER}:
            raise RefusedError(
                f"`{field.name}` and `{other.name}` cannot be compared", "refer to a single field of the same kind"
            )
        says = f"{field.name} = {other.name}"
        if field.kind is not Kind.TEXT:
            return _guarded(field, f"{{}} == {other.access}", says)
        against = f"{other.access}.lower()"
        match value.starts_with, value.ends_with:
            case True, True:
                form = f"{against} in {{}}"
            case True, False:
                form = f"{{}}.startswith({against})"
            case False, True:
                form = f"{{}}.endswith({against})"
            case _:
                form = f"{{}} == {against}"
        return _test(field, f"({other.access} != '' and {form})", 1, lower=True, says=says)


def _expanded(values: Iterable[SigmaType]) -> Iterable[SigmaType]:
    for value in values:
        if isinstance(value, SigmaExpansion):
            yield from _expanded(value.values)
        else:
            yield value


def _shape(value: SigmaString, *, lower: bool) -> tuple[str, str]:
    """Return the cheapest test that says the same as the wildcards, and its text."""
    if any(isinstance(part, Placeholder) for part in value.s):
        raise RefusedError("placeholders (`expand`) are not supported", "write the values out")
    parts = [part.lower() if lower and isinstance(part, str) else part for part in value.s]
    outline = "".join("." if isinstance(part, str) else WILDCARDS[part] for part in parts)
    text = "".join(part for part in parts if isinstance(part, str))
    shape = SHAPES.get(re.sub(r"\*+", "*", outline))
    if shape:
        return shape, text
    return "glob", "(?s)" + "".join(_glob(part) for part in parts)


def _glob(part: object) -> str:
    if isinstance(part, str):
        return str(re2.escape(part))
    return ".*" if part is SpecialChars.WILDCARD_MULTI else "."


def _number(field: Field, value: SigmaString | SigmaNumber) -> int | float:
    """Return the number, also of a quoted one. Raises RefusedError."""
    if isinstance(value, SigmaTimestampPart):
        raise RefusedError(*_mismatch(field, value))
    if isinstance(value, SigmaNumber):
        return value.number
    try:
        return SigmaNumber(str(value)).number
    except ValueError as error:
        raise RefusedError(*_mismatch(field, value)) from error


def _listed(values: Sequence[object]) -> str:
    """Some of the values, as a sentence has them."""
    more = f", … ({len(values)} in all)" if len(values) > LISTED else ""
    return ", ".join(str(value) or "(empty)" for value in values[:LISTED]) + more


def _test(field: Field, form: str, cost: int = 0, *, lower: bool = False, says: str = "") -> Test:
    """Make a test on the field, or on any element of it."""
    call = ".lower()" if lower else ""
    if not field.many:
        return Test(field, field.access + call, form, cost, says)
    element = form.replace("{}", "element" + call)
    return Test(field, field.access, f"({{}} and any({element} for element in {{}}))", max(cost, 2), says)


def _guarded(field: Field, form: str, says: str) -> Test:
    """Make a comparison that an absent number does not meet."""
    cost = SCORED_COST if field.name == "p_value" else 0
    return _test(field, f"({{}} is not None and {form})" if field.optional else form, cost, says=says)


def _exists(field: Field) -> Test:
    if field.many or field.kind is Kind.TEXT:
        return Test(field, field.access, "bool({})", says=f"{field.name} is there")
    return Test(field, field.access, "{} is not None", says=f"{field.name} is there")


def _mismatch(field: Field, value: SigmaType) -> tuple[str, str]:
    """Say what is wrong with a value that a field can never have."""
    part = value.number if isinstance(value, SigmaCompareExpression) else value
    if isinstance(part, SigmaTimestampPart):
        return f"`{field.name}` is no time", "test a part of `@timestamp`"
    if field.kind is Kind.TIME:
        return f"`{field.name}` is a time", f"test a part of it, such as `{field.name}|hour|gte: 22`; parts are of UTC"
    if field.kind is Kind.OTHER:
        return f"`{field.name}` cannot be tested by a rule", "test another field"
    if field.kind is Kind.TEXT and isinstance(value, SigmaNumber | SigmaBool):
        return f"`{field.name}` is text and `{value}` is not", "put the value in quotes"
    if field.kind is Kind.NUMBER and isinstance(value, SigmaString):
        return f"`{field.name}` is a number and `{value}` is not", "write a number; it is compared by lt, lte, gt and gte"
    kind = field.kind.name.lower()
    return f"`{field.name}` is a {kind}, which this test does not fit", f"give a {kind} and a modifier for it"
