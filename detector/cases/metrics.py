"""The metrics of cases, read from the store when Prometheus asks; every series of a closed list is there at 0.

Paging stands on `nigrani_cases_open`, a gauge: it stays above 0 until a person has closed the case.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from detector.cases.case import AUTHORITIES, FINDING_SOURCES, SEVERITIES, VERDICTS, Counts
from detector.device_class import CLASSES, UNKNOWN
from nigrani.service.errors import Problem

if TYPE_CHECKING:
    from detector.cases.intake import Intake

NONE = Counts(
    open={}, risk={}, unacknowledged=None, reports={}, report_due={}, opened={}, closed={}, false_alarms={}, taken=0,
    suppressed=0, repeated=0, refused=0, retired=0,
)  # fmt: skip
NOBODY = "none"
"""The verdict of a case that ended by itself."""
_COUNTERS = {
    "nigrani_findings_taken": ("taken", "Findings put into the case store."),
    "nigrani_findings_suppressed": ("suppressed", "Findings that a suppression covered; kept, and told to nobody."),
    "nigrani_findings_repeated": ("repeated", "Findings in the log that the store had already, or would delete at once."),
    "nigrani_findings_refused": ("refused", "Lines of the alerts log that were no finding."),
    "nigrani_cases_retired": ("retired", "Closed cases deleted for their age."),
}


class CaseMetrics(Collector):
    """The store's, and how far it is behind."""

    def __init__(
        self,
        intake: Intake | None,
        kinds: Callable[[], Collection[tuple[str, str]]],
    ) -> None:
        """kinds: of alerts as they are now, each with its severity."""
        self._intake = intake
        self._kinds = kinds
        self._last = NONE if intake is None else None
        """While the store cannot be read, counters stay where they were; before it was, they are not there: from 0 they
        would seem to have grown at once by all that the store has counted."""

    def collect(self) -> Iterator[Metric]:
        """All of them, of one moment."""
        counts = self._counts()
        if counts is not None:
            yield from self._stored(counts)
        yield from self._state()

    def _stored(self, counts: Counts) -> Iterator[Metric]:
        yield self._open(counts)
        yield _counter("nigrani_cases_opened", "Cases opened.", "severity", counts.opened, SEVERITIES)
        closed = {verdict or NOBODY: count for verdict, count in counts.closed.items()}
        yield _counter("nigrani_cases_closed", "Cases closed.", "verdict", closed, (*VERDICTS, NOBODY))
        unforeseen = self._intake.refused if self._intake else 0
        for name, (attribute, text) in _COUNTERS.items():
            more = unforeseen if attribute == "refused" else 0
            yield CounterMetricFamily(name, text, value=getattr(counts, attribute) + more)
        yield _counter(
            "nigrani_findings_false_alarms",
            "Findings in cases that were closed as false alarms.",
            "source",
            counts.false_alarms,
            FINDING_SOURCES,
        )
        yield from self._waiting(counts)
        yield self._risk(counts)

    def _counts(self) -> Counts | None:
        """What the store has counted; where it is in trouble it is not asked, for it would be looked through once more."""
        if self._intake is not None and not self._intake.trouble:
            with contextlib.suppress(sqlite3.Error, Problem):
                self._last = self._intake.store.counts()
        return self._last

    def _open(self, counts: Counts) -> Metric:
        family = GaugeMetricFamily(
            "nigrani_cases_open", "Cases that are not closed, by severity and lead kind.", labels=("severity", "kind")
        )
        kinds = self._kinds()
        known = {kind for kind, _ in kinds}
        series = dict.fromkeys(((severity, kind) for kind, severity in kinds), 0)
        series |= dict.fromkeys(((severity, kind) for severity in SEVERITIES for kind in ("pipeline", "other")), 0)
        for (severity, kind), count in counts.open.items():
            key = severity, kind if kind in known or kind == "pipeline" else "other"
            series[key] = series.get(key, 0) + count
        for (severity, kind), count in series.items():
            family.add_metric((severity, kind), count)
        return family

    def _waiting(self, counts: Counts) -> Iterator[Metric]:
        now = datetime.now(UTC)
        oldest = max((now - counts.unacknowledged).total_seconds(), 0) if counts.unacknowledged else 0
        yield GaugeMetricFamily(
            "nigrani_cases_unacknowledged_oldest_seconds", "Age of the oldest case that nobody has taken.", value=oldest
        )
        due = GaugeMetricFamily("nigrani_case_reports_due", "Reports undecided or due.", labels=("authority",))
        when = GaugeMetricFamily(
            "nigrani_case_report_due_timestamp_seconds",
            "When the earliest of those is due; 0 where none is.",
            labels=("authority",),
        )
        for authority in AUTHORITIES:
            due.add_metric((authority,), counts.reports.get(authority, 0))
            first = counts.report_due.get(authority)
            when.add_metric((authority,), first.timestamp() if first else 0)
        yield due
        yield when

    def _risk(self, counts: Counts) -> Metric:
        family = GaugeMetricFamily(
            "nigrani_risk", "Sum of the risk of cases that are not closed, by device class.", labels=("device_class",)
        )
        series = dict.fromkeys(CLASSES, 0)
        for name, risk in counts.risk.items():
            series[name if name in series else UNKNOWN] += risk
        for name, risk in series.items():
            family.add_metric((name,), risk)
        return family

    def _state(self) -> Iterator[Metric]:
        intake = self._intake
        store = intake.store if intake else None
        yield CounterMetricFamily(
            "nigrani_case_store_failures",
            "Times that the case store could not be opened or written.",
            value=intake.failures if intake else 0,
        )
        yield CounterMetricFamily(
            "nigrani_alerts_log_failures",
            "Times that the alerts log could not be read.",
            value=intake.log_failures if intake else 0,
        )
        for name, text, value in (
            ("nigrani_case_store_up", "1 while the case store takes what comes.", bool(intake and intake.up)),
            ("nigrani_case_store_bytes", "Size of the case store on disk.", store.size if store else 0),
            (
                "nigrani_findings_behind",
                "Findings in the alerts log that are not in the store.",
                intake.behind() if intake else 0,
            ),
        ):
            yield GaugeMetricFamily(name, text, value=float(value))


def _counter(name: str, text: str, label: str, counts: dict[str, int], values: Iterable[str]) -> Metric:
    family = CounterMetricFamily(name, text, labels=(label,))
    for value in values:
        family.add_metric((value,), counts.get(value, 0))
    return family
