"""What rules would have said of events of some time back: matches, and the alerts that an operator would have seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from detector.alert import Alert
from detector.beside import NAMES_NONE
from detector.config import Devices
from detector.counters import Counters
from detector.engine import MINIMUM_LEVELS, Engine
from detector.gate import SUPPRESSED
from detector.rule import Hit, Known, Rule
from detector.ruleset import NOTHING_KNOWN, RuleSet
from nigrani.stream.event import Event

if TYPE_CHECKING:
    from detector.engine import Knowledge

MAX_DEVICES = 65_536
"""Devices told apart."""
SHOWN = 20
"""Alerts kept to be shown."""


@dataclass
class Verdict:
    """Of one rule."""

    rule: Rule
    matches: Counter[str] = field(default_factory=Counter)
    """Day → matches."""
    alerts: Counter[str] = field(default_factory=Counter)
    """Day → alerts."""
    devices: Counter[str] = field(default_factory=Counter)
    """Device → matches."""
    suppressed: int = 0
    shown: list[Alert] = field(default_factory=list)

    @property
    def alone(self) -> bool:
        """Whether the rule's level is one that alerts by itself."""
        return self.rule.level in MINIMUM_LEVELS


class Backtest:
    """Rules on events, judged as the detector judges, with nothing told to anybody."""

    def __init__(self, rules: RuleSet, knowledge: Knowledge | None = None, devices: Devices = NAMES_NONE) -> None:
        self.events = 0
        self.days: list[str] = []
        self.verdicts = {rule.id: Verdict(rule) for rule in rules.rules}
        self._counters = Counters()
        own = rules.empty()
        self._match = own.match
        own.match = self._matched
        self._engine = Engine(own, self._alert, knowledge, counters=self._counters, devices=devices)

    def run(self, events: Iterable[Event]) -> None:
        """Judge the events, in their order."""
        days: dict[str, None] = {}
        for event in events:
            self.events += 1
            days[_day(event)] = None
            self._engine.feed(event)
        self._engine.close()
        self.days = sorted(days)
        for (rule, reason), count in self._counters.held.items():
            if reason == SUPPRESSED:
                self.verdicts[rule].suppressed += count

    def _matched(self, event: Event, extra: Known = NOTHING_KNOWN) -> Sequence[Hit]:
        hits = self._match(event, extra)
        for hit in hits:
            verdict = self.verdicts[hit.rule.id]
            verdict.matches[_day(event)] += 1
            if hit.host in verdict.devices or len(verdict.devices) < MAX_DEVICES:
                verdict.devices[hit.host] += 1
        return hits

    def _alert(self, alert: Alert) -> None:
        verdict = self.verdicts.get(alert.kind)
        if verdict is None:  # an anomaly, or the sum of weak signs
            return
        verdict.alerts[alert.when.strftime("%Y-%m-%d")] += 1
        if len(verdict.shown) < SHOWN:
            verdict.shown.append(alert)


def _day(event: Event) -> str:
    return event.timestamp.strftime("%Y-%m-%d")
