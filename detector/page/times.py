"""Moments and spans as the page tells them: the site's time and UTC side by side, and how long ago or to go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from detector.reports.clocks import IST

FIXED: dict[str, tzinfo] = {"Asia/Kolkata": IST, "UTC": UTC}
"""Zones without summer time, known also where the system has no table of zones."""
_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


def time_zone(name: str) -> tzinfo:
    """The zone of that name. Raises ValueError where this system knows none."""
    if name in FIXED:
        return FIXED[name]
    try:
        return ZoneInfo(name)
    except (OSError, KeyError, ValueError):
        raise ValueError(f"no time zone {name!r} here, such as Asia/Kolkata or UTC; Debian's are in tzdata") from None


class Times:
    """Words for moments, in one site's time zone."""

    def __init__(self, zone: str) -> None:
        self.zone = time_zone(zone)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Times) and self.zone is other.zone

    def __hash__(self) -> int:
        return hash(self.zone)

    def local(self, when: datetime) -> datetime:
        """The moment in the site's time."""
        return when.astimezone(self.zone)

    def day(self, when: datetime) -> str:
        """`22 Nov 2026`, by the site's calendar."""
        return f"{self.local(when):%d %b %Y}".lstrip("0")

    def clock(self, when: datetime, *, seconds: bool = False) -> str:
        """`10:34 IST`."""
        return f"{self.local(when):{'%H:%M:%S' if seconds else '%H:%M'}} {self.name(when)}"

    def utc(self, when: datetime, *, seconds: bool = False) -> str:
        """`05:04 UTC`, with the day where it is another than the site's."""
        there = when.astimezone(UTC)
        day = "" if there.date() == self.local(when).date() else f"{there:%d %b} ".lstrip("0")
        return f"{day}{there:{'%H:%M:%S' if seconds else '%H:%M'}} UTC"

    def full(self, when: datetime) -> str:
        """Both, to the second, in one line."""
        if self.local(when).utcoffset() == timedelta(0):
            return f"{self.day(when)} {self.utc(when, seconds=True)}"
        return f"{self.day(when)} {self.clock(when, seconds=True)} · {self.utc(when, seconds=True)}"

    def name(self, when: datetime) -> str:
        """`IST`; of a zone without letters its offset."""
        name = self.local(when).tzname() or ""
        return name if name.isalpha() else f"UTC{name}"


def span(seconds: float) -> str:
    """`5 h 12 min`: the two greatest units, cut and not rounded up, so that no time is promised that is not there."""
    left = max(int(seconds), 0)
    for at, (unit, size) in enumerate(_UNITS):
        if left >= size:
            rest = left % size
            below = _UNITS[at + 1] if at + 1 < len(_UNITS) and at < 2 else None
            more = f" {rest // below[1]} {below[0]}" if below and rest >= below[1] else ""
            return f"{left // size} {unit}{more}"
    return "0 s"


def ago(when: datetime, now: datetime) -> str:
    """`12 min ago`, one unit; what is ahead of our clock is told as such."""
    seconds = (now - when).total_seconds()
    if seconds < -60:
        return f"in {_one(-seconds)}"
    return "just now" if seconds < 5 else f"{_one(seconds)} ago"


def _one(seconds: float) -> str:
    words = span(seconds).split()
    return " ".join(words[:2])
