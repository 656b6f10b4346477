"""A case's story as a plot: one lane a device and kind, of many devices one a kind; findings as marks along one time axis.

Places are in percent of the plot's width, so that the page draws it at any width without scaling its letters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from detector.cases.case import SEVERITIES, Finding

MAX_LANES = 12
"""Beyond it the least urgent share one lane."""
NEAR = 2.2
"""Percent of the width within which marks of a lane become one."""
DENSE = 16
"""Marks of a lane from which it is drawn as columns, as high as there are findings."""
LEAST = timedelta(minutes=2)
MARGIN = 3.0
"""Percent kept free at both ends."""
TICKS = 6
_STEPS = (10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)

_Key = tuple[str, str]


class Mark(NamedTuple):
    """One finding, or several of a lane that are too near to tell apart."""

    x: float
    since: float
    """Where its first event was, as `x`."""
    size: int
    finding: Finding
    """The most severe."""


class Lane(NamedTuple):
    """What one device did of one kind."""

    device: str
    """Empty where there are several."""
    devices: int
    title: str
    """Empty of the lane that the least urgent share."""
    size: int
    marks: tuple[Mark, ...]

    @property
    def dense(self) -> bool:
        """Whether its marks are too many to be told apart."""
        return len(self.marks) >= DENSE

    def height(self, mark: Mark) -> float:
        """Of a column, in percent: by the logarithm, for storms are told from single findings and not from each other."""
        return round(100 * math.log1p(mark.size) / math.log1p(max(one.size for one in self.marks)), 1)


class Tick(NamedTuple):
    """A place on the axis."""

    x: float
    when: datetime
    """In the zone's time."""
    utc: datetime
    day: bool
    """Whether the day is told in place of the time."""


class Timeline(NamedTuple):
    """The whole plot."""

    lanes: tuple[Lane, ...]
    ticks: tuple[Tick, ...]
    devices: int
    shared: int
    """Lanes that share the last one."""
    format: str
    """Of ticks, for strftime."""


def draw(findings: Sequence[Finding], zone: tzinfo) -> Timeline | None:
    """The plot of some findings, its ticks on round hours of a time zone; None where there are none."""
    if not findings:
        return None
    scale = _Scale(findings)
    groups: dict[_Key, list[Finding]] = {}
    ordered = sorted(findings, key=lambda one: (one.when, one.uid))
    apart = len({(one.device, one.kind) for one in findings}) <= MAX_LANES
    for one in ordered:
        groups.setdefault((one.device if apart else "", one.kind), []).append(one)
    kept, rest = _choose(groups)
    lanes = [_lane(groups[key][0].title, groups[key], scale) for key in kept]
    if rest:
        others = sorted((one for key in rest for one in groups[key]), key=lambda one: one.when)
        lanes.append(_lane("", others, scale))
    devices = len({one.device for one in findings})
    return Timeline(tuple(lanes), tuple(_ticks(scale, zone)), devices, len(rest), "%H:%M:%S" if scale.step < 60 else "%H:%M")


class _Scale:
    """Moment → percent of the width."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.first = min(min(one.first, one.when) for one in findings)
        self.last = max(one.when for one in findings)
        if self.last - self.first < LEAST:
            middle = self.first + (self.last - self.first) / 2
            self.first, self.last = middle - LEAST / 2, middle + LEAST / 2
        seconds = (self.last - self.first).total_seconds()
        step = next((step for step in _STEPS if seconds / step <= TICKS), 0)
        self.step = step or 86_400 * (int(seconds / 86_400 / TICKS) + 1)
        """Seconds between ticks."""

    def __call__(self, when: datetime) -> float:
        part = (when - self.first) / (self.last - self.first)
        return round(MARGIN + part * (100 - 2 * MARGIN), 2)


def _choose(groups: dict[_Key, list[Finding]]) -> tuple[list[_Key], list[_Key]]:
    """The lanes that are shown, in the order in which devices and kinds appeared, and those that share one."""
    begun: dict[str, int] = {}
    for device, _ in groups:
        begun.setdefault(device, len(begun))
    urgent = sorted(groups, key=lambda key: -max(map(_severity, groups[key])))
    room = MAX_LANES if len(groups) <= MAX_LANES else MAX_LANES - 1
    order = list(groups)
    kept = sorted(urgent[:room], key=lambda key: (begun[key[0]], order.index(key)))
    return kept, urgent[room:]


def _lane(title: str, findings: Sequence[Finding], scale: _Scale) -> Lane:
    marks: list[Mark] = []
    for one in findings:
        mark = Mark(scale(one.when), scale(min(one.first, one.when)), 1, one)
        if marks and mark.x - marks[-1].x < NEAR:
            before = marks.pop()
            worst = max(before.finding, one, key=_severity)
            mark = Mark(before.x, before.since, before.size + 1, worst)
        marks.append(mark)
    devices = {one.device for one in findings}
    return Lane(next(iter(devices)) if len(devices) == 1 else "", len(devices), title, len(findings), tuple(marks))


def _severity(finding: Finding) -> int:
    return SEVERITIES.index(finding.severity)


def _ticks(scale: _Scale, zone: tzinfo) -> Iterator[Tick]:
    """Round times of the zone; where days pass, midnights of it."""
    local = scale.first.astimezone(zone).replace(tzinfo=None)
    begin = local.replace(hour=0, minute=0, second=0, microsecond=0)
    step = timedelta(seconds=scale.step)
    naive = begin + (local - begin) // step * step
    day = local.date()
    for _ in range(TICKS * 2 + 2):
        when = naive.replace(tzinfo=zone)
        if when > scale.last:
            return
        if when >= scale.first:
            yield Tick(scale(when), when, when.astimezone(UTC), scale.step >= 86_400 or naive.date() != day)
            day = naive.date()
        if scale.last - when < step:
            return
        naive += step
