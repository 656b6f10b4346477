"""Correlations: how many events, or how many different values, one group showed within a sliding window.

Time is the events' own. A window slides in steps of about 1/120 of its length, of a second at least, and never spans
more than its length; what comes late counts as long as it is within the window that ends at the group's newest event. A
rule tells of a group once, and again only when a whole window has passed.

State is bounded: the group not seen for longest is forgotten at the cap. Groups are not forgotten by time, for the
clock of one device says nothing about the events of another.

Sigma specification: sigma-correlation-rules-specification 2.x.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

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

Row = tuple[object, ...]
Value = str | int | float | bool | None
"""What a field that a rule groups by or counts may hold."""


class Forgotten(Struct):
    """What correlations did not count, to stay within their bounds."""

    groups: int = 0
    values: int = 0
    late: int = 0


class Window(ABC):
    """What one group showed lately, by steps of time."""

    def __init__(self, steps: int, limit: int) -> None:
        self._steps = steps
        self._limit = limit

    @abstractmethod
    def add(self, step: int, count: int, value: Row) -> int:
        """Note an event; returns how many values were forgotten to make room."""

    @abstractmethod
    def count(self, newest: int) -> int:
        """Return what the rule compares, over the window that ends at that step."""

    @abstractmethod
    def oldest(self) -> int:
        """Return the first step that counts; only after `count`."""

    @abstractmethod
    def state(self) -> object:
        """Return what must be kept to go on later."""

    @abstractmethod
    def resume(self, state: object) -> None:
        """Go on with what `state` returned. Raises ValueError for anything else."""

    @abstractmethod
    def __len__(self) -> int:
        """Entries held."""


class EventCount(Window):
    """`event_count`: the transactions that the events stand for."""

    def __init__(self, steps: int, limit: int) -> None:
        super().__init__(steps, limit)
        self._when: deque[int] = deque()
        self._counts: deque[int] = deque()
        self._total = 0

    def add(self, step: int, count: int, value: Row) -> int:  # noqa: ARG002 the other kind needs it
        """Add to the step's sum."""
        place = len(self._when)
        if place and step <= self._when[-1]:
            place = bisect_left(self._when, step)
        if place < len(self._when) and self._when[place] == step:
            self._counts[place] += count
        else:
            self._when.insert(place, step)
            self._counts.insert(place, count)
        self._total += count
        return 0

    def count(self, newest: int) -> int:
        """Drop the steps that have passed and return the sum of the others."""
        while self._when and self._when[0] <= newest - self._steps:
            self._when.popleft()
            self._total -= self._counts.popleft()
        return self._total

    def oldest(self) -> int:
        """Return the first step that counts."""
        return self._when[0]

    def state(self) -> object:
        """Return the steps and their sums."""
        return list(self._when), list(self._counts)

    def resume(self, state: object) -> None:
        """See `Window`."""
        when, counts = msgspec.convert(state, tuple[list[int], list[int]])
        if len(when) != len(counts) or when != sorted(when):
            raise ValueError("the steps of a count are not in order, or not as many as its sums")
        self._when.extend(when)
        self._counts.extend(counts)
        self._total = sum(counts)

    def __len__(self) -> int:
        return len(self._when)


class ValueCount(Window):
    """`value_count`: different values; an absent one is none."""

    def __init__(self, steps: int, limit: int) -> None:
        super().__init__(steps, limit)
        self._last: dict[Row, int] = {}
        self._cap = max(256, 2 * limit + 2)
        self._pruned = 0

    def add(self, step: int, count: int, value: Row) -> int:  # noqa: ARG002 the other kind needs it
        """Note when the value was last seen; at the cap the value longest unseen goes."""
        if None in value or "" in value:
            return 0
        step = max(step, self._last.pop(value, step))
        self._last[value] = step
        if len(self._last) <= self._cap:
            return 0
        del self._last[next(iter(self._last))]
        return 1

    def count(self, newest: int) -> int:
        """Drop the values that have passed, at most once a step, and count the others."""
        if newest != self._pruned:
            self._pruned = newest
            self._last = {value: step for value, step in self._last.items() if step > newest - self._steps}
        return len(self._last)

    def oldest(self) -> int:
        """Return the first step that counts."""
        return min(self._last.values(), default=self._pruned)

    def state(self) -> object:
        """Return the values, each with the step it was last seen in, the longest unseen first."""
        return list(self._last.items()), self._pruned

    def resume(self, state: object) -> None:
        """See `Window`."""
        values, self._pruned = msgspec.convert(state, tuple[list[tuple[tuple[Value, ...], int]], int])
        self._last = dict(values)

    def __len__(self) -> int:
        return len(self._last)


