"""The rules in force: loaded whole or not at all, and run on every event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path

from detector.correlation import Correlation, CorrelationState, Forgotten
from detector.rule import Extra, Fault, Hit, Rule, RuleFaults
from detector.rule_loader import Entry, Loader
from detector.rule_program import Program
from detector.rule_tree import Constants
from nigrani.stream.event import Event
from nigrani.stream.events import DATASETS

NOTHING_KNOWN = Extra()
NO_HITS: tuple[Hit, ...] = ()


class RuleSet:
    """Compiled rules and the state of their correlations.

    Not for use by several threads at once. State begins empty: after a reload each window fills anew.
    """

    def __init__(self, loader: Loader) -> None:
        self.rules: tuple[Rule, ...] = tuple(loader.rules)
        """The rules that alert; the bases of correlations do not."""
        self.faults: tuple[Fault, ...] = tuple(loader.faults)
        """What was left out, where `skip_bad` allowed it."""
        self.warnings: tuple[Fault, ...] = tuple(loader.warnings)
        self.fingerprint = loader.fingerprint
        """SHA-256 over the names and contents of the rule files."""
        self._correlations: tuple[Correlation, ...] = tuple(loader.correlations)
        self._programs = {
            DATASETS[dataset]: _Dataset(entries, loader.constants) for dataset, entries in loader.entries.items()
        }

    @classmethod
    def load(cls, *folders: Path, skip_bad: bool = False) -> RuleSet:
        """Load the rules in all files of the folders. Raises RuleFaults with everything wrong in any of them.

        skip_bad: leave out what is faulty and tell of it in `faults`.
        """
        loader = Loader(folders)
        if loader.faults and not skip_bad:
            raise RuleFaults(loader.faults)
        return cls(loader)

    def empty(self) -> RuleSet:
        """The same rules, with nothing counted yet; what was compiled is shared."""
        twin = copy(self)
        twins = {id(correlation): correlation.empty() for correlation in self._correlations}
        twin._correlations = tuple(twins.values())  # noqa: SLF001 - of its own kind
        twin._programs = {kind: dataset.empty(twins) for kind, dataset in self._programs.items()}  # noqa: SLF001 - of its own kind
        return twin

    def state(self) -> dict[str, CorrelationState]:
        """What must be kept to go on later, by rule id."""
        return {correlation.rule.id: correlation.state() for correlation in self._correlations if len(correlation)}

    def resume(self, state: Mapping[str, CorrelationState]) -> None:
        """Go on with what was kept; rules that are new or have changed begin empty. Raises ValueError."""
        for correlation in self._correlations:
            kept = state.get(correlation.rule.id)
            if kept is not None:
                correlation.resume(kept)

    def match(self, event: Event, extra: Extra = NOTHING_KNOWN) -> Sequence[Hit]:
        """Return what the rules say of an event; correlations count it."""
        dataset = self._programs.get(type(event))
        if dataset is None:
            return NO_HITS
        found = dataset.match(event, extra)
        return dataset.hits(found, event, extra) if found else NO_HITS

    @property
    def evicted(self) -> dict[str, Forgotten]:
        """Rule id → what its correlation could not count within its bounds."""
        return {correlation.rule.id: correlation.forgotten for correlation in self._correlations}


class _Dataset:
    """The rules of one dataset."""

    __slots__ = ("_entries", "_program", "match")

    def __init__(self, entries: list[Entry], constants: Constants) -> None:
        self._entries = entries
        self._program = Program([entry.condition for entry in entries], constants)
        self.match = self._program.match

    def empty(self, twins: Mapping[int, Correlation]) -> _Dataset:
        """The same rules over other correlations, by the ids of those they stand for."""
        twin = copy(self)
        twin._entries = [  # noqa: SLF001 - of its own kind
            replace(entry, correlations=[twins[id(correlation)] for correlation in entry.correlations])
            for entry in self._entries
        ]
        return twin

    def hits(self, found: tuple[int, ...], event: Event, extra: Extra) -> list[Hit]:
        """Hits of the entries that matched, and of the correlations that they complete."""
        hits = []
        for index in found:
            entry = self._entries[index]
            if entry.alerts:
                hits.append(self._hit(index, event, extra))
            for correlation in entry.correlations:
                hit = correlation.take(event)
                if hit is not None:
                    hit.because = self._program.because(index, event, extra)
                    hits.append(hit)
        return hits

    def _hit(self, index: int, event: Event, extra: Extra) -> Hit:
        return Hit(
            rule=self._entries[index].rule,
            host=event.host,
            when=event.timestamp,
            first=event.timestamp,
            because=self._program.because(index, event, extra),
            event_ids=(event.id,),
        )
