"""One rule on events, with what it nearly matched: which clause failed, and how far a count came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from detector.correlation import shown
from detector.correlation_kind import TEMPORAL, Number
from detector.matcher import Matcher
from detector.rule import STAGES, Hit, Known, Rule
from detector.rule_cases import family
from detector.rule_join import Draft, Join
from detector.rule_loader import Loader
from detector.rule_program import Clause
from detector.ruleset import RuleSet
from nigrani.stream.event import Event


class Told(NamedTuple):
    """What one event came to."""

    kind: str
    """alert: the rule itself; counted: a rule that it counts; near: all but one clause of either."""
    rule: Rule
    event: Event
    why: tuple[str, ...]


class Trial:
    """One rule, and all that it counts, in whatever stage."""

    def __init__(self, loader: Loader, draft: Draft) -> None:
        known = {name: one for one in loader.drafts for name in one.references}
        self._matcher = Matcher(Join(family(draft, known), alone=True), loader.constants)
        self._draft = draft
        self.rule = draft.rule
        self.seen = 0
        """Events that the rule reads."""
        self.kinds: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        """Clause → near misses that failed by it alone."""
        self.peak: tuple[Number, str] | None = None
        """The most that the rule's own count came to, and of which group."""

    def take(self, event: Event, extra: Known) -> Iterator[Told]:
        """What there is to tell of the event, in the order of the rules."""
        judged = self._matcher.program(type(event))
        if judged is None:
            return
        self.seen += 1
        for hit in self._matcher.match(event, extra):
            kind = "alert" if hit.rule is self.rule else "counted"
            yield self._note(Told(kind, hit.rule, hit.event or event, _because(hit)))
        matched = judged.match(event, extra)
        for index, entry in enumerate(judged.entries):
            if index not in matched:
                failed = _failed(judged.program.clauses(index, event, extra))
                if failed is not None:
                    self.failed[failed.says] += 1
                    yield self._note(Told("near", entry.rule, event, (failed.missed(),)))
        self._look()

    def run(self, events: Iterable[tuple[Event, Known]]) -> Iterator[Told]:
        """The same, of many."""
        for event, extra in events:
            yield from self.take(event, extra)

    def _note(self, told: Told) -> Told:
        self.kinds[told.kind] += 1
        return told

    def _look(self) -> None:
        """Note how far the group came that the rule counted last."""
        for correlation in self._matcher.correlations:
            if correlation.rule is self.rule and correlation.plan.kind not in TEMPORAL:
                latest = correlation.latest()
                if latest is not None and (self.peak is None or latest[0] > self.peak[0]):
                    self.peak = latest

    def wanted(self) -> str:
        """What the rule's count is compared with; empty for a rule that counts nothing."""
        found = [one for one in self._matcher.correlations if one.rule is self.rule]
        return found[0].sentence if found else ""

    def peak_words(self) -> str:
        """How far the count came."""
        if self.peak is None:
            return ""
        count, group = self.peak
        return f"the most was {shown(count)} {self.wanted()}" + (f", of {group}" if group else "")


def by_themselves(loader: Loader, drafts: Sequence[Draft]) -> RuleSet:
    """These rules alone, each in stage `on` and without a last day; what they count is silent."""
    known = {name: one for one in loader.drafts for name in one.references}
    for draft in drafts:
        draft.rule = msgspec.structs.replace(draft.rule, stage=STAGES[-1], expires=None)
    members = {id(one): one for draft in drafts for one in family(draft, known)}
    chosen = {id(draft) for draft in drafts}
    silent = {name for one in members.values() if id(one) not in chosen for name in one.references}
    return RuleSet(loader, Join(members.values(), silent))


def _because(hit: Hit) -> tuple[str, ...]:
    counted = (hit.threshold,) if hit.threshold else ()
    return counted + tuple(f"{name} = {_value(value)}" for name, value in hit.because)


def _value(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _failed(clauses: list[Clause]) -> Clause | None:
    """The clause that failed alone; None where several did, or nothing that the rule asks for is there."""
    failed = [clause for clause in clauses if not clause.held]
    near = any(clause.held and not clause.forbids for clause in clauses)
    return failed[0] if len(failed) == 1 and near else None
