"""`value_outlier`: how far the member of a group that is furthest out is from the others, in their robust deviations.

Each member's newest value is held against those of all the others and never against its own, so that one that is far out
does not widen the range it is judged by. The deviation is 1.4826 times the others' median absolute deviation, which is the
standard deviation of normal values, and no less than a tenth of their median: few members agree by chance.
"""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import msgspec

from detector.correlation_kind import Item, Plan, Value, Window

MAX_MEMBERS = 1024
"""Members of one group whose value is kept."""
NORMAL = 1.4826
LEAST_DEVIATION = 0.1
"""In medians of the others."""
LARGEST = 1e300
"""What is not finite counts as this."""

_Member = tuple[Value, int, float]


class ValueOutlier(Window):
    """The newest value of each member; an absent value, or one of nobody, is none."""

    def __init__(self, plan: Plan, steps: int) -> None:
        super().__init__(plan, steps)
        self._members: dict[Value, tuple[int, float]] = {}
        """Who → step and value, the one longest unheard first."""
        self._furthest: tuple[Value, float, float] = ("", 0.0, 0.0)
        """Who, its value, and the others' median."""

    def add(self, step: int, item: Item) -> int:
        """Note the member's value; at the cap the member longest unheard goes."""
        value: Any
        who: Any
        value, who = item.value
        if value is None or who in {None, ""}:
            return 0
        before = self._members.pop(who, None)
        if before is not None and before[0] > step:
            self._members[who] = before
            return 0
        self._members[who] = step, value if math.isfinite(value) else math.copysign(LARGEST, value)
        if len(self._members) <= MAX_MEMBERS:
            return 0
        del self._members[next(iter(self._members))]
        return 1

    def count(self, newest: int) -> float | None:
        """Drop members that have passed and return the greatest distance; None below so many others."""
        first = newest - self._steps + 1
        self._members = {who: kept for who, kept in self._members.items() if kept[0] >= first}
        if len(self._members) <= self._plan.others:
            return None
        furthest = -1.0
        for who, value in self._candidates():
            others = [other for member, (_, other) in self._members.items() if member != who]
            middle = median(others)
            spread = NORMAL * median(abs(other - middle) for other in others)
            distance = abs(value - middle) / max(spread, LEAST_DEVIATION * abs(middle), 1e-12)
            if distance > furthest:
                furthest, self._furthest = distance, (who, value, middle)
        return furthest

    def _candidates(self) -> list[tuple[Value, float]]:
        """The least and the greatest: no other is further out."""
        order = sorted(((value, str(who), who) for who, (_, value) in self._members.items()), key=lambda one: one[:2])
        return [(who, value) for value, _, who in (order[0], order[-1])]

    def oldest(self) -> int:
        """Return the first step that counts."""
        return min(step for step, _ in self._members.values())

    def told(self) -> str:
        """Who is out, with which value, and where the others are."""
        who, value, middle = self._furthest
        return f"{who} has {value:.3g}, the others about {middle:.3g}"

    def state(self) -> object:
        """Return each member's step and value."""
        return [(who, step, value) for who, (step, value) in self._members.items()]

    def resume(self, state: object) -> None:
        """See `Window`."""
        self._members = {who: (step, value) for who, step, value in msgspec.convert(state, list[_Member])}

    def __len__(self) -> int:
        return len(self._members)
