"""What a correlation keeps of one group, by the type of the correlation.

Whatever is kept is bounded: sums by the steps of the window, values and times by a cap at which the oldest goes, counted.
A median of an even number of values is the mean of the middle two; a percentile is the least value that as many reach
(nearest rank). Both are of the newest `MAX_VALUES` values of the window.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

MAX_VALUES = 1024
"""Values of one group whose order is kept."""
MAX_TIMES = 64
"""Matches of one rule in one group whose order with the others' is kept."""

Row = tuple[object, ...]
Value = str | int | float | bool | None
"""What a field that a rule groups by or counts may hold."""
Number = int | float

Expression = int | tuple[str, tuple["Expression", ...]]
"""Of a temporal correlation: the number of a rule, or `and`, `or`, `not` with what they join."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a correlation counts, and what it compares that with."""

    kind: str
    group_by: tuple[str, ...]
    timespan: int
    """Seconds."""
    op: str = "gte"
    limit: Number = 1
    percentile: int = 50
    expression: Expression = ("and", ())
    """What a temporal correlation waits for."""
    fields: tuple[str, ...] = ()
    """Whose values are counted."""
    basis: str = ""
    """A hash of the rules that are counted, as they are written."""
    others: int = field(default=0, repr=False)
    """Of an outlier: so many others there must be. Like `patience` not shown: what was counted is of use with another."""
    patience: int = field(default=0, repr=False)
    """Of an absence: seconds for which what is awaited may come late."""


class Item(NamedTuple):
    """What one event adds."""

    events: int
    """Transactions that the event stands for."""
    value: Row
    base: int
    """Which of the correlation's rules matched."""
    when: float
    """Seconds since the epoch."""


class Window(ABC):
    """What one group showed lately, by steps of time."""

    def __init__(self, plan: Plan, steps: int) -> None:
        self._plan = plan
        self._steps = steps

    @abstractmethod
    def add(self, step: int, item: Item) -> int:
        """Note an event; returns how many values were forgotten to make room."""

    @abstractmethod
    def count(self, newest: int) -> Number | None:
        """Return what the rule compares, over the window that ends at that step; None where there is nothing."""

    @abstractmethod
    def oldest(self) -> int:
        """Return the first step that counts; only after `count`."""

    def told(self) -> str:
        """What to say of the count beside its number; only after `count`."""
        return ""

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

    def __init__(self, plan: Plan, steps: int) -> None:
        super().__init__(plan, steps)
        self._when: deque[int] = deque()
        self._counts: deque[int] = deque()
        self._total = 0

    def add(self, step: int, item: Item) -> int:
        """Add to the step's sum."""
        place = len(self._when)
        if place and step <= self._when[-1]:
            place = bisect_left(self._when, step)
        if place < len(self._when) and self._when[place] == step:
            self._counts[place] += item.events
        else:
            self._when.insert(place, step)
            self._counts.insert(place, item.events)
        self._total += item.events
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

    def __init__(self, plan: Plan, steps: int) -> None:
        super().__init__(plan, steps)
        self._last: dict[Row, int] = {}
        self._cap = max(256, 2 * int(plan.limit) + 2)
        self._pruned = 0

    def add(self, step: int, item: Item) -> int:
        """Note when the value was last seen; at the cap the value longest unseen goes."""
        value = item.value
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


class ValueSum(Window):
    """`value_sum`: a number of the events added up; an absent one is none. `nigrani.count` does not multiply it."""

    def __init__(self, plan: Plan, steps: int) -> None:
        super().__init__(plan, steps)
        self._sums: dict[int, tuple[Number, int]] = {}
        """Step → its sum, and of how many values."""

    def add(self, step: int, item: Item) -> int:
        """Add to the step's sum."""
        value: Any = item.value[0]
        if value is not None:
            total, number = self._sums.get(step, (0, 0))
            self._sums[step] = total + value, number + 1
        return 0

    def count(self, newest: int) -> Number | None:
        """Drop the steps that have passed and return the sum of the others."""
        self._drop(newest)
        return sum(total for total, _ in self._sums.values()) if self._sums else None

    def _drop(self, newest: int) -> None:
        for step in [step for step in self._sums if step <= newest - self._steps]:
            del self._sums[step]

    def oldest(self) -> int:
        """Return the first step that counts."""
        return min(self._sums)

    def state(self) -> object:
        """Return the steps, each with its sum and how many values that is of."""
        return list(self._sums.items())

    def resume(self, state: object) -> None:
        """See `Window`."""
        self._sums = dict(msgspec.convert(state, list[tuple[int, tuple[int | float, int]]]))

    def __len__(self) -> int:
        return len(self._sums)


class ValueAverage(ValueSum):
    """`value_avg`: the mean of a number over the events that have it."""

    def count(self, newest: int) -> Number | None:
        """Drop the steps that have passed and return the mean of the others."""
        total = super().count(newest)
        return None if total is None else total / sum(number for _, number in self._sums.values())


