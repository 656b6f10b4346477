"""The rules of one dataset as one Python function.

What several rules ask is asked once, and an event that matches nothing passes at the price of a few comparisons.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from detector.rule import Known
from detector.rule_tree import FALSE, All, Any, Constants, Node, Not, Test, in_network, in_words
from nigrani.stream.event import Event

Thing = TypeVar("Thing", str, Test)

HOISTED_COST = 1
"""Dearer tests are never made before the cheap ones beside them have passed."""


class Clause(NamedTuple):
    """One part of a condition that must hold with the others, and whether it does."""

    says: str
    held: bool
    values: tuple[tuple[str, object], ...]
    """What the event has of the fields that it asks."""
    forbids: bool = False
    """Whether it is a `not …`: that it holds brings an event no nearer."""

    def missed(self) -> str:
        """In words, where it does not hold."""
        there = ", ".join(f"{name} is {_shown(value)}" for name, value in self.values)
        return f"wanted {self.says}" + (f", but {there}" if there else "")


class Program:
    """Compiled conditions of one dataset, numbered as given."""

    def __init__(self, conditions: Sequence[Node], constants: Constants) -> None:
        self._conditions = conditions
        tests = list(dict.fromkeys(test for node in conditions for test in _tests(node)))
        names: dict[str, object] = {"any": any, "bool": bool, "in_network": in_network, **constants.values}
        names["__builtins__"] = {}
        checks = "".join(f"    lambda event, extra: {test.source()},\n" for test in tests)
        source = f"{_Function(conditions).source()}\nchecks = (\n{checks})\n"
        exec(compile(source, "<rules>", "exec"), names)  # noqa: S102 the source holds our own words only, see rule_tree.py
        self.source = source
        self.match: Callable[[Event, Known], tuple[int, ...]] = names["match"]  # type: ignore[assignment]
        self._checks: dict[Test, Callable[[Event, Known], object]] = dict(zip(tests, names["checks"], strict=True))  # type: ignore[call-overload]

    def because(self, index: int, event: Event, extra: Known) -> tuple[tuple[str, object], ...]:
        """Return what the positive tests of a condition that holds have matched on: (field, value) pairs."""
        held = self._held(self._conditions[index], event, extra)
        return tuple({test.field.name: test.field.get(event, extra) for test in held}.items())

    def clauses(self, index: int, event: Event, extra: Known) -> list[Clause]:
        """Return the parts of a condition that must all hold, each with whether it does."""
        found = []
        for node in _parts(self._conditions[index]):
            names = {test.field.name: test.field.get(event, extra) for test in _tests(node)}
            holds = self._holds(node, event, extra)
            found.append(Clause(in_words(node), holds, tuple(names.items()), isinstance(node, Not)))
        return found

    def _held(self, node: Node, event: Event, extra: Known) -> list[Test]:
        match node:
            case Test():
                return [node] if self._checks[node](event, extra) else []
            case All(parts) | Any(parts):
                return [test for part in parts if self._holds(part, event, extra) for test in self._held(part, event, extra)]
        return []

    def _holds(self, node: Node, event: Event, extra: Known) -> bool:
        match node:
            case Test():
                return bool(self._checks[node](event, extra))
            case All(parts):
                return all(self._holds(part, event, extra) for part in parts)
            case Any(parts):
                return any(self._holds(part, event, extra) for part in parts)
            case Not(part):
                return not self._holds(part, event, extra)
        return False


def asked(node: Node) -> Iterator[str]:
    """Names of the fields that a condition asks."""
    return (test.field.name for test in _tests(node))


class _Function:
    """Writes the function's source."""

    def __init__(self, conditions: Sequence[Node]) -> None:
        self._conditions = conditions
        users = Counter(test for node in conditions for test in dict.fromkeys(_tests(node)))
        operands = Counter(test.operand for test in users if test.operand.endswith(".lower()"))
        self._operands = _named("text", [operand for operand, count in operands.items() if count > 1])
        self._tests = _named("test", [t for t, count in users.items() if count > 1 and t.cost <= HOISTED_COST])

    def source(self) -> str:
        lines = ["def match(event, extra):", "    found = ()"]
        lines += [f"    {name} = {operand}" for operand, name in self._operands.items()]
        lines += [f"    {name} = {self._inline(test)}" for test, name in self._tests.items()]
        for number, node in enumerate(self._conditions):
            lines += [f"    if {self._expression(node)}:", f"        found += ({number},)"]
        return "\n".join([*lines, "    return found", ""])

    def _expression(self, node: Node) -> str:
        match node:
            case Test():
                return self._tests.get(node) or self._inline(node)
            case Not(part):
                return f"(not {self._expression(part)})"
            case All(parts):
                return "(" + " and ".join(map(self._expression, sorted(parts, key=_cost))) + ")"
            case Any(parts) if node != FALSE:
                return "(" + " or ".join(map(self._expression, sorted(parts, key=_cost))) + ")"
        return "False"

    def _inline(self, test: Test) -> str:
        return f"({test.source(self._operands.get(test.operand, ''))})"


def _named(prefix: str, things: list[Thing]) -> dict[Thing, str]:
    return {thing: f"{prefix}{number}" for number, thing in enumerate(things)}


def _tests(node: Node) -> Iterator[Test]:
    match node:
        case Test():
            yield node
        case Not(part):
            yield from _tests(part)
        case All(parts) | Any(parts):
            for part in parts:
                yield from _tests(part)


def _parts(node: Node) -> Iterator[Node]:
    """What must hold together, from the outside in."""
    if isinstance(node, All):
        for part in node.parts:
            yield from _parts(part)
    else:
        yield node


def _shown(value: object) -> str:
    if value is None or value in ("", (), []):
        return "absent"
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return "".join(letter if letter.isprintable() else " " for letter in text)[:80]


def _cost(node: Node) -> int:
    return max((test.cost for test in _tests(node)), default=0)
