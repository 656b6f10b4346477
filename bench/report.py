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


def rules(figures: dict[str, Any]) -> str:
    """Events a CPU second, by the number of rules."""
    lines = []
    for one in figures["sets"]:
        peer = one["peer"]
        engine = f"{peer['per_cpu_s']:,} ({peer['rules']} rules)" if "per_cpu_s" in peer else peer["missing"]
        whole = 1 / (1 / one["nigrani"] + 1 / figures["decoded_per_cpu_s"])
        lines.append((
            f"{one['rules']} rules",
            f"{one['nigrani']:,}",
            f"{whole:,.0f}",
            f"{one['interpreter']:,}",
            f"{one['nigrani'] / one['interpreter']:.0f} ×",
            engine,
            f"{one['load_cpu_s']:.2f}",
            "yes" if one["exact"] else "NO",
        ))  # fmt: skip
    header = ("", "events/CPU-s", "with decoding", "plain interpreter", "", "sigma-rule-matcher", "load CPU s", "exact")
    again = figures["reload"]
    waits = f"{again['longest_wait_ms']} ms, and {again['longest_wait_before_ms']} ms before"
    return (
        f"Rules on {figures['events']:,} events\n{table(header, lines)}\n"
        f"{again['rules']} rules loaded anew beside the judging: {again['seconds']} s, swapped in {again['swap_ms']} ms;\n"
        f"the longest wait from event to event {waits}"
    )


def rules_targets(figures: dict[str, Any]) -> list[Target]:
    """What nigrani holds itself to on rules."""
    few, many = figures["sets"][0], figures["sets"][-1]
    again = figures["reload"]
    return [
        Target(f"{few['rules']} rules, decoded events", 100_000, few["nigrani"], "events/CPU-s"),
        Target(f"{many['rules']} rules, decoded events", 50_000, many["nigrani"], "events/CPU-s"),
        Target(f"{again['rules']} rules loaded anew", 2, again["seconds"], "s", at_most=True),
        Target("longest wait of an event meanwhile", 100, again["longest_wait_ms"], "ms", at_most=True),
    ]


def cases(figures: dict[str, Any]) -> str:
    """The case store: a page of each kind, how fast findings go in, and how a storm ends."""
    if "missing" in figures:
        return f"cases: {figures['missing']}"
    storm, steady = figures["storm"], figures["steady"]
    lines = [(name, f"{milliseconds:.1f} ms") for name, milliseconds in figures["pages_ms"].items()]
    return (
        f"Case store of {figures['findings']:,} findings, the slowest of five\n{table(('', 'a page'), lines)}\n"
        f"filled with {figures['rate']:,} findings/s, a case each, and {storm['rate']:,}/s in a storm; "
        f"{figures['bytes_each']:,} bytes each; opened and checked in {figures['open_and_check_s']} s\n"
        f"{steady['offered']:,} findings at 1,000/s: {steady['taken']:,} in the store, the latest after "
        f"{steady['latest_s']} s, pages meanwhile {steady['slowest_page_ms']} ms\n"
        f"a storm of {storm['findings']:,} findings: {storm['cases']} cases, {storm['open']} of them open"
    )


def cases_targets(figures: dict[str, Any]) -> list[Target]:
    """What nigrani holds itself to on cases."""
    if "missing" in figures:
        return []
    slowest = max(figures["pages_ms"].values())
    return [
        Target(f"slowest page of {figures['findings']:,} findings", 200, slowest, "ms", at_most=True),
        Target("findings into the case store", 1000, figures["rate"], "findings/s"),
        Target("cases of a storm of 50,000 findings", 20, figures["storm"]["cases"], "cases", at_most=True),
    ]


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


def transport(figures: dict[str, Any]) -> str:
    """To Kafka, from it, and through it."""
    if "missing" in figures:
        return f"Transport: not run: {figures['missing']}"
    return "\n".join([
        _transport_head(figures),
        "",
        "From spool or file to acknowledgement",
        _ways(figures["produced"], "bytes an event in the log", lambda row: f"{row.counts['bytes'] / row.work:.0f}"),
        "",
        "From topic to decoded events",
        _ways(figures["consumed"], "", None),
        "",
        "From a full topic to alerts, rules and baseline, a partition each; start-up left out",
        _detectors(figures["detectors"]),
        "",
        "From an agent's spool to a detector's poll, steady, in milliseconds",
        _roads(figures["road"]),
        "",
        "From packet to alert counter, in milliseconds",
        _alarms(figures["alarm"]),
    ])  # fmt: skip


