"""Writes docs/metrics.md from the registries of agent and detector and from docs/metrics.yaml, so that it cannot drift.

`python -m nigrani.metrics_reference --write docs/metrics.md`, or `--check` in its place.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from nigrani.reference import write_or_check
from nigrani.service.endpoint import ENDS, Connections
from nigrani.service.exposition import FamilyLike
from nigrani.service.process import Process
from nigrani.stream.events import DATASETS

NOTES = Path(__file__).parents[1] / "docs" / "metrics.yaml"
SHOWN = 12
"""Values of a label that are listed; beyond it their number stands there."""
BOUND = 2_000
"""Series of one process, as shipped; a scrape of them takes some 40 ms."""
SOURCE = "NAME"
"""Stands for the name of a source of logs."""
UNITS = ("seconds", "bytes", "ratio", "percent", "events")
HEAD = "| metric | type | unit | labels | | when to worry |\n|---|---|---|---|---|---|"
INTRODUCTION = """# Metrics

Written from the code by `make docs`; `make check` refuses a page that has drifted. How to scrape them, and the rules
and alerts made of them, are in [monitoring.md](monitoring.md).

**What a label never holds**: a device, a person, an address, an AE title, a path, a case's number or free text. Labels
have the values that are listed here and no others; what is of no known value is counted as `other`. All series are
there from the start, at 0, so that the first of a kind counts in `increase()`. Which site a series is of is a label of
the *target*, set where Prometheus scrapes, not of the metric.

