"""`beat_count`: how many gaps between a group's events keep one beat; 0 where they keep none.

Programs that wait for orders call at even gaps, people do not. A beat is where the median of the gaps stands out: the
median absolute deviation is at most a fifth of it, and four gaps of five are within two fifths of it. So a jitter of ±25 %
keeps the beat, one beat of ten may be missed, and independent arrivals, whose deviation is 0.69 of their median, keep none.

Of flow records the beat is where the flow begins; within a long flow, whose record is cut each minute, the pauses of its
originator count instead.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Any

import msgspec

from detector.correlation_kind import Item, Plan, Row, Window
from nigrani.stream.event import Event
from nigrani.stream.events import NetworkFlow

MAX_BEATS = 128
"""Beats, and pauses, of one group that are kept: the newest."""
MERGED = 2.0
"""Seconds within which an event belongs to the beat of the one before, and below which a pause is none."""
DEVIATION = 0.2
"""The greatest median absolute deviation of a beat, in medians."""
NEAR = 0.4
"""How far from the median a gap may be that keeps the beat, in medians."""
KEPT = 0.8
"""The share of gaps that must keep it."""
EVEN = 1.3
"""The longest pause within a minute, at most so many times its even length, where the minute has a beat."""
BURST = 10.0
"""Seconds: a record of a long flow that lasts no longer is one beat."""

NO_BEAT: Row = (None, None)


def beat(event: Event) -> Row:
    """Seconds from the beat to the event's time, and the pause within it, 0 where it is a single beat; or `NO_BEAT`."""
    if type(event) is not NetworkFlow:
        return 0.0, 0.0
    length = event.duration / 1e9
    if event.reason != "active":  # the pause before the end of a connection is its server's patience
        return (length, 0.0) if event.part == 0 else NO_BEAT
    pause = _pause(event.source_gap)
    if pause:
        return length, pause
    return (length, 0.0) if length <= BURST else NO_BEAT


def _pause(gaps: Sequence[int]) -> float:
    """The pauses of a minute, in seconds: their even length, weighed by themselves; the longest where they are uneven.

    Short gaps within a burst weigh nothing in it: the sum of squares over the sum.
    """
    if len(gaps) != 4 or gaps[2] < MERGED * 1e6:
        return 0.0
    _, mean, longest, deviation = gaps
    even = (mean * mean + deviation * deviation) / mean if mean else 0.0
    return (even if longest <= EVEN * even else longest) / 1e6


def steady(gaps: Sequence[float]) -> tuple[int, float]:
    """How many gaps keep one beat, and its length; (0, 0.0) where there is none."""
    if not gaps:
        return 0, 0.0
    middle = median(gaps)
    off = [abs(gap - middle) for gap in gaps]
    kept = sum(1 for one in off if one <= NEAR * middle)
    if kept < KEPT * len(gaps) or median(off) > DEVIATION * middle:
        return 0, 0.0
    return kept, middle


class BeatCount(Window):
    """The newest beats and pauses of a group."""

    def __init__(self, plan: Plan, steps: int) -> None:
        super().__init__(plan, steps)
        self._beats: list[tuple[float, int, float]] = []
        """Where it begins, the step and the moment of its last event; by where it begins."""
        self._pauses: list[tuple[int, float]] = []
        """Step and seconds, by step."""
        self._length = 0.0

    def add(self, step: int, item: Item) -> int:
        """Note a beat or a pause; at the cap the oldest goes."""
        before: Any
        pause: Any
        before, pause = item.value
        if before is None:
            return 0
        kept: list[Any] = self._pauses if pause else self._beats
        if pause:
            insort(kept, (step, pause))
        else:
            self._beat(item.when - before, step)
        if len(kept) <= MAX_BEATS:
            return 0
        del kept[0]
        return 1

    def _beat(self, moment: float, step: int) -> None:
        """Note an event: it joins the beat before it and the one after, so that a burst a beat pushes no beat out."""
        beats = self._beats
        at = bisect_left(beats, (moment,))
        begin = end = moment
        if at and moment - beats[at - 1][2] <= MERGED:
            at -= 1
            begin, before, last = beats.pop(at)
            step, end = max(step, before), max(end, last)
        if at < len(beats) and beats[at][0] - end <= MERGED:
            _, after, last = beats.pop(at)
            step, end = max(step, after), max(end, last)
        beats.insert(at, (begin, step, end))

    def count(self, newest: int) -> int:
        """Drop what has passed and return how many gaps keep the beat."""
        first = newest - self._steps + 1
        self._beats = [beat for beat in self._beats if beat[1] >= first]
        self._pauses = [pause for pause in self._pauses if pause[0] >= first]
        if len(self._beats) + len(self._pauses) <= self._plan.limit:
            return 0
        kept, self._length = steady([*self._gaps(), *(pause for _, pause in self._pauses)])
        return kept

    def _gaps(self) -> list[float]:
        """Seconds from the beginning of a beat to that of the next."""
        return [after[0] - before[0] for before, after in pairwise(self._beats)]

    def oldest(self) -> int:
        """Return the first step that counts."""
        return min([step for _, step, _ in self._beats] + [step for step, _ in self._pauses])

    def told(self) -> str:
        """The beat's length."""
        return f"about {self._length:.3g} s apart"

    def state(self) -> object:
        """Return beats and pauses."""
        return self._beats, self._pauses

    def resume(self, state: object) -> None:
        """See `Window`."""
        beats, pauses = msgspec.convert(state, tuple[list[tuple[float, int, float]], list[tuple[int, float]]])
        self._beats, self._pauses = sorted(beats), sorted(pauses)

    def __len__(self) -> int:
        return len(self._beats) + len(self._pauses)
