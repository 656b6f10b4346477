"""Lengths of time as people write them: `30m`, `12h`, `7d`."""

from __future__ import annotations

import re

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
LONGEST = 100 * 365 * 86_400
"""Seconds; what is longer takes a date out of the calendar."""
_TEXT = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def duration(text: str) -> float:
    """Its seconds. Raises ValueError for what is no length of time, or of no length."""
    match = _TEXT.fullmatch(text.strip())
    if match is None or float(match[1]) == 0:
        raise ValueError(f"{text!r} is no length of time: write a number and one of {', '.join(_UNITS)}, such as 7d")
    seconds = float(match[1]) * _UNITS[match[2]]
    if seconds > LONGEST:
        raise ValueError(f"{text[:50]!r} is longer than a hundred years")
    return seconds
