"""The benchmark's tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from bench.measure import Row


class Target(NamedTuple):
    """A figure that nigrani holds itself to."""

    name: str
    wanted: float
    measured: float
    unit: str
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether it is held."""
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted

    def line(self) -> str:
        """In words."""
        relation = "at most" if self.at_most else "at least"
        verdict = "met" if self.met else "MISSED"
        return f"{verdict:6}  {self.name}: {_number(self.measured)} {self.unit} ({relation} {_number(self.wanted)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Columns; the first to the left, the others to the right."""
    widths = [max(len(line[column]) for line in (header, *lines)) for column in range(len(header))]
    rows = []
    for line in (header, *lines):
        cells = [cell.ljust(width) if not index else cell.rjust(width) for index, (cell, width) in
                 enumerate(zip(line, widths, strict=True))]  # fmt: skip
        rows.append("  ".join(cells).rstrip())
    return "\n".join(rows)


def network(rows: Sequence[Row]) -> str:
    """Packets to flow records."""
    header = ("", "packets", "CPU s", "packets/CPU-s", "to first row", "peak MB", "flows", "exact")
    return _rows(header, rows, lambda row: _count(row, "flows"))


def detection(rows: Sequence[Row]) -> str:
    """Events to alerts."""
    header = ("", "events", "CPU s", "events/CPU-s", "to first row", "peak MB", "alerts", "exact")
    return _rows(header, rows, lambda row: _count(row, "alerts"))


def _rows(header: Sequence[str], rows: Sequence[Row], last: Any) -> str:
    """The first row is the one that the others are compared with."""
    lines = [
        (
            row.name,
            f"{row.work:,}",
            _spread(row.cpu),
            f"{row.rate:,.0f}",
            f"{row.rate / rows[0].rate:.3g} ×" if rows[0].rate else "–",
            f"{row.megabytes:.0f}" if row.peak else f"<{row.floor / 1024 + 1:.0f}",
            last(row),
            {True: "yes", False: "NO", None: "–"}[row.exact],
        )
        for row in rows
        if not row.missing
    ]
    absent = [f"{row.name}: {row.missing}" for row in rows if row.missing]
    return "\n".join([table(header, lines), *absent])


def _spread(values: Sequence[float]) -> str:
    """The median, with the smallest and the largest."""
    middle = sorted(values)[len(values) // 2] if len(values) % 2 else sum(sorted(values)[len(values) // 2 - 1 :][:2]) / 2
    return f"{middle:.2f} ({min(values):.2f}–{max(values):.2f})" if len(values) > 1 else f"{middle:.2f}"


def _count(row: Row, name: str) -> str:
    return f"{row.counts[name]:,}" if name in row.counts else "–"


def models(figures: dict[str, Any]) -> str:
    """Rows a CPU second, one at a time and 512 together."""
    if "missing" in figures:
        return f"models: {figures['missing']}"
    lines = [
        (name, f"{rates['1']:,}", f"{rates['512']:,}", f"{1e6 / rates['1']:,.0f} µs")
        for name, rates in figures["rates"].items()
    ]
    text = table(("", "rows/CPU-s, 1 a call", "512 a call", "one row's wait"), lines)
    return f"{text}\nlargest difference between the forest and its frozen form: {figures['largest_difference']:.0e}"


def spool(figures: dict[str, Any]) -> str:
    """One line."""
    if "missing" in figures:
        return f"spool: {figures['missing']}"
    return (
        f"spool, batches of 500, synced every 100 ms or MiB: {figures['published_per_cpu_s']:,} events published and "
        f"{figures['read_per_cpu_s']:,} read per CPU second"
    )
