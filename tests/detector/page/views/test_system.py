"""Runbooks, suppressions, the system, and what open pages ask."""

from __future__ import annotations

import json

import msgspec
import pytest

from detector.cases.store import Store
from tests.detector.cases.made import alert, finding
from tests.detector.page.visitor import Visitor


def test_runbooks_and_one_of_them(visitor: Visitor) -> None:
    assert "port-scan" in visitor.get("/runbooks").words
    answer = visitor.get("/runbooks/port-scan")
    assert answer.status == 200
    assert "Never cut off" in answer.words
    assert visitor.get("/runbooks/none-such").status == 404
    assert visitor.get("/runbooks/..%2f..%2fetc").status == 404


def test_the_budget_counts_anomalies_closed_as_false_alarms(visitor: Visitor, store: Store) -> None:
    store.add([finding("anomaly-volume", "ip:a"), finding("port_scan", "ip:b")])
    for case in store.cases().items:
        store.close(case.number, "asha", "false-alarm", "a test")
    words = visitor.get("/about").words
    assert "Rules are apart from the budget: 1 of theirs." in words
    assert "Findings taken 2" in words


def test_nothing_is_suppressed(visitor: Visitor) -> None:
    assert "Nothing is suppressed" in visitor.get("/suppressions").words


def test_the_pulse(visitor: Visitor, case: int) -> None:
    pulse = json.loads(visitor.get("/api/pulse").body)
    assert pulse["open"] == 1
    assert pulse["changed"]


@pytest.mark.parametrize("name", ["base.html", "..%2fapp.py", "", "page.css.bak"])
def test_other_files_are_not_served(visitor: Visitor, name: str) -> None:
    assert visitor.get(f"/static/{name}").status == 404


def test_an_alert_that_names_a_kind_leads_to_its_runbook(visitor: Visitor, store: Store) -> None:
    """As Prometheus' annotations do, which know no more."""
    assert visitor.get("/runbooks/smb_sweep").status == 404
    for kind, book in (("smb_sweep", "lateral-movement"), ("anomaly-volume", "anomaly-volume")):
        made = alert(kind, "ip:a")
        made.runbook = book
        store.add([msgspec.json.encode(made.ocsf())])
    assert visitor.get("/runbooks/smb_sweep").headers["location"] == "/runbooks/lateral-movement"
    assert visitor.get("/runbooks/volume").headers["location"] == "/runbooks/anomaly-volume"
