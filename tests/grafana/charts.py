"""Graphs, bars and heat maps as inline SVG."""

from __future__ import annotations

import html
import math
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.grafana.asking import Series, Span
from tests.grafana.dashboards import Panel
from tests.grafana.values import colour, shown

PAINTS = {
    "green": "#73bf69", "yellow": "#fade2a", "orange": "#ff9830", "red": "#f2495c", "blue": "#5794f2", "purple": "#b877d9",
    "dark-purple": "#8f3bb8", "dark-green": "#37872d", "text": "#ccccdc",
}  # fmt: skip
"""Grafana's names of colours, in its dark theme."""
PALETTE = (
    "#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0", "#37872d", "#fade2a", "#447ebc",
    "#c15c17", "#890f02", "#0a437c", "#6d1f62",
)  # fmt: skip
INK, FAINT = "#9a9aab", "#2a2d33"
CALCULATED: dict[str, Callable[[list[float]], float]] = {"sum": sum, "max": max, "lastNotNull": lambda values: values[-1]}
"""What a legend may tell of a series."""
ROW = 18
"""Height of a line of a legend, in pixels."""


class Drawn(NamedTuple):
    """What a panel shows."""

    inside: str
    background: str = ""


class Frame(NamedTuple):
    """Where a graph is drawn: pixels of its edges, and what they stand for."""

    left: float
    top: float
    right: float
    bottom: float
    span: Span
    low: float
    high: float

    def x(self, at: float) -> float:
        """Of a time."""
        return self.left + (self.right - self.left) * (at - self.span.start) / (self.span.end - self.span.start)

    def y(self, value: float) -> float:
        """Of a value."""
        value = min(max(value, self.low), self.high)
        return self.bottom - (self.bottom - self.top) * (value - self.low) / (self.high - self.low or 1)


def named(pattern: str, labels: dict[str, str], expression: str = "") -> str:
    """A series' name by a legend's pattern."""
    if pattern in {"", "__auto"}:
        return ", ".join(f"{key}={value}" for key, value in labels.items() if key != "__name__") or expression
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: labels.get(match[1], ""), pattern)


