"""What keeps a rule's match from alerting: its stage, its last day, and an alert of the same story not long ago.

Time is the events' own, so that a replay holds back what the live run held back.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from functools import cache

from msgspec import Struct

from detector.correlation import reader
from detector.correlation_kind import Row
from detector.counters import Counters
from detector.rule import STAGES, Hit, Rule
from detector.rule_field import event_fields
from nigrani.stream.event import Event

MAX_STORIES = 65_536
"""Stories remembered, of all rules together; beyond it the one told longest ago is forgotten, and may alert again."""

SUPPRESSED, SHADOW, EXPIRED = "suppressed", "shadow", "expired"
REASONS = (SUPPRESSED, SHADOW, EXPIRED)


class Passed(Struct, array_like=True):
    """A story that was told, as it is kept."""

    rule: str
    story: tuple[str, ...]
    when: float
    """Seconds since the epoch."""
    suppressed: int


class Gate:
    """One partition's."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._stories: dict[tuple[str, tuple[str, ...]], Passed] = {}
        """The one told longest ago first."""

    def holds(self, hit: Hit, event: Event) -> bool:
        """Whether the match is counted and no more; a hit that passes knows its story."""
        reason = self._reason(hit, event)
        if reason:
            key = hit.rule.id, reason
            self._counters.held[key] = self._counters.held.get(key, 0) + 1
        return bool(reason)

    def _reason(self, hit: Hit, event: Event) -> str:
        rule = hit.rule
        if rule.expires is not None and hit.when.timestamp() >= _end(rule.expires):
            return EXPIRED
        if rule.suppress is not None and self._told(hit, rule, event):
            return SUPPRESSED
        return SHADOW if rule.stage != STAGES[-1] else ""

    def _told(self, hit: Hit, rule: Rule, event: Event) -> bool:
        """Whether the story was told within the rule's time; if not, it is from now on."""
        assert rule.suppress is not None  # noqa: S101 its caller saw to it; tells mypy
        by = rule.suppress.by
        hit.story = tuple(f"{name}={value}" for name, value in zip(by, _reader(type(event), by)(event), strict=True))
        key = rule.id, hit.story
        when = hit.when.timestamp()
        last = self._stories.get(key)
        if last is not None and abs(when - last.when) < rule.suppress.seconds:
            last.suppressed += 1
            return True
        if last is not None:
            hit.suppressed = last.suppressed
            when = max(when, last.when)
            del self._stories[key]
        elif len(self._stories) >= MAX_STORIES:
            del self._stories[next(iter(self._stories))]
            self._counters.forgotten += 1
        self._stories[key] = Passed(rule.id, hit.story, when, 0)
        return False

    def state(self) -> list[Passed]:
        """What must be kept to go on later."""
        return list(self._stories.values())

    def resume(self, state: list[Passed]) -> None:
        """Go on with what was kept."""
        self._stories = {(passed.rule, passed.story): passed for passed in state[-MAX_STORIES:]}


@cache
def _end(last: date) -> float:
    """When the day is over, UTC, in seconds since the epoch."""
    return datetime.combine(last, time.max, UTC).timestamp()


@cache
def _reader(kind: type[Event], by: tuple[str, ...]) -> Callable[[Event], Row]:
    """What reads those fields of an event; the loader saw that it has them."""
    known = event_fields(kind)
    return reader(tuple(known[name].attribute for name in by))
