"""What the site lets out of each field: checked against the datasets, and laid out once, at the start, as a plan.

A field's class, which its type in the schema names, says what is done to its text (its *way*). The site may say otherwise
for a class or for one field, within what the class allows: nothing here lets an address, a user, a patient or a study out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, cast

import msgspec

from nigrani.stream.event import Conversation, Event
from nigrani.stream.events import DATASETS

ALLOWED = {
    "address": ("token", "zone"),
    "mac": ("token", "drop"),
    "ae": ("token", "keep", "drop"),
    "user": ("token", "drop"),
    "study": ("token", "drop"),
    "name": ("token", "keep", "drop"),
    "domain": ("token", "keep", "drop"),
    "word": ("keep", "drop"),
}
"""Class → what a field of it may be set to."""
POLICIES = ("token", "keep", "drop", "zone")
WAYS = {("domain", "token"): "domain-token", ("domain", "keep"): "domain-full", ("word", "keep"): "word"}
"""(Class, policy) → way, where that is neither the class's own, for `token`, nor called as the policy."""
CLASSES = tuple(group for group in ALLOWED if group not in {"address", "word"})
"""What may be set for all fields of a class at once."""
HOST = "host.id"
OURS = frozenset({"id", "agent", "flow", "timestamp"})
"""Texts that no class stands for: the agent makes them, and they say nothing of anybody."""

_REASONS = {
    ("address", "keep"): "no raw address leaves: name networks in privacy.zones, and open a token with nigrani agent reveal",
    ("address", "drop"): "the detector joins by it: token, or zone for source.address and destination.address",
    ("mac", "keep"): "no raw address leaves: token or drop",
    ("user", "keep"): "it names a person: token or drop",
    ("study", "keep"): "no patient's, study's or accession id leaves as it is: token or drop",
    ("word", "token"): "rules know it by its words: keep or drop",
}


@dataclass(frozen=True)
class Policy:
    """What leaves the host, and in what form."""

    ae_titles: tuple[str, ...] = ()
    """AE titles that leave as they are, where their class leaves as tokens."""
    domains: Literal["token", "suffix", "full"] = "suffix"
    """How much of a DNS name leaves: `token`, `suffix` (the last two labels) or `full`."""
    classes: dict[str, str] = field(default_factory=dict)
    """Class (mac, ae, user, study, name, domain) → `token`, `keep` or `drop`. See docs/privacy.md."""
    fields: dict[str, str] = field(default_factory=dict)
    """Field of an event → `token`, `keep`, `drop` or, for an address, `zone`; goes before its class."""

    def __post_init__(self) -> None:
        """Raises ValueError with every fault."""
        if faults := list(self.faults()):
            raise ValueError(*faults)

    def faults(self) -> Iterator[str]:
        """What cannot be, each with its setting and a remedy."""
        yield from self._faults_of_classes()
        yield from self._faults_of_fields()

    def plan(self, kind: type[Event]) -> dict[str, str]:
        """The dataset's field, by its Python name → way; empty for what holds no text that leaves."""
        wire = {one.name: one.encode_name for one in msgspec.structs.fields(kind)}
        return {name: self._way(wire[name], group) for name, group in classified(kind).items()}

    def _way(self, name: str, group: str) -> str:
        policy = self.fields.get(name) or self.classes.get(group)
        if policy is None:
            return f"domain-{self.domains}" if group == "domain" else group
        return WAYS.get((group, policy), group if policy == "token" else policy)

    def _faults_of_classes(self) -> Iterator[str]:
        for group, policy in self.classes.items():
            place = f"classes.{group}"
            if group not in ALLOWED:
                yield f"{place}: no class of fields is called so; they are {', '.join(CLASSES)}"
            elif group == "word":
                yield f"{place}: rules are made of the words of the standards; name single fields"
            elif group == "address" and policy != "token":
                why = "set it for source.address or destination.address; host.id stays a token"
                yield f"{place}: {policy} is not for every address; {_REASONS.get((group, policy), why)}"
            else:
                yield from _fault(place, group, policy)

    def _faults_of_fields(self) -> Iterator[str]:
        known = _known_fields()
        for name, policy in self.fields.items():
            place = f"fields.{name}"
            if name not in known:
                yield f"{place}: no such field, or one without text; {_near(name, known)}"
            elif name == HOST and policy != "token":
                yield f"{place}: {policy} is not for {HOST}, which says whose story is told; it stays a token"
            elif known[name] == "word" and name in _needed():
                yield f"{place}: a word of the agent's own, or one that its event cannot be without; leave it out"
            else:
                yield from _fault(place, known[name], policy)


@cache
def classified(kind: type[Event]) -> dict[str, str]:
    """Field → class, empty where no text stands. Raises TypeError for a text that no type classifies."""
    groups: dict[str, str] = {}
    for one in cast("msgspec.inspect.StructType", msgspec.inspect.type_info(kind)).fields:
        group, textual = _classify(one.type)
        if textual and not group and one.name not in OURS:
            raise TypeError(f"{kind.__name__}.{one.name} is text, and its type does not say what privacy does to it")
        groups[one.name] = group
    return groups


def _known_fields() -> dict[str, str]:
    """Field, as events have it → class, over all datasets."""
    return {
        one.encode_name: group
        for kind in DATASETS.values()
        for one in msgspec.structs.fields(kind)
        if (group := classified(kind)[one.name])
    }


def _needed() -> frozenset[str]:
    """Words that are required somewhere, or that the agent makes itself."""
    ours = {*Conversation.__struct_encode_fields__}
    for dataset, kind in DATASETS.items():
        own = dataset in {"network.flow", "agent.status"}
        ours |= {one.encode_name for one in msgspec.structs.fields(kind) if own or one.required}
    return frozenset(ours)


def _fault(place: str, group: str, policy: str) -> Iterator[str]:
    if policy not in POLICIES:
        yield f"{place}: {policy!r} is no policy; take {' or '.join(ALLOWED[group])}"
    elif policy not in ALLOWED[group]:
        why = _REASONS.get((group, policy), f"only an address is in a zone: {' or '.join(ALLOWED[group])}")
        yield f"{place}: {policy} is not for the class {group}; {why}"


def _near(name: str, known: Mapping[str, str]) -> str:
    import difflib  # noqa: PLC0415 - only where something is wrong

    found = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {found[0]}?" if found else "docs/privacy.md lists them"


def _classify(info: object) -> tuple[str, bool]:
    """(privacy class, whether text can stand here) of a field's type."""
    if isinstance(info, msgspec.inspect.Metadata):
        return (info.extra or {}).get("privacy", ""), _classify(info.type)[1]
    if isinstance(info, msgspec.inspect.UnionType):
        found = [_classify(part) for part in info.types]
        return next((group for group, _ in found if group), ""), any(textual for _, textual in found)
    if isinstance(info, msgspec.inspect.ListType):
        return _classify(info.item_type)
    if isinstance(info, msgspec.inspect.DictType):  # its keys are the agent's own words
        return _classify(info.value_type)
    return "", not isinstance(info, _NO_TEXT)


_NO_TEXT = (
    msgspec.inspect.IntType,
    msgspec.inspect.FloatType,
    msgspec.inspect.BoolType,
    msgspec.inspect.NoneType,
    msgspec.inspect.DateTimeType,
)
