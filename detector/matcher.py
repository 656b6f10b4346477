"""Joined rules, run on events: what matches, and what that adds up to."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

from detector.absence import Absence
from detector.correlation import Correlation
from detector.rule import Extra, Hit, Known
from detector.rule_join import Counted, Entry, Join, Link
from detector.rule_program import Program
from detector.rule_tree import Constants
from nigrani.stream.event import Event
from nigrani.stream.events import DATASETS

NOTHING_KNOWN = Extra()
NO_HITS: tuple[Hit, ...] = ()


class Matcher:
    """Not for use by several threads at once, for it counts."""

    def __init__(self, join: Join, constants: Constants) -> None:
        self._counted = join.correlations
        self._programs = {
            DATASETS[dataset]: Judged(entries, constants) for dataset, entries in join.entries.items() if entries
        }

    @property
    def correlations(self) -> list[Correlation | Absence]:
        """What counts."""
        return [counted.correlation for counted in self._counted]

    def program(self, kind: type[Event]) -> Judged | None:
        """The rules of one kind of event, compiled."""
        return self._programs.get(kind)

    def empty(self) -> Matcher:
        """The same rules, with nothing counted yet; what was compiled is shared."""
        twin = copy(self)
        twin._counted = [replace(counted, correlation=counted.correlation.empty()) for counted in self._counted]  # noqa: SLF001 - of its own kind
        return twin

    def match(self, event: Event, extra: Known = NOTHING_KNOWN) -> Sequence[Hit]:
        """Return what the rules say of an event; correlations count it."""
        judged = self._programs.get(type(event))
        if judged is None:
            return NO_HITS
        found = judged.match(event, extra)
        if not found:
            return NO_HITS
        hits: list[Hit] = []
        for index in found:
            entry = judged.entries[index]
            if entry.alerts:
                hits.append(_hit(judged, index, event, extra))
            if entry.links:
                begun = len(hits)
                self._count(entry.links, event, hits)
                for hit in hits[begun:]:
                    hit.because = hit.group if hit.event else judged.program.because(index, event, extra)
        return hits

    def _count(self, links: Sequence[Link], event: Event, hits: list[Hit]) -> None:
        for number, base in links:
            counted = self._counted[number]
            if isinstance(counted.correlation, Absence):
                self._tell_absent(counted, counted.correlation.take(event, base), hits)
                continue
            hit = counted.correlation.take(event, base)
            if hit is None:
                continue
            if counted.alerts:
                hits.append(hit)
            self._count(counted.links, event, hits)

    def _tell_absent(self, counted: Counted, found: Sequence[Hit], hits: list[Hit]) -> None:
        """What lacks something, each by its own event and not by the one that made it due."""
        for hit in found:
            if counted.alerts:
                hits.append(hit)
            if hit.event is None:
                continue
            begun = len(hits)
            self._count(counted.links, hit.event, hits)
            for more in hits[begun:]:
                more.event = more.event or hit.event
                more.group = more.group or hit.group


class Judged:
    """The rules of one dataset."""

    __slots__ = ("entries", "match", "program")

    def __init__(self, entries: list[Entry], constants: Constants) -> None:
        self.entries = entries
        self.program = Program([entry.condition for entry in entries], constants)
        self.match = self.program.match


def _hit(judged: Judged, index: int, event: Event, extra: Known) -> Hit:
    return Hit(
        rule=judged.entries[index].rule,
        host=event.host,
        when=event.timestamp,
        first=event.timestamp,
        because=judged.program.because(index, event, extra),
        event_ids=(event.id,),
    )
