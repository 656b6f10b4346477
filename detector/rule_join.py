"""Rules joined: conditions by dataset, and the correlations that count them, which may be counted in their turn."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple, cast

import msgspec
from sigma.correlations import SigmaCorrelationCondition, SigmaCorrelationRule
from sigma.filters import SigmaFilter
from sigma.rule import SigmaRule

from detector.absence import Absence
from detector.condition import Conditions
from detector.correlation import Correlation
from detector.correlation_kind import TEMPORAL
from detector.rule import STAGES, Fault, RefusedError, Rule
from detector.rule_correlation import Base, never_silent, read_correlation, references, single
from detector.rule_detection import parse_condition, unused_selections
from detector.rule_field import fields, nearest
from detector.rule_file import Document
from detector.rule_foreign import ForeignConditions
from detector.rule_own import WITHOUT
from detector.rule_tree import All, Node, settled

Parsed = SigmaRule | SigmaCorrelationRule | SigmaFilter

MAX_NESTING = 8
"""Correlations that count each other, one above the other."""


@dataclass(slots=True)
class Draft:
    """A document whose own parts are sound, not yet joined with the others."""

    document: Document
    rule: Rule
    parsed: Parsed
    conditions: Conditions | None = None
    """How its fields are read; None for a correlation."""
    story: tuple[str, ...] = ("custom", "suppress", "by")
    """Where the fields that it is suppressed by are written."""
    written: Document | None = None
    """The document that they are written in, where it is another's."""

    @property
    def references(self) -> set[str]:
        """The names that others have for it."""
        return {name for name in (self.rule.id, self.rule.name) if name}


class Link(NamedTuple):
    """Where a match is counted."""

    correlation: int
    """Its number."""
    base: int
    """Which of its rules this is."""


@dataclass(slots=True)
class Entry:
    """A compiled condition, what it says by itself, and what counts it."""

    rule: Rule
    condition: Node
    alerts: bool = True
    links: list[Link] = field(default_factory=list)


@dataclass(slots=True)
class Counted:
    """A correlation, what it says by itself, and what counts it."""

    correlation: Correlation | Absence
    alerts: bool = True
    links: list[Link] = field(default_factory=list)