KINDS: dict[str, type[Window]] = {"event_count": EventCount, "value_count": ValueCount}
"""Correlation type → its window."""

COMPARE: dict[str, tuple[Callable[[int, int], bool], str]] = {
    "gt": (operator.gt, "more than"),
    "gte": (operator.ge, "at least"),
    "lt": (operator.lt, "fewer than"),
    "lte": (operator.le, "at most"),
    "eq": (operator.eq, "exactly"),
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

    def __init__(
        self,
        rule: Rule,
        kind: str,
        group_by: tuple[str, ...],
        timespan: int,
        condition: tuple[str, int],
        readings: dict[type[Event], Reading],
    ) -> None:
        self.rule = rule
        self.forgotten = Forgotten()
        self._kind = KINDS[kind]
        self._group_by = group_by
        self._width = max(1, timespan // STEPS)
        self._steps = max(1, timespan // self._width)
        self._compare, words = COMPARE[condition[0]]
        self._limit = condition[1]
        self._readings = readings
        self._groups: dict[Row, _Group] = {}
        self._entries = 0
        self._definition = repr((kind, group_by, timespan, condition, sorted(kind.__name__ for kind in readings)))
        self._sentence = f"{rule.unit or 'events'} within {_span(timespan)} (rule: {words} {self._limit})"

    def __len__(self) -> int:
        return len(self._groups)

    @property
    def entries(self) -> int:
        """Steps and values held, over all groups."""
        return self._entries

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
            GroupState(key, group.newest, group.muted, group.late, list(group.ids), _raw(group.window.state()))  # type: ignore[arg-type] # of the values that rules may group by
            for key, group in self._groups.items()
        ]
        return CorrelationState(self._definition, groups)

    def resume(self, state: CorrelationState) -> bool:
        """Go on with what was kept; returns whether it was of this correlation. Raises ValueError for a broken state."""
        if state.definition != self._definition:
            return False
        for kept in state.groups:
            group = _Group(self._kind(self._steps, self._limit), kept.newest)
            group.muted, group.late = kept.muted, kept.late
            group.ids.extend(kept.ids)
            group.window.resume(msgspec.msgpack.decode(kept.window))
            self._groups[kept.key] = group
            self._entries += len(group.window)
        self._forget()
        return True

    def take(self, event: Event) -> Hit | None:
        """Count an event of a base rule; a hit, less its `because`, where the event completes the condition."""
        reading = self._readings[type(event)]
        key = reading.group(event)
        step = _second(event.timestamp) // self._width
        group = self._group(key, step)
        if group is None:
            return None
        before = len(group.window)
        self.forgotten.values += group.window.add(step, event.count, reading.value(event))
        group.ids.append((step, event.id))
        count = group.window.count(group.newest)
        self._entries += len(group.window) - before
        self._forget()
        if group.newest < group.muted or not self._compare(count, self._limit):
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
            group = _Group(self._kind(self._steps, self._limit), step)
        group.late = 0
        group.newest = max(group.newest, step)
        self._groups[key] = group
        return group

    def _forget(self) -> None:
        while len(self._groups) > MAX_GROUPS or (self._entries > MAX_ENTRIES and len(self._groups) > 1):
            oldest = next(iter(self._groups))
            self._entries -= len(self._groups.pop(oldest).window)
            self.forgotten.groups += 1

    def _hit(self, event: Event, key: Row, group: _Group, count: int) -> Hit:
        first = datetime.fromtimestamp(group.window.oldest() * self._width, UTC)
        return Hit(
            rule=self.rule,
            host=event.host,
            when=event.timestamp,
            first=first,
            count=count,
            threshold=f"{count} {self._sentence}",
            event_ids=tuple(id_ for step, id_ in group.ids if step > group.newest - self._steps),
            group=tuple((name, str(value)) for name, value in zip(self._group_by, key, strict=True)),
        )


def _raw(state: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.msgpack.encode(state))


def reader(attributes: tuple[str, ...]) -> Callable[[Event], Row]:
    """Return what reads those attributes of an event into a row."""
    if not attributes:
        return lambda _: ()
    if len(attributes) == 1:
        read = operator.attrgetter(attributes[0])
        return lambda event: (read(event),)
    return operator.attrgetter(*attributes)


def _second(when: datetime) -> int:
    """Return the second since 1970, whatever date and zone an event claims."""
    seconds = when.timestamp() if when.tzinfo else when.replace(tzinfo=UTC).timestamp()
    return min(max(int(seconds), 0), LAST_SECOND)


def _span(seconds: int) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds % size == 0 and seconds > size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
