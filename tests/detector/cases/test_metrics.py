"""The metrics of cases: all there at 0, of closed lists, and right."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from detector.cases.intake import Intake
from detector.cases.logs.file import FileLog
from detector.cases.metrics import CaseMetrics
from detector.cases.store import Store
from detector.device_class import CLASSES
from tests.detector.cases.made import finding

KINDS = {("port_scan", "medium"), ("anomaly-dns", "medium"), ("anomaly-dns", "high")}


@pytest.fixture
def intake(tmp_path: Path) -> Iterator[Intake]:
    made = Intake(Store(tmp_path / "cases.db", later=True), lambda place: FileLog(tmp_path / "none", place))
    yield made
    made.close()


def values(intake: Intake | None) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(CaseMetrics(intake, lambda: KINDS))
    return {
        f"{sample.name}{dict(sorted(sample.labels.items()))}" if sample.labels else sample.name: sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def test_every_series_is_there_at_the_start(intake: Intake) -> None:
    found = values(intake)
    assert {value for name, value in found.items() if name != "nigrani_case_store_bytes"} == {0.0}
    assert sum(name.startswith("nigrani_cases_open{") for name in found) == len(KINDS) + 5 * 2
    assert sum(name.startswith("nigrani_risk{") for name in found) == len(CLASSES)
    assert set(values(None)) == set(found)


def test_what_happened_is_told(intake: Intake) -> None:
    store = intake.store
    logged = datetime.now(UTC) - timedelta(hours=1)
    store.add([
        finding("port_scan", "ip:a", logged=logged),
        finding("anomaly-dns", "ip:b", level="high", logged=logged),
        finding("never_heard_of", "ip:c", logged=logged),
    ])  # fmt: skip
    store.close(1, "asha", "false-alarm", "a scanner")
    found = values(intake)
    assert found["nigrani_cases_open{'kind': 'anomaly-dns', 'severity': 'high'}"] == 1
    assert found["nigrani_cases_open{'kind': 'port_scan', 'severity': 'medium'}"] == 0
    assert found["nigrani_cases_open{'kind': 'other', 'severity': 'medium'}"] == 1
    assert found["nigrani_cases_opened_total{'severity': 'medium'}"] == 2
    assert found["nigrani_cases_closed_total{'verdict': 'false-alarm'}"] == 1
    assert found["nigrani_findings_false_alarms_total{'source': 'rule'}"] == 1
    assert found["nigrani_findings_taken_total"] == 3
    assert found["nigrani_risk{'device_class': 'pacs'}"] == 120
    assert 3590 < found["nigrani_cases_unacknowledged_oldest_seconds"] < 3700
    assert found["nigrani_case_reports_due{'authority': 'cert-in'}"] == 1
    due = found["nigrani_case_report_due_timestamp_seconds{'authority': 'dpdp'}"]
    assert due == pytest.approx((logged + timedelta(hours=72)).timestamp(), abs=0.01)
    assert found["nigrani_case_store_bytes"] > 0


def test_without_the_store_counters_stay_where_they_were(tmp_path: Path) -> None:
    path = tmp_path / "cases.db"
    made = Intake(Store(path, later=True), lambda place: FileLog(tmp_path / "none", place))
    made.store.add([finding()])
    metrics = CaseMetrics(made, lambda: KINDS)
    before = [
        sample for family in metrics.collect() for sample in family.samples if sample.name == "nigrani_findings_taken_total"
    ]
    made.store.renew()
    for file in tmp_path.glob("cases.db*"):
        file.unlink()
    path.write_bytes(b"no database" * 1000)
    after = [
        sample for family in metrics.collect() for sample in family.samples if sample.name == "nigrani_findings_taken_total"
    ]
    assert (before, after[0].value) == (after, 1)
    made.close()


def test_a_store_in_trouble_is_not_asked_and_counters_do_not_start_from_nothing(intake: Intake) -> None:
    intake.trouble = "case store is damaged"
    found = values(intake)
    assert not intake.store.path.exists(), "a scrape opens and checks it again"
    assert found["nigrani_case_store_up"] == 0
    assert "nigrani_findings_taken_total" not in found
    intake.trouble = ""
    assert values(intake)["nigrani_findings_taken_total"] == 0