class Join:
    """Drafts that belong together, as what a matcher runs; all that it found is in its attributes."""

    def __init__(
        self, drafts: Iterable[Draft], counted: Iterable[str] = (), *, staged: bool = True, alone: bool = False
    ) -> None:
        """counted: names of rules that alert only through what counts them. staged: whether stage `test` is left out.

        alone: for a rule's own tests: every rule alerts, in whatever stage it is, and needs no id for it.
        """
        self.entries: dict[str, list[Entry]] = {}
        self.correlations: list[Counted] = []
        self.rules: list[Rule] = []
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []
        self._alone = alone
        self._staged = staged and not alone
        self._silent = frozenset(counted)
        self._drafts: dict[str, Draft] = {}
        self._nodes: dict[str, Node | None] = {}
        self._made: dict[str, int] = {}
        self._nesting: dict[int, int] = {}
        drafts = list(drafts)
        for draft in drafts:
            self._drafts |= dict.fromkeys(draft.references, draft)
        for draft in drafts:
            if isinstance(draft.parsed, SigmaRule):
                self._enter(draft, draft.parsed)
        order, circles = in_order(drafts)
        for circle in circles:
            message = f"correlations count each other in a circle: {_titles(circle)}"
            for draft in {id(draft): draft for draft in circle}.values():
                self._refuse(draft, RefusedError(message, "take one out of it", "correlation", "rules"))
        for draft in order:
            self._count(draft)
        self._drop_idle()

    def _enter(self, draft: Draft, parsed: SigmaRule) -> None:
        """Compile a rule of single events."""
        reads = draft.conditions
        assert reads is not None  # noqa: S101 a rule's draft has them; tells mypy
        before = len(reads.warnings)
        try:
            node = parse_condition(reads, parsed.detection)
        except RefusedError as error:
            self._refuse(draft, error)
            return
        del reads.warnings[before:]
        for name in unused_selections(parsed.detection):
            self._warn(draft, f"no condition uses `{name}`", "name it in the condition or remove it", "detection", name)
        condition = self._settle(draft, reads, node)
        if not self._sound(draft):
            return
        alerts = self._alerts(draft)
        if alerts:
            self.rules.append(draft.rule)
        if condition is not None:
            entry = Entry(draft.rule, condition, alerts and self._runs(draft.rule))
            self.entries.setdefault(draft.rule.datasets[0], []).append(entry)
            self._nodes |= dict.fromkeys(draft.references, condition)
        else:
            self._nodes |= dict.fromkeys(draft.references)

    def _settle(self, draft: Draft, reads: Conditions, node: Node) -> Node | None:
        """The condition of a rule that was written for other logs, without what our events cannot tell."""
        if not isinstance(reads, ForeignConditions):
            return node
        sure = settled(node)
        never = sure in {None, All(())} or settled(node, frozenset(reads.false)) in {None, All(())}
        missing = "; ".join(f"{name}: {reason}" for name, reason in reads.missing.items())
        if never:
            told = (
                f"the rule can never match, for our events do not hold what it asks ({missing or 'see its other warnings'})"
            )
            self._warn(draft, told, "write the rule for one of our services, or leave it out")
        elif missing:
            told = f"an exclusion is left out, for our events do not hold what it asks ({missing})"
            self._warn(draft, told, "expect more matches, and write the exclusion as a filter on our fields")
        return None if sure is None or sure == All(()) else reads.only(sure)

    def _count(self, draft: Draft) -> None:
        """Make a correlation of rules that are made already."""
        parsed = draft.parsed
        assert isinstance(parsed, SigmaCorrelationRule)  # noqa: S101 `_in_order` gives no others; tells mypy
        names = references(parsed)
        unknown = [name for name in names if name not in self._nodes and name not in self._made]
        for name in unknown:
            known = [*self._nodes, *self._made]
            self._refuse(draft, unknown_rule(name, known, "correlation", "rules", drafts=self._drafts.values()))
        if not self._sound(draft) or unknown:
            return
        self._nesting[id(draft)] = 1 + max(self._nesting.get(id(self._drafts[name]), 0) for name in names)
        if self._nesting[id(draft)] > MAX_NESTING:
            message = f"over {MAX_NESTING} correlations count each other, one above the other"
            self._refuse(draft, RefusedError(message, "count the rules themselves", "correlation", "rules"))
            return
        bases = [self._base(name) for name in names]
        written = cast("dict[str, Any]", draft.document.data["correlation"])
        told = bases[:1] if written["type"] == WITHOUT else bases
        datasets = tuple(dict.fromkeys(dataset for base in told for dataset in base.datasets))
        rule = msgspec.structs.replace(draft.rule, datasets=datasets)
        draft.rule = rule
        if not self._sound_story(draft):
            return
        try:
            correlation = read_correlation(parsed, rule, bases, written)
        except RefusedError as error:
            self._refuse(draft, error)
            return
        for message, remedy in never_silent(parsed):
            self._warn(draft, message, remedy, "correlation", "condition")
        alerts = self._alerts(draft)
        if alerts:
            self.rules.append(rule)
        number = len(self.correlations)
        self._made |= dict.fromkeys(draft.references or {f"#{number}"}, number)
        self.correlations.append(Counted(correlation, alerts and self._runs(rule)))
        for base, name in enumerate(names):
            for links in self._links_of(name):
                links.append(Link(number, base))

    def _base(self, name: str) -> Base:
        draft = self._drafts[name]
        return Base(name, draft.rule.title, draft.rule.datasets, _basis(draft))

    def _links_of(self, name: str) -> Iterator[list[Link]]:
        """Where the links of what goes by that name are; nowhere for a rule that can never match."""
        if name in self._made:
            yield self.correlations[self._made[name]].links
            return
        rule = self._drafts[name].rule
        for entry in self.entries.get(rule.datasets[0], ()) if rule.datasets else ():
            if entry.rule is rule:
                yield entry.links

    def _drop_idle(self) -> None:
        """Leave out what neither alerts nor is counted by what does: rules in stage test, and what stood only for them."""
        for counted in reversed(self.correlations):
            counted.links = [link for link in counted.links if self._lives(self.correlations[link.correlation])]
        for dataset, entries in self.entries.items():
            for entry in entries:
                entry.links = [link for link in entry.links if self._lives(self.correlations[link.correlation])]
            self.entries[dataset] = [entry for entry in entries if entry.alerts or entry.links]

    @staticmethod
    def _lives(counted: Counted) -> bool:
        return counted.alerts or bool(counted.links)

    def _alerts(self, draft: Draft) -> bool:
        return self._alone or self._silent.isdisjoint(draft.references)

    def _runs(self, rule: Rule) -> bool:
        return not self._staged or rule.stage != STAGES[0]

    def _sound(self, draft: Draft) -> bool:
        """Return whether a rule that alerts has what an alert needs."""
        if self._alone or not self._alerts(draft):
            return True
        missing = [key for key in ("id", "level") if key not in draft.document.data]
        for key in missing:
            self._refuse(draft, RefusedError(f"the rule has no {key}", f"add `{key}:`", key))
        return not missing and (isinstance(draft.parsed, SigmaCorrelationRule) or self._sound_story(draft))

    def _sound_story(self, draft: Draft) -> bool:
        """Return whether the fields that a rule is suppressed by are there in all its events."""
        suppress = draft.rule.suppress
        for number, name in enumerate(suppress.by if suppress else ()):
            for dataset in draft.rule.datasets:
                try:
                    single(name, fields(dataset))
                except RefusedError as error:
                    document = draft.written or draft.document
                    self.faults.append(document.fault(error.message, error.remedy, *draft.story, number))
                    return False
        return True

    def _refuse(self, draft: Draft, error: RefusedError) -> None:
        self.faults.append(draft.document.fault(error.message, error.remedy, *error.keys))

    def _warn(self, draft: Draft, message: str, remedy: str, *keys: str) -> None:
        self.warnings.append(draft.document.fault(message, remedy, *keys))


