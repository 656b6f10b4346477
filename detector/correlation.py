"""Correlations: what one group showed within a sliding window, as `correlation_kind` counts it.

Time is the events' own. A window slides in steps of about 1/120 of its length, of a second at least, and never spans
more than its length; what comes late counts as long as it is within the window that ends at the group's newest event. A
rule tells of a group once, and again only when a whole window has passed. Absence (`not`, `lt`) is judged when an event
comes, for silence brings none.

State is bounded: the group not seen for longest is forgotten at the cap. Groups are not forgotten by time, for the
clock of one device says nothing about the events of another.

Sigma specification: sigma-correlation-rules-specification 2.x.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from detector.correlation_kind import KINDS, TEMPORAL, Item, Number, Plan, Row, Value, Window
from detector.outlier import ValueOutlier
from detector.rhythm import BeatCount
from detector.rule import Hit, Rule
from nigrani.stream.event import Event

MAX_GROUPS = 10_000
"""Groups that one correlation follows."""
MAX_ENTRIES = 100_000
"""Steps and values that one correlation holds, over all groups."""
MAX_TIMESPAN = 7 * 86_400
MAX_LIMIT = 10_000
"""Greatest number of different values a rule may ask for."""
STEPS = 120
EVENT_IDS = 10
LATE_RUN = 64
"""Late events in a row after which a group's clock is taken to have been set back."""
LAST_SECOND = 253_402_300_799
"""The end of the year 9999."""


class Forgotten(Struct):
    """What correlations did not count, to stay within their bounds."""

    groups: int = 0
    values: int = 0
    late: int = 0


WINDOWS: dict[str, type[Window]] = {**KINDS, "beat_count": BeatCount, "value_outlier": ValueOutlier}
"""Sigma's types of correlation, and ours."""

