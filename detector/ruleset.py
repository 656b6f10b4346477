"""The rules in force: loaded whole or not at all, and run on every event."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from datetime import date
from pathlib import Path

from detector.correlation import CorrelationState, Forgotten
from detector.matcher import NO_HITS, NOTHING_KNOWN, Matcher
from detector.rule import STAGES, Fault, Rule, RuleFaults
from detector.rule_join import Join
from detector.rule_loader import Loader

__all__ = ["NOTHING_KNOWN", "NO_HITS", "RuleSet"]


class RuleSet:
    """Compiled rules and the state of their correlations.

    Not for use by several threads at once.
    """

    def __init__(self, loader: Loader, join: Join | None = None) -> None:
        """join: of some of the loader's rules, where not all of them are meant."""
        join = join or loader.join
        self.rules: tuple[Rule, ...] = tuple(sorted(join.rules, key=lambda rule: rule.path))
        """The rules that alert, in whatever stage; the bases of correlations do not."""
        self.faults: tuple[Fault, ...] = tuple(loader.faults)
        """What was left out, where `skip_bad` allowed it."""
        self.warnings: tuple[Fault, ...] = tuple(loader.warnings)
        self.today = loader.today
        """By which it was judged what has expired."""
        self.fingerprint = loader.fingerprint
        """SHA-256 over the names and contents of the rule files."""
        self._matcher = Matcher(join, loader.constants)
        self.match = self._matcher.match
        """What the rules say of an event; correlations count it."""

    @classmethod
    def load(cls, *folders: Path, skip_bad: bool = False, today: date | None = None) -> RuleSet:
        """Load the rules in all files of the folders. Raises RuleFaults with everything wrong in any of them.

        skip_bad: leave out what is faulty and tell of it in `faults`. today: what expired before it is not in force.
        """
        loader = Loader(folders, today=today)
        if loader.faults and not skip_bad:
            raise RuleFaults(loader.faults)
        return cls(loader)

    @property
    def in_force(self) -> tuple[Rule, ...]:
        """The rules that are evaluated: those in stage `test` are not."""
        return tuple(rule for rule in self.rules if rule.stage != STAGES[0])

    def empty(self) -> RuleSet:
        """The same rules, with nothing counted yet; what was compiled is shared."""
        twin = copy(self)
        twin._matcher = self._matcher.empty()  # noqa: SLF001 - of its own kind
        twin.match = twin._matcher.match  # noqa: SLF001 - as above
        return twin

    def state(self) -> dict[str, CorrelationState]:
        """What must be kept to go on later, by rule id."""
        return {one.rule.id: one.state() for one in self._matcher.correlations if len(one)}

    def resume(self, state: Mapping[str, CorrelationState]) -> None:
        """Go on with what was kept; rules that are new or have changed begin empty. Raises ValueError."""
        for correlation in self._matcher.correlations:
            kept = state.get(correlation.rule.id)
            if kept is not None:
                correlation.resume(kept)

    def adopt(self, other: RuleSet) -> None:
        """Go on with what the correlations of another set have counted, where they are the same; it counts no more."""
        others = {one.rule.id: one for one in other._matcher.correlations}
        for correlation in self._matcher.correlations:
            before = others.get(correlation.rule.id)
            if before is not None:
                correlation.adopt(before)

    @property
    def evicted(self) -> dict[str, Forgotten]:
        """Rule id → what its correlation could not count within its bounds."""
        return {one.rule.id: one.forgotten for one in self._matcher.correlations}