def unknown_rule(name: str, known: Collection[str], *keys: str, drafts: Iterable[Draft] = (), of: str = "") -> RefusedError:
    """Say that no rule goes by that name.

    drafts: whose files' names and titles are perhaps meant. of: which rules alone were looked at.
    """
    files = {id(draft): draft for draft in drafts if name in {draft.rule.path.stem, draft.rule.title}}
    meant = [draft.rule for draft in files.values() if not draft.references.isdisjoint(known)]
    if meant:
        remedy = "write " + " or ".join(f"`{rule.name or rule.id}` ({rule.title})" for rule in meant)
    elif difflib.get_close_matches(name, known, n=1):
        remedy = nearest(name, known)
    else:
        remedy = "write a rule's `name` or `id`; `nigrani rules list --json` tells them"
    return RefusedError(f"no sound rule {of}is called `{name}`", remedy, *keys)


def threshold(draft: Draft, limit: float) -> None:
    """Set what a correlation compares with. Raises RefusedError where it compares nothing."""
    parsed = draft.parsed
    if not isinstance(parsed, SigmaCorrelationRule) or parsed.type.name.lower() in TEMPORAL:
        raise RefusedError("the rule has no threshold", "override another key", "override", "threshold")
    assert isinstance(parsed.condition, SigmaCorrelationCondition)  # noqa: S101 as `correlation_refusals` saw to; tells mypy
    parsed.condition.count = limit


def in_order(drafts: Sequence[Draft]) -> tuple[list[Draft], list[list[Draft]]]:
    """Correlations, each after those that it counts; and the circles of those that count each other."""
    known = {name: number for number, draft in enumerate(drafts) for name in draft.references}
    graph = {
        number: {known[name] for name in references(draft.parsed) if name in known}
        for number, draft in enumerate(drafts)
        if isinstance(draft.parsed, SigmaCorrelationRule)
    }
    circles = []
    while True:
        try:
            order = list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            circle = error.args[1]
            circles.append([drafts[number] for number in circle])
            for number in set(circle):
                graph.pop(number, None)
        else:
            return [drafts[number] for number in order if number in graph], circles


def _titles(circle: Iterable[Draft]) -> str:
    return " → ".join(draft.rule.name or draft.rule.title for draft in circle)


def _basis(draft: Draft) -> str:
    """A hash of what a rule matches, as it is written."""
    data = draft.document.data
    written = {key: data[key] for key in ("logsource", "detection", "correlation") if key in data}
    return hashlib.sha256(msgspec.json.encode(written)).hexdigest()[:16]