COMPARE: dict[str, tuple[Callable[[Number, Number], bool], str]] = {
    "gt": (operator.gt, "more than"),
    "gte": (operator.ge, "at least"),
    "lt": (operator.lt, "fewer than"),
    "lte": (operator.le, "at most"),
    "eq": (operator.eq, "exactly"),
    "neq": (operator.ne, "other than"),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """How the events of one dataset are read."""

    group: Callable[[Event], Row]
    value: Callable[[Event], Row]


class GroupState(Struct, array_like=True):
    """A group as it is kept."""

    key: tuple[Value, ...]
    newest: int
    muted: int
    late: int
    ids: list[tuple[int, str]]
    window: msgspec.Raw


class CorrelationState(Struct):
    """What a correlation has counted, as it is kept."""

    definition: str
    """What it counts: state of another definition is of no use to it."""
    groups: list[GroupState]
    absence: msgspec.Raw = msgspec.Raw(b"\xc0")
    """In place of the groups, where absence is judged."""


class _Group:
    """One group's window."""

    __slots__ = ("ids", "late", "muted", "newest", "window")

    def __init__(self, window: Window, newest: int) -> None:
        self.window = window
        self.newest = newest
        self.muted = newest
        self.late = 0
        self.ids: deque[tuple[int, str]] = deque(maxlen=EVENT_IDS)


class Correlation:
    """A threshold on what a group shows within a timespan."""

    def __init__(self, rule: Rule, plan: Plan, readings: Sequence[Mapping[type[Event], Reading]], what: str = "") -> None:
        """readings: of each rule that is counted, how its events are read. what: that is counted, in words."""
        self.rule = rule
        self.plan = plan
        self.forgotten = Forgotten()
        self._kind = WINDOWS[plan.kind]
        self._width = max(1, plan.timespan // STEPS)
        self._steps = max(1, plan.timespan // self._width)
        self._compare, words = COMPARE[plan.op]
        self._readings = readings
        self._groups: dict[Row, _Group] = {}
        self._entries = 0
        self.definition = definition(plan, readings)
        self.sentence = f"{what or rule.unit or 'events'} within {span(plan.timespan)}"
        if plan.kind not in TEMPORAL:
            self.sentence += f" (rule: {words} {plan.limit})"

    def __len__(self) -> int:
        return len(self._groups)

    @property
    def entries(self) -> int:
        """Steps and values held, over all groups."""
        return self._entries

    def latest(self) -> tuple[Number, str] | None:
        """What the group seen last comes to, and who that is; None before any."""
        key = next(reversed(self._groups), None)
        count = None if key is None else self._groups[key].window.count(self._groups[key].newest)
        if key is None or count is None:
            return None
        return count, ", ".join(f"{name} {value}" for name, value in zip(self.plan.group_by, key, strict=True))

    def empty(self) -> Correlation:
        """The same correlation, with nothing counted yet."""
        twin = copy(self)
        twin.forgotten = self.forgotten  # of all twins together
        twin._groups = {}  # noqa: SLF001 - of its own kind
        twin._entries = 0  # noqa: SLF001 - of its own kind
        return twin

    def state(self) -> CorrelationState:
        """What must be kept to go on later."""
        groups = [
            GroupState(key, group.newest, group.muted, group.late, list(group.ids), raw(group.window.state()))  # type: ignore[arg-type] # of the values that rules may group by
            for key, group in self._groups.items()
        ]
        return CorrelationState(self.definition, groups)

    def adopt(self, other: object) -> None:
        """Go on with what another has counted, where it counts the same; the other counts no more."""
        if isinstance(other, Correlation) and other.definition == self.definition:
            self._groups, self._entries = other._groups, other._entries  # noqa: SLF001 - of its own kind

    def resume(self, state: CorrelationState) -> bool:
        """Go on with what was kept; returns whether it was of this correlation. Raises ValueError for a broken state."""
        if state.definition != self.definition:
            return False
        for kept in state.groups:
            group = _Group(self._kind(self.plan, self._steps), kept.newest)
            group.muted, group.late = kept.muted, kept.late
            group.ids.extend(kept.ids)
            group.window.resume(msgspec.msgpack.decode(kept.window))
            self._groups[kept.key] = group
            self._entries += len(group.window)
        self._forget()
        return True

    def take(self, event: Event, base: int = 0) -> Hit | None:
        """Count an event of a rule; a hit, less its `because`, where the event completes the condition."""
        reading = self._readings[base][type(event)]
        key = reading.group(event)
        when = second(event.timestamp)
        step = int(when) // self._width
        group = self._group(key, step)
        if group is None:
            return None
        before = len(group.window)
        self.forgotten.values += group.window.add(step, Item(event.count, reading.value(event), base, when))
        group.ids.append((step, event.id))
        count = group.window.count(group.newest)
        self._entries += len(group.window) - before
        self._forget()
        if count is None or group.newest < group.muted or not self._compare(count, self.plan.limit):
            return None
        group.muted = group.newest + self._steps
        return self._hit(event, key, group, count)

    def _group(self, key: Row, step: int) -> _Group | None:
        """Bring the key's group to that step; None where the event is too late to count."""
        group = self._groups.pop(key, None)
        if group is not None and step <= group.newest - self._steps:
            group.late += 1
            if group.late < LATE_RUN:
                self._groups[key] = group
                self.forgotten.late += 1
                return None
            self._entries -= len(group.window)
            group = None
        if group is None:
            group = _Group(self._kind(self.plan, self._steps), step)
        group.late = 0
        group.newest = max(group.newest, step)
        self._groups[key] = group
        return group

    def _forget(self) -> None:
        while len(self._groups) > MAX_GROUPS or (self._entries > MAX_ENTRIES and len(self._groups) > 1):
            oldest = next(iter(self._groups))
            self._entries -= len(self._groups.pop(oldest).window)
            self.forgotten.groups += 1

    def _hit(self, event: Event, key: Row, group: _Group, count: Number) -> Hit:
        first = datetime.fromtimestamp(group.window.oldest() * self._width, UTC)
        return Hit(
            rule=self.rule,
            host=event.host,
            when=event.timestamp,
            first=first,
            count=count,
            threshold=self._told(group.window, count),
            event_ids=tuple(id_ for step, id_ in group.ids if step > group.newest - self._steps),
            group=tuple((name, str(value)) for name, value in zip(self.plan.group_by, key, strict=True)),
        )

    def _told(self, window: Window, count: Number) -> str:
        if self.plan.kind in TEMPORAL:
            return self.sentence
        detail = window.told()
        return f"{shown(count)} {self.sentence}" + (f": {detail}" if detail else "")


def raw(state: object) -> msgspec.Raw:
    """State as it is kept within another."""
    return msgspec.Raw(msgspec.msgpack.encode(state))


def reader(attributes: tuple[str, ...]) -> Callable[[Event], Row]:
    """Return what reads those attributes of an event into a row."""
    if not attributes:
        return lambda _: ()
    if len(attributes) == 1:
        read = operator.attrgetter(attributes[0])
        return lambda event: (read(event),)
    return operator.attrgetter(*attributes)


def definition(plan: Plan, readings: Sequence[Mapping[type[Event], object]]) -> str:
    """What is counted, in a text that is equal where state is of use to both."""
    return f"{plan} of {[sorted(kind.__name__ for kind in reading) for reading in readings]}"


def second(when: datetime) -> float:
    """Return the seconds since 1970, whatever date and zone an event claims."""
    seconds = when.timestamp() if when.tzinfo else when.replace(tzinfo=UTC).timestamp()
    return min(max(seconds, 0), LAST_SECOND)


def shown(count: Number) -> str:
    """A number as a sentence has it."""
    return str(count) if isinstance(count, int) else f"{count:.6g}"


def span(seconds: int) -> str:
    """A length of time as a sentence has it."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds % size == 0 and seconds > size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