class ValueRank(Window):
    """`value_percentile`: the least value that so many of a hundred reach; an absent one is none."""

    def __init__(self, plan: Plan, steps: int) -> None:
        super().__init__(plan, steps)
        self._seen: list[tuple[int, Number]] = []
        """By step."""
        self._sorted: list[Number] = []

    def add(self, step: int, item: Item) -> int:
        """Note the value in its place; at the cap the oldest goes."""
        value: Any = item.value[0]
        if value is None:
            return 0
        insort(self._seen, (step, value))
        insort(self._sorted, value)
        if len(self._seen) <= MAX_VALUES:
            return 0
        self._drop(1)
        return 1

    def _drop(self, number: int) -> None:
        for _, value in self._seen[:number]:
            del self._sorted[bisect_left(self._sorted, value)]
        del self._seen[:number]

    def count(self, newest: int) -> Number | None:
        """Drop the values that have passed and return the one at the rank."""
        self._drop(bisect_left(self._seen, (newest - self._steps + 1, float("-inf"))))
        return self._ranked() if self._sorted else None

    def _ranked(self) -> Number:
        return self._sorted[(self._plan.percentile * len(self._sorted) + 99) // 100 - 1]

    def oldest(self) -> int:
        """Return the first step that counts."""
        return self._seen[0][0]

    def state(self) -> object:
        """Return the steps and values."""
        return self._seen

    def resume(self, state: object) -> None:
        """See `Window`."""
        self._seen = sorted(msgspec.convert(state, list[tuple[int, int | float]]))
        self._sorted = sorted(value for _, value in self._seen)

    def __len__(self) -> int:
        return len(self._seen)


class ValueMedian(ValueRank):
    """`value_median`: the middle value, or the mean of the middle two."""

    def _ranked(self) -> Number:
        half = len(self._sorted) // 2
        if len(self._sorted) % 2:
            return self._sorted[half]
        return (self._sorted[half - 1] + self._sorted[half]) / 2


class Temporal(Window):
    """`temporal`: 1 where the rules that are awaited have matched within the window, else 0."""

    ordered = False

    def __init__(self, plan: Plan, steps: int) -> None:
        super().__init__(plan, steps)
        self._times: dict[int, list[tuple[int, float]]] = {}
        """Number of a rule → steps and moments at which it matched, in the order of time."""

    def add(self, step: int, item: Item) -> int:
        """Note the rule's match; at the cap its oldest goes."""
        times = self._times.setdefault(item.base, [])
        insort(times, (step, item.when))
        if len(times) <= MAX_TIMES:
            return 0
        del times[0]
        return 1

    def count(self, newest: int) -> int:
        """Drop the matches that have passed and see what the others make."""
        for base, times in list(self._times.items()):
            del times[: bisect_left(times, (newest - self._steps + 1, float("-inf")))]
            if not times:
                del self._times[base]
        return int(self._reached(self._plan.expression, float("-inf")) is not None)

    def _reached(self, expression: Expression, after: float) -> float | None:
        """Return the earliest moment, not before `after`, by which the expression holds; None where it does not."""
        if isinstance(expression, int):
            return next((when for _, when in self._times.get(expression, ()) if when >= after), None)
        word, parts = expression
        if word == "not":
            return after if self._reached(parts[0], float("-inf")) is None else None
        if word == "or":
            return min((one for part in parts if (one := self._reached(part, after)) is not None), default=None)
        end = after
        for part in parts:
            reached = self._reached(part, end)
            if reached is None:
                return None
            end = reached if self.ordered else after
        return end

    def oldest(self) -> int:
        """Return the first step that counts."""
        return min(times[0][0] for times in self._times.values())

    def state(self) -> object:
        """Return each rule's steps and moments."""
        return list(self._times.items())

    def resume(self, state: object) -> None:
        """See `Window`."""
        kept = msgspec.convert(state, list[tuple[int, list[tuple[int, float]]]])
        self._times = {base: sorted(times) for base, times in kept if times}

    def __len__(self) -> int:
        return sum(map(len, self._times.values()))


class TemporalOrdered(Temporal):
    """`temporal_ordered`: as `temporal`, in the order of the rules; of one moment counts as in order."""

    ordered = True


KINDS: dict[str, type[Window]] = {
    "event_count": EventCount,
    "value_count": ValueCount,
    "temporal": Temporal,
    "temporal_ordered": TemporalOrdered,
    "value_sum": ValueSum,
    "value_avg": ValueAverage,
    "value_percentile": ValueRank,
    "value_median": ValueMedian,
}
"""Correlation type → its window."""

TEMPORAL = frozenset({"temporal", "temporal_ordered"})
NUMERIC = frozenset({"value_sum", "value_avg", "value_percentile", "value_median", "value_outlier"})
"""Types that read a number."""