def graph(panel: Panel, series: list[tuple[str, Series]], span: Span, width: int, height: int) -> str:
    """Lines or bars over time, stacked or not, with a legend below or beside."""
    config = panel["fieldConfig"]["defaults"]
    custom, legend = config["custom"], panel["options"]["legend"]
    beside = legend["placement"] == "right"
    series = [(name, Series(one.labels, [p for p in one.points if not math.isnan(p[1])])) for name, one in series]
    inks = _inks(panel, [name for name, _ in series])
    layers = _layers([one.points for _, one in series], stacked=custom["stacking"]["mode"] == "normal")
    highest = max((top for layer in layers for _, _, top in layer), default=1.0)
    lowest = min((top for layer in layers for _, _, top in layer), default=0.0)
    low = config.get("min", min(lowest, 0.0))
    high = config.get("max", _ceiling(highest if highest > low else low + 1))
    gone = min(300, width // 3) if beside else 0
    frame = Frame(68, 6, width - 10 - gone, height - (24 if beside else 24 + ROW), span, low, high)
    parts = [_axes(frame, config)]
    drawn = _bars if custom["drawStyle"] == "bars" else _line
    for ink, layer in reversed(list(zip(inks, layers, strict=True))):
        parts.append(drawn(frame, layer, ink, custom))
    if custom["thresholdsStyle"]["mode"] != "off":
        parts.append(_ladder(frame, config))
    room = (width - gone, 12, width, height - ROW) if beside else (10, height - 12, width - 24, height)
    parts.append(_legend(list(zip(inks, series, strict=True)), config, legend, room))
    return f'<svg width="{width}" height="{height}" font-size="11" fill="{INK}">{"".join(parts)}</svg>'


def _inks(panel: Panel, names: list[str]) -> list[str]:
    fixed = {
        one["matcher"]["options"]: PAINTS.get(given["value"]["fixedColor"], given["value"]["fixedColor"])
        for one in panel["fieldConfig"]["overrides"]
        for given in one["properties"]
        if given["id"] == "color"
    }
    return [fixed.get(name, PALETTE[place % len(PALETTE)]) for place, name in enumerate(names)]


def _layers(points: list[list[tuple[float, float]]], *, stacked: bool) -> list[list[tuple[float, float, float]]]:
    """Time, bottom and top of each point."""
    below: dict[float, float] = {}
    layers = []
    for one in points:
        layer = []
        for at, value in one:
            base = below.get(at, 0.0) if stacked else 0.0
            below[at] = base + value
            layer.append((at, base, base + value))
        layers.append(layer)
    return layers


def _ceiling(value: float) -> float:
    """The next round number."""
    power = 10.0 ** math.floor(math.log10(abs(value))) if value else 1.0
    return next(power * step for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if power * step >= value)


def _axes(frame: Frame, config: dict[str, Any]) -> str:
    parts = []
    seen = set()
    for place in range(5):
        value = frame.low + (frame.high - frame.low) * place / 4
        text = shown(value, {**config, "decimals": config.get("decimals")}, frame.span.end)
        parts.append(f'<path d="M{frame.left} {frame.y(value):.1f}H{frame.right}" stroke="{FAINT}"/>')
        if text not in seen:
            parts.append(
                f'<text x="{frame.left - 6}" y="{frame.y(value) + 4:.1f}" text-anchor="end">{html.escape(text)}</text>'
            )
        seen.add(text)
    return "".join(parts) + _hours(frame)


def _hours(frame: Frame) -> str:
    parts = []
    length = frame.span.end - frame.span.start
    many = max(2, int((frame.right - frame.left) // 90))
    for place in range(many):
        at = frame.span.start + length * (place + 0.5) / many
        clock = time.strftime("%H:%M:%S" if length < 600 else "%H:%M" if length < 90000 else "%m-%d %H:%M", time.gmtime(at))
        parts.append(f'<text x="{frame.x(at):.0f}" y="{frame.bottom + 15:.0f}" text-anchor="middle">{clock}</text>')
    return "".join(parts)


def _line(frame: Frame, layer: list[tuple[float, float, float]], ink: str, custom: dict[str, Any]) -> str:
    parts = []
    for run in _runs(layer, frame.span.step):
        tops = " ".join(f"{frame.x(at):.1f},{frame.y(top):.1f}" for at, _, top in run)
        floor = " ".join(f"{frame.x(at):.1f},{frame.y(base):.1f}" for at, base, _ in reversed(run))
        parts.append(f'<polygon points="{tops} {floor}" fill="{ink}" fill-opacity="{custom["fillOpacity"] / 100}"/>')
        parts.append(f'<polyline points="{tops}" fill="none" stroke="{ink}" stroke-width="1.3"/>')
    return "".join(parts)


def _runs(layer: list[tuple[float, float, float]], step: float) -> list[list[tuple[float, float, float]]]:
    """Points without a gap between them."""
    runs: list[list[tuple[float, float, float]]] = []
    for point in layer:
        if runs and point[0] - runs[-1][-1][0] <= step * 1.5:
            runs[-1].append(point)
        else:
            runs.append([point])
    return runs


def _bars(frame: Frame, layer: list[tuple[float, float, float]], ink: str, custom: dict[str, Any]) -> str:
    wide = max((frame.right - frame.left) * frame.span.step / (frame.span.end - frame.span.start) * 0.7, 1.0)
    return "".join(
        f'<rect x="{frame.x(at) - wide / 2:.1f}" y="{frame.y(top):.1f}" width="{wide:.1f}" '
        f'height="{max(frame.y(base) - frame.y(top), 0):.1f}" fill="{ink}" fill-opacity=".85"/>'
        for at, base, top in layer
        if top > base
    )


def _ladder(frame: Frame, config: dict[str, Any]) -> str:
    """The thresholds as dashed lines."""
    parts = []
    for step in config["thresholds"]["steps"]:
        if step["value"] is not None and frame.low < step["value"] <= frame.high:
            y, ink = frame.y(step["value"]), PAINTS.get(step["color"], step["color"])
            parts.append(f'<path d="M{frame.left} {y:.1f}H{frame.right}" stroke="{ink}" stroke-dasharray="5 4"/>')
    return "".join(parts)


def _legend(
    entries: list[tuple[str, tuple[str, Series]]],
    config: dict[str, Any],
    legend: dict[str, Any],
    room: tuple[float, float, float, float],
) -> str:
    """room: left, top, right and bottom; what finds none in it is counted."""
    x, y, right, bottom = room
    parts = []
    for place, (ink, (name, one)) in enumerate(entries):
        values = [value for _, value in one.points]
        told = name + "".join(f"  {shown(CALCULATED[calc](values), config)}" for calc in legend["calcs"] if values)
        beside, long = legend["placement"] == "right", 17 + 6.3 * len(told)
        if (beside and y > bottom) or (not beside and x + long > right and place):
            parts.append(f'<text x="{x}" y="{y + 3}">+{len(entries) - place}</text>')
            break
        parts.append(f'<rect x="{x}" y="{y - 3}" width="12" height="3" fill="{ink}"/>')
        parts.append(f'<text x="{x + 17}" y="{y + 3}">{html.escape(told)}</text>')
        x, y = (x, y + ROW) if beside else (x + long + 14, y)
    return "".join(parts)


def bar_gauge(series: list[tuple[str, Series]], config: dict[str, Any], width: int, height: int) -> str:
    """A bar a series, its name before and its value behind it."""
    values = [(name, one.points[-1][1]) for name, one in series]
    most = max((value for _, value in values), default=1.0) or 1.0
    line = min(34.0, (height - 8) / max(len(values), 1))
    start = 12 + 6.9 * max(len(name) for name, _ in values)
    parts = []
    for place, (name, value) in enumerate(values):
        y, ink = 6 + place * line, PAINTS.get(colour(value, config), colour(value, config))
        long = max((width - start - 70) * value / most, 1)
        parts.append(f'<text x="{start - 8}" y="{y + line / 2 + 3:.0f}" text-anchor="end">{html.escape(name)}</text>')
        parts.append(
            f'<rect x="{start}" y="{y:.0f}" width="{long:.0f}" height="{line * 0.75:.0f}" fill="{ink}" fill-opacity=".7"/>'
        )
        text = html.escape(shown(value, config))
        parts.append(
            f'<text x="{start + long + 8:.0f}" y="{y + line / 2 + 4:.0f}" fill="{ink}" font-size="14">{text}</text>'
        )
    return f'<svg width="{width}" height="{height}" font-size="12" fill="{INK}">{"".join(parts)}</svg>'


def heatmap(series: list[Series], span: Span, width: int, height: int) -> str:
    """Buckets of a histogram over time: what is in each alone, by the shade."""
    bounds = sorted(series, key=lambda one: float(one.labels["le"]))
    frame = Frame(68, 6, width - 10, height - 24, span, 0, len(bounds))
    below: dict[float, float] = {}
    cells: list[tuple[float, int, float]] = []
    for place, one in enumerate(bounds):
        for at, value in one.points:
            cells.append((at, place, max(value - below.get(at, 0.0), 0.0)))
            below[at] = value
    most = max((value for _, _, value in cells), default=1.0) or 1.0
    wide = (frame.right - frame.left) * span.step / (span.end - span.start)
    tall = (frame.bottom - frame.top) / len(bounds)
    parts = [
        f'<rect x="{frame.x(at) - wide:.1f}" y="{frame.y(place + 1):.1f}" width="{wide:.1f}" height="{tall - 1:.1f}" '
        f'fill="#ff9830" fill-opacity="{0.12 + 0.88 * math.sqrt(value / most):.2f}"/>'
        for at, place, value in cells
        if value > 0
    ]
    for place, one in enumerate(bounds):
        y = frame.y(place + 0.5) + 4
        parts.append(f'<text x="{frame.left - 6}" y="{y:.0f}" text-anchor="end">{html.escape(one.labels["le"])}</text>')
    return f'<svg width="{width}" height="{height}" font-size="11" fill="{INK}">{"".join(parts)}{_hours(frame)}</svg>'
