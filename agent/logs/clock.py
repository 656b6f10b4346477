"""The time of a log line that does not tell all of it: a year or a zone from elsewhere.

A line's *arrival* is the nearest known moment to its writing: the journal's time stamp, the file's last change, or now.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
LAST = 1 << 32
"""Seconds; what is said to be later is no time of day (2106)."""
AHEAD = timedelta(days=1)
"""A line may seem to come from the future by this much: clocks and zones differ."""

_MOMENT = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)(?:[T ]| - )?(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))? ?(Z|[+-]\d\d:?\d\d)?", re.ASCII
)
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)", re.ASCII)


def zone_named(name: str) -> tzinfo | None:
    """The zone of `Asia/Kolkata`, `+05:30` or `UTC`; None, the host's own, for an empty name. Raises ValueError."""
    if not name:
        return None
    found = _OFFSET.fullmatch(name)
    if found:
        return _offset(found)
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (KeyError, OSError):  # ZoneInfoNotFoundError is a KeyError
        raise ValueError(f"no time zone is called {name!r}; write Asia/Kolkata or +05:30") from None


def now() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


def microseconds(moment: datetime, zone: tzinfo | None, arrival: int = 0) -> int:
    """Microseconds since the epoch; a naive moment is of `zone`. Raises ValueError outside 1970–2106.

    Of the hour that autumn repeats, the one nearer to `arrival` is meant.
    """
    if moment.tzinfo is not None:
        return _checked(moment)
    found = _checked(_placed(moment, zone))
    if not arrival:
        return found
    second = _checked(_placed(moment.replace(fold=1), zone))
    return min(found, second, key=lambda when: abs(when - arrival))


def read_moment(text: str, zone: tzinfo | None, arrival: int = 0) -> int:
    """The time of `2026-08-21 14:26:03.123`, with or without T, /, fraction and offset. Raises ValueError."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise ValueError("no date and time")
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    micro = int((fraction or "0").ljust(6, "0")[:6])
    moment = datetime(int(year), int(month), int(day), int(hour), int(minute), min(int(second), 59), micro)  # noqa: DTZ001 the zone follows
    if offset == "Z":
        moment = moment.replace(tzinfo=UTC)
    elif offset:
        moment = moment.replace(tzinfo=_offset(_OFFSET.fullmatch(offset)))
    return microseconds(moment, zone, arrival)


def yearless(month: int, day: int, clock: tuple[int, int, int, int], zone: tzinfo | None, arrival: int = 0) -> int:
    """The time of a line without a year: the latest one that is not more than a day ahead of its arrival.

    So a line of 31 December read on 1 January is last year's, and one of 1 January is next year's where the host's own
    clock is still behind. clock: hour, minute, second, microsecond. Raises ValueError.
    """
    seen = EPOCH + timedelta(microseconds=arrival or now())
    hour, minute, second, micro = clock
    for year in range(seen.year + 1, seen.year - 9, -1):  # 29 February comes back after eight years at most
        try:
            moment = datetime(year, month, day, hour, minute, min(second, 59), micro)  # noqa: DTZ001 the zone follows
        except ValueError:
            continue
        if _placed(moment, zone) - seen <= AHEAD:
            return microseconds(moment, zone, arrival)
    raise ValueError("no such day")


def _placed(moment: datetime, zone: tzinfo | None) -> datetime:
    try:
        return moment.astimezone(UTC) if zone is None else moment.replace(tzinfo=zone).astimezone(UTC)
    except (OverflowError, OSError):
        raise ValueError("no time of day") from None


def _checked(moment: datetime) -> int:
    when = (moment - EPOCH) // MICROSECOND
    if not 0 < when < LAST * 1_000_000:
        raise ValueError("no time of day")
    return when


def _offset(found: re.Match[str] | None) -> timezone:
    if found is None:
        raise ValueError("no offset")
    amount = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-amount if found[1] == "-" else amount)
