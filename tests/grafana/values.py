"""Numbers as Grafana's units show them, as far as the shipped dashboards use them."""

from __future__ import annotations

import math
from typing import Any

TIMES = (
    ("y", 31536000),
    ("mo", 2628000),
    ("wk", 604800),
    ("d", 86400),
    ("h", 3600),
    ("min", 60),
    ("s", 1),
    ("ms", 1e-3),
    ("µs", 1e-6),
)
TIME_NAMES = {"y": "years", "mo": "months", "wk": "weeks", "d": "days", "h": "hours", "min": "mins", "s": "s"}
BINARY = ("B", "KiB", "MiB", "GiB", "TiB")
SHORT = ("", "K", "Mil", "Bil", "Tri")
RATES = {"pps": "p/s", "eps": "evt/s", "reqps": "req/s", "cps": "c/s"}


def shown(value: float, given: dict[str, Any], now: float = 0.0) -> str:
    """A value by the `mappings`, `unit` and `decimals` of a field."""
    for mapping in given.get("mappings", ()):
        for key, word in mapping["options"].items():
            if key == f"{value:g}":
                return str(word["text"])
    return "NaN" if math.isnan(value) else _measured(value, given.get("unit", "short"), given.get("decimals"), now)


def _measured(value: float, unit: str, decimals: int | None, now: float) -> str:
    if unit == "s":
        return _time(value, decimals)
    if unit == "dateTimeFromNow":
        return _time(now - value / 1000, 0) + " ago"
    if unit == "percentunit":
        return f"{_number(value * 100, decimals)}%"
    if unit == "bytes":
        return _scaled(value, 1024, BINARY, decimals)
    if unit == "short" or unit in RATES:
        return f"{_scaled(value, 1000, SHORT, decimals)} {RATES.get(unit, '')}".strip()
    return _number(value, decimals)


def colour(value: float, given: dict[str, Any]) -> str:
    """What the mappings or else the thresholds make of it."""
    for mapping in given.get("mappings", ()):
        for key, word in mapping["options"].items():
            if key == f"{value:g}" and "color" in word:
                return str(word["color"])
    steps = given.get("thresholds", {}).get("steps", [{"color": "green", "value": None}])
    return next(str(step["color"]) for step in reversed(steps) if step["value"] is None or value >= step["value"])


def _time(value: float, decimals: int | None) -> str:
    if value == 0:
        return "0 s"
    name, size = next(((name, size) for name, size in TIMES if abs(value) >= size), TIMES[-1])
    return f"{_number(value / size, decimals if size > 1 or decimals else None)} {TIME_NAMES.get(name, name)}"


def _scaled(value: float, base: int, names: tuple[str, ...], decimals: int | None) -> str:
    place = 0
    while abs(value) >= base and place < len(names) - 1:
        value, place = value / base, place + 1
    return f"{_number(value, decimals if place == 0 or decimals else None)}{' ' if names[place] else ''}{names[place]}"


def _number(value: float, decimals: int | None) -> str:
    if decimals is None:
        decimals = 0 if value == int(value) else max(0, 2 - math.floor(math.log10(abs(value)))) if abs(value) < 100 else 0
        return f"{value:,.{min(decimals, 6)}f}".rstrip("0").rstrip(".") if decimals else f"{value:,.0f}"
    return f"{value:,.{decimals}f}"