**How many series there are**: fewer than {detector} of a detector with the shipped rules, and two to five more for each
rule of the site's own; fewer than {agent} of an agent with every part of it at work and one source of logs, and {source}
at most for each further source (64 sources at most). No process has more than {bound} as shipped, and nothing that is
seen on the network or read in a log makes a series.
"""


class Row(NamedTuple):
    """A metric."""

    name: str
    kind: str
    labels: Mapping[str, list[str]]
    """Label → its values, sorted; those of buckets ascend."""
    text: str
    series: int

    @property
    def unit(self) -> str:
        """As its name says."""
        words = self.name.removesuffix("_total").split("_")
        return "timestamp" if words[-2:] == ["timestamp", "seconds"] else words[-1] if words[-1] in UNITS else ""


def detector() -> list[Row]:
    """All of a detector with the shipped rules."""
    counters: Any = importlib.import_module("detector.counters")  # numpy is loaded only here
    metrics: Any = importlib.import_module("detector.metrics")
    reach: Any = importlib.import_module("detector.reach")
    cases: Any = importlib.import_module("detector.cases.metrics")
    page: Any = importlib.import_module("detector.page.metrics")
    setup: Any = importlib.import_module("detector.setup")
    whole = metrics.Metrics(setup.load_rules(), counters.Counters())
    more = [*reach.Reach().collect(), *cases.CaseMetrics(None, lambda: whole.kinds).collect()]
    more += page.PageMetrics(None).collect()
    return list(_rows([*whole.registry.collect(), *more]))


def agent() -> list[Row]:
    """All of an agent with interfaces, a map, logs, a time server and Kafka."""
    metrics: Any = importlib.import_module("agent.metrics")  # the detector's package is without
    standing: Any = importlib.import_module("agent.standing")
    reload: Any = importlib.import_module("agent.reload")
    config: Any = importlib.import_module("agent.config")
    whole = _Whole(metrics)
    found = [*metrics.AgentMetrics(whole).collect(), *standing.Standing(whole, str).collect()]
    found += reload.Reload(config.AgentConfig(), config.AgentConfig, ()).collect()
    return list(_rows([*found, *_delivery(config), *_clock(config)]))


def both() -> list[Row]:
    """What every service has."""
    return list(_rows([*Connections(dict.fromkeys(ENDS, 0)).collect(), *Process(Path.cwd()).collect()]))


class _Whole:
    """Counts everything that an agent may count."""

    def __init__(self, metrics: Any) -> None:
        self._metrics = metrics

    def counters(self) -> dict[str, int]:
        return dict.fromkeys(self._metrics.TEXTS, 0)

    def log_counters(self) -> dict[str, dict[str, int]]:
        return {SOURCE: dict.fromkeys(self._metrics.LOG_TEXTS, 0)}

    def datasets(self) -> dict[str, int]:
        return {name: 0 for name in DATASETS if name != "agent.status"}


def _delivery(config: Any) -> list[FamilyLike]:
    delivery: Any = importlib.import_module("agent.delivery")
    letters: Any = importlib.import_module("agent.deadletter")
    forwarder: Any = importlib.import_module("agent.forwarder")
    message: Any = importlib.import_module("nigrani.stream.kafka.message")  # kafka-python is loaded only here
    producer: Any = importlib.import_module("nigrani.stream.kafka.producer")
    settings: Any = importlib.import_module("nigrani.stream.kafka.settings")
    memory: Any = importlib.import_module("nigrani.stream.memory")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        route = producer.Route(settings.Connection(), "nigrani.events")
        reader = memory.MemoryBus().reader("kafka")
        made = forwarder.Forwarder(reader, route, message.EventWire(), letters.DeadLetters(folder))
        return [*delivery.room(folder, config.AgentConfig().bus.max_bytes), *delivery.Delivery(made, folder).collect()]


def _clock(config: Any) -> list[FamilyLike]:
    clock: Any = importlib.import_module("agent.clock")
    ntp: Any = importlib.import_module("agent.ntp")
    watch = clock.ClockWatch(config.Clock(ntp="ntp.hospital.example"))
    watch.answer = ntp.Answer(0.0, 0.0)
    return list(watch.collect())


def _rows(found: Iterable[FamilyLike]) -> Iterator[Row]:
    for family in found:
        values: dict[str, list[str]] = {}
        samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
        for sample in samples:
            for label, value in sample.labels.items():
                if value not in values.setdefault(label, []):
                    values[label].append(value)
        suffix = "_total" if family.type == "counter" else ""
        labels = {label: some if label == "le" else sorted(some) for label, some in values.items()}
        yield Row(f"{family.name}{suffix}", family.type, labels, family.documentation, len(samples))


def page() -> str:
    """The whole page. Raises ValueError where notes and metrics do not fit one another."""
    notes = yaml.safe_load(NOTES.read_text(encoding="utf-8"))
    parts = {"both": both(), "detector": detector(), "agent": agent()}
    if faults := list(_misfits(parts, notes)):
        raise ValueError("; ".join(faults))
    series = {name: sum(row.series for row in rows) for name, rows in parts.items()}
    logs = sum(row.series for row in parts["agent"] if row.name.startswith("nigrani_agent_log_"))
    told = INTRODUCTION.format(
        detector=_hundreds(series["detector"] + series["both"]),
        agent=_hundreds(series["agent"] + series["both"]),
        bound=f"{BOUND:,}",
        source=logs,
    )
    heads = {"both": "Of agent and detector", "detector": "Of the detector", "agent": "Of the agent"}
    return "\n".join([told, *(f"## {heads[name]}\n\n{_table(rows, notes[name])}\n" for name, rows in parts.items())])


def _hundreds(count: int) -> str:
    """The next hundred above: the page does not change with each rule."""
    return f"{(count // 100 + 1) * 100:,}"


def _misfits(parts: Mapping[str, list[Row]], notes: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for name, rows in parts.items():
        names = {row.name for row in rows}
        yield from (f"{NOTES.name}: {missing} has no note under {name}" for missing in sorted(names - notes[name].keys()))
        yield from (f"{NOTES.name}: {gone} under {name} is no metric" for gone in sorted(notes[name].keys() - names))


def _table(rows: list[Row], notes: Mapping[str, str]) -> str:
    lines = [
        f"| `{row.name}` | {row.kind} | {row.unit} | {_labels(row)} | {_cell(row.text)} | {_cell(notes[row.name])} |"
        for row in rows
    ]
    return "\n".join([HEAD, *lines])


def _labels(row: Row) -> str:
    return "<br>".join(f"`{label}`: {_values(label, values)}" for label, values in row.labels.items())


def _values(label: str, values: list[str]) -> str:
    special = {"source": "the names in agent.yaml" if values == [SOURCE] else "", "version": "of nigrani"}.get(label, "")
    if special or label == "fingerprint":
        return special or "of the rules in force"
    if label == "kind" and len(values) > SHOWN:
        return "the rules' file names, the anomalies' kinds, `pipeline` and `other`"
    return ", ".join(values) if len(values) <= SHOWN else f"{len(values)} values"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> int:
    """Write or check the page."""
    return write_or_check(page, __doc__)


if __name__ == "__main__":
    sys.exit(main())