def transport_targets(figures: dict[str, Any]) -> list[Target]:
    """What nigrani holds itself to on the way; nothing where it was not measured."""
    if "missing" in figures:
        return []
    single, batch = (figure["steady"] for figure in figures["produced"][:2])
    targets = [
        Target("agent to Kafka, start-up left out", 40_000, single, "events/CPU-s"),
        Target("the same, wire batch", 200_000, batch, "events/CPU-s"),
    ]
    if runs := figures["alarm"].get("runs"):
        longest = max(run["p99"] for run in runs)
        targets.append(Target("packet to alert, 99 of 100", 1000, longest, "ms", at_most=True))
    return targets


def _transport_head(figures: dict[str, Any]) -> str:
    size = f"{figures['events']:,} events of {figures['event_bytes']} bytes"
    return f"Transport, on {figures['kafka']}: {size}, {figures['partitions']} partitions, zstd, acks=all"


def transport_exact(figures: dict[str, Any]) -> bool:
    """Whether nothing of nigrani's was lost, repeated or told twice, as far as it was measured."""
    if "missing" in figures:
        return not figures["failed"]
    ways = [row for row in (*figures["produced"], *figures["consumed"]) if "nigrani" in row["row"]["name"]]
    runs = (*figures["detectors"], *figures["road"], *figures["alarm"].get("runs", ()))
    return all(row[part]["exact"] is not False for row in ways for part in ("row", "start")) and all(
        run["exact"] for run in runs
    )


def _ways(figures: Sequence[dict[str, Any]], last: str, cell: Any) -> str:
    """The first row is the one that the others are compared with."""
    header = ["", "events", "CPU s", "start-up", "events/CPU-s", "without start-up", "to first row"]
    header += [last, "exact"] if cell else ["exact"]
    lines = []
    for figure in figures:
        row, start, steady = Row(**figure["row"]), Row(**figure["start"]), figure["steady"]
        if row.missing:
            continue
        line = [row.name, f"{row.work:,}", _spread(row.cpu), f"{start.seconds:.2f}", f"{row.rate:,.0f}", f"{steady:,.0f}"]
        line.append(f"{steady / figures[0]['steady']:.3g} ×" if figures[0]["steady"] else "–")
        line += [cell(row)] if cell else []
        lines.append([*line, "yes" if row.exact and start.exact else "NO"])
    absent = [f"{figure['row']['name']}: {figure['row']['missing']}" for figure in figures if figure["row"]["missing"]]
    return "\n".join([table(header, lines), *absent])


def _detectors(runs: Sequence[dict[str, Any]]) -> str:
    header = ("", "events", "CPU s", "events/CPU-s", "wall s", "events/s", "start-up CPU s", "peak MB", "alerts", "exact")
    lines = [
        (
            f"{run['detectors']} detector{'s' * (run['detectors'] > 1)}, wire {run['wire']}",
            f"{run['events']:,}",
            f"{run['cpu']:.2f}",
            f"{run['events'] / run['cpu']:,.0f}",
            f"{run['wall']:.1f}",
            f"{run['events'] / run['wall']:,.0f}",
            f"{run['start']:.2f}",
            f"{run['megabytes']:.0f}",
            f"{run['alerts']:,}",
            "yes" if run["exact"] else "NO",
        )
        for run in runs
    ]
    return table(header, lines)


def _roads(runs: Sequence[dict[str, Any]]) -> str:
    header = (
        "",
        "events/s",
        "events",
        "p50",
        "p99",
        "longest",
        "bytes an event in the log",
        "forwarder, % of a core",
        "MB",
        "exact",
    )
    lines = [
        (
            f"wire {run['wire']}, client {run['client']}",
            f"{run['rate']:,.0f}",
            f"{run['events']:,}",
            *_times(run),
            f"{run['bytes']:.0f}",
            f"{100 * run['core']:.1f}",
            f"{run['megabytes']:.0f}",
            "yes" if run["exact"] else "NO",
        )
        for run in runs
    ]
    return table(header, lines)


def _alarms(figures: dict[str, Any]) -> str:
    if "missing" in figures:
        return f"not run: {figures['missing']}"
    header = ("", "alerts", "p50", "p99", "longest", "agent MB", "exact")
    lines = [
        (
            f"beside another agent's {run['load']:,.0f} events/s" if run["load"] else "nothing else on the way",
            f"{run['alerts']:,}",
            *_times(run),
            f"{run['agent_megabytes']:.0f}",
            "yes" if run["exact"] else "NO",
        )
        for run in figures["runs"]
    ]
    return table(header, lines)


def _times(run: dict[str, Any]) -> tuple[str, ...]:
    return tuple(f"{run[name]:.0f}" for name in ("p50", "p99", "longest"))
