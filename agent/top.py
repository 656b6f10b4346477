"""What `nigrani agent top` shows: an agent's last minute as lines that fit a screen."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise

from agent.reading import Reading
from agent.status import Rates, facts, reasons

KEPT = 61.0
"""Seconds of readings that are kept."""
BARS, PLAIN = "▁▂▃▄▅▆▇█", "_.-=+*#@"
SHOWN = ("running", "interfaces", "ring", "flows", "spool", "kafka", "clock", "config")
"""Facts that do not come as rates."""


class Minute:
    """The readings of the last minute, the newest last."""

    def __init__(self) -> None:
        self._readings: deque[Reading] = deque()

    def add(self, reading: Reading) -> None:
        """One more; those that are too old go."""
        self._readings.append(reading)
        while reading.at - self._readings[0].at > KEPT:
            self._readings.popleft()

    @property
    def rates(self) -> Rates | None:
        """Between the last two; None where there are not two yet."""
        return Rates(self._readings[-2], self._readings[-1]) if len(self._readings) > 1 else None

    def course(self, name: str, **labels: str) -> list[float]:
        """A counter's rate over the minute."""
        readings = list(self._readings)
        return [Rates(*pair).of(name, **labels) for pair in pairwise(readings)]


def screen(minute: Minute, width: int, height: int, *, unicode: bool = True) -> list[str]:
    """At most `height` lines of at most `width` columns."""
    rates = minute.rates
    if rates is None:
        return ["waiting for a second look …"[:width]]
    told = dict(facts(rates))
    lines = [_gist(rates)]
    lines += [f"{name:11} {told[name]}" for name in SHOWN if name in told]
    lines.append("")
    lines += _rows(minute, rates, width, BARS if unicode else PLAIN)
    if len(lines) > height:
        lines = [*lines[: height - 1], f"… {len(lines) - height + 1} more"]
    return [line[:width] for line in lines]


def _gist(rates: Rates) -> str:
    why = "; ".join(reasons(rates))
    return f"nigrani agent: {f'not well: {why}' if why else 'well'}"


def _rows(minute: Minute, rates: Rates, width: int, bars: str) -> Iterator[str]:
    """A heading, then a line for each counter: now, in all, and its course."""
    yield f"{'':24}{'now/s':>10} {'in all':>13}  last minute"
    room = max(width - 50, 0)
    named: list[tuple[str, str, dict[str, str]]] = [
        ("packets", "packets_total", {}),
        ("dropped by the kernel", "kernel_dropped_packets_total", {}),
        ("events", "events_total", {}),
        ("events lost", "lost_events_total", {}),
        ("acknowledged by Kafka", "forward_acknowledged_events_total", {}),
    ]
    for name, counters in sorted(rates.now.sources().items()):
        counter = "lines" if "lines" in counters else "looks"
        named.append((f"log {name} {counter}", f"log_{counter}_total", {"source": name}))
    datasets = rates.now.labelled("dataset_events_total", "dataset")
    named += [(name, "dataset_events_total", {"dataset": name}) for name, count in sorted(datasets.items()) if count]
    for title, name, labels in named:
        total = rates.now.value(name, **labels)
        if total is not None:
            spark = sparkline(minute.course(name, **labels), room, bars)
            yield f"{title[:24]:24}{rates.of(name, **labels):>10,.1f} {total:>13,.0f}  {spark}"


def sparkline(values: Sequence[float], room: int, bars: str = BARS) -> str:
    """The last `room` values as bars; the highest fills the line."""
    shown = list(values)[-room:] if room else []
    most = max(shown, default=0)
    if most <= 0:
        return bars[0] * len(shown)
    return "".join(bars[min(int(value / most * (len(bars) - 1) + 0.5), len(bars) - 1)] for value in shown)
