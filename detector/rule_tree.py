"""What a condition is made of: tests on fields, joined by and, or and not; and the constants they compare with.

Tests hold Python source made of our own words only: field attributes, operators, and names of constants. Whatever a
rule's author wrote (strings, numbers, patterns) is a constant that the source refers to by name.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from dataclasses import field as part
from ipaddress import IPv4Network, IPv6Network, ip_address

import re2

from detector.rule import RefusedError
from detector.rule_field import Field


@dataclass(frozen=True, slots=True)
class Test:
    """One question to one field."""

    field: Field
    operand: str
    """Source of what is asked about."""
    form: str
    """Source of the question, `{}` standing for the operand."""
    cost: int = 0
    """0 a comparison, 1 a string method, 2 a loop over a list, 3 a pattern, 4 a score."""
    says: str = part(default="", compare=False)
    """The question as its rule's author would read it."""

    def source(self, operand: str = "") -> str:
        """Source of the test, on the operand or on a name that holds it."""
        return self.form.replace("{}", operand or self.operand)


@dataclass(frozen=True, slots=True)
class All:
    """True where all parts are."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """True where any part is."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True where its part is not."""

    part: Node


@dataclass(frozen=True, slots=True)
class Unknown:
    """What no event of ours can tell: neither it nor its opposite is ever true."""

    reason: str


Node = Test | All | Any | Not | Unknown

FALSE = Any(())
"""What never holds."""


def in_words(node: Node) -> str:
    """A condition as a person reads it."""
    match node:
        case Test():
            return node.says
        case Not(inner):
            return f"not ({in_words(inner)})"
        case All(parts):
            return " and ".join(f"({in_words(one)})" if isinstance(one, Any) else in_words(one) for one in parts)
        case Any(parts):
            return " or ".join(f"({in_words(one)})" if isinstance(one, All) else in_words(one) for one in parts) or "never"
    return f"what our events do not tell ({node.reason})"


def settled(node: Node, false: frozenset[Node] = frozenset()) -> Node | None:
    """The condition under which a tree surely holds, free of the unknown; None where it never can.

    false: parts that are known never to hold.
    """
    return _sure(node, false, wanted=True)


def _sure(node: Node, false: frozenset[Node], *, wanted: bool) -> Node | None:
    """The condition under which the node surely is what is wanted of it (Kleene's logic of the unknown)."""
    if node in false:
        node = FALSE
    match node:
        case Test():
            return node if wanted else Not(node)
        case Not(part):
            return _sure(part, false, wanted=not wanted)
        case All(parts) | Any(parts):
            found = [_sure(part, false, wanted=wanted) for part in parts]
            sure = tuple(part for part in found if part is not None and part != All(()))
            if isinstance(node, All) is wanted:
                return None if None in found else All(sure)
            if All(()) in found:
                return All(())
            return Any(sure) if sure else None
    return None


class Constants:
    """What the rules' authors wrote, each under a name that the generated source uses."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}
        self._names: dict[Hashable, str] = {}

    def name(self, value: Hashable) -> str:
        """Name of a constant."""
        return self._name((type(value), value), lambda: value)

    def pattern(self, source: str) -> str:
        """Name of the compiled RE2 pattern. Raises RefusedError where RE2 does not take it."""
        return self._name(("re2", source), lambda: compile_pattern(source))

    def _name(self, key: Hashable, make: Callable[[], object]) -> str:
        name = self._names.get(key)
        if name is None:
            value = make()
            name = self._names[key] = f"k{len(self._names)}"
            self.values[name] = value
        return name


def compile_pattern(source: str) -> re2._Regexp:
    """Compile a pattern whose time is linear in the text. Raises RefusedError."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        return re2.compile(source, options)
    except re2.error as error:
        raise RefusedError(
            f"RE2 refuses the pattern {source[:80]!r}: {_words(error)}",
            "write it without look-around, back-references and large repetitions",
        ) from error
    except UnicodeEncodeError as error:
        raise RefusedError("the pattern is not valid Unicode", "remove the lone surrogates") from error


def in_network(address: str, network: IPv4Network | IPv6Network) -> bool:
    """Whether it is an address of that network; false for a token."""
    try:
        return ip_address(address) in network
    except ValueError:
        return False


def _words(error: Exception) -> str:
    first = error.args[0] if error.args else ""
    return first.decode(errors="replace") if isinstance(first, bytes) else str(first)
