"""Pages out of templates: whatever they show is text."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

import msgspec
import pytest

from detector.alert import Reason
from detector.cases.store import Store
from detector.page.desk import Desk
from tests.detector.cases.made import NOW, Clock, alert
from tests.detector.page.visitor import Visitor

NASTY = "<script>alert(1)</script>\u202egnp.exe\"'{{7191*7}}<img src=x onerror=alert(2)>" + "A" * 100


@pytest.fixture
def nasty(store: Store) -> int:
    """A case in which everything that an attacker may choose is chosen by one."""
    made = alert("port_scan", NASTY[:100])
    made.title = made.description = made.zone = made.device_class = NASTY
    made.because = made.about = made.first_steps = made.false_positives = [NASTY]
    made.attack, made.matrix, made.runbook, made.events = [NASTY, "T1046"], NASTY, NASTY, [NASTY]
    made.reasons = [Reason(NASTY, 1e300, -5.0, 1e-300, 10**18, own=True, minutes=5)]
    made.model = made.kind = NASTY
    made.severity = "critical"
    store.add([msgspec.json.encode(made.ocsf())])
    store.note(1, "local", NASTY)
    store.assign(1, "local", "<b>asha</b>")
    return 1


def test_whatever_is_shown_is_text(visitor: Visitor, store: Store, nasty: int) -> None:
    (finding,) = store.findings().items
    for address in (
        "/cases", "/cases/1", "/findings", f"/findings/{finding.uid}", "/cases?q=%3Cscript%3Ealert(1)%3C/script%3E",
        "/findings?kind=%22%3E%3Cscript%3E&zone=%E2%80%AEx", "/cases/1/report/cert-in", "/cases/1/report/dpdp",
    ):  # fmt: skip
        answer = visitor.get(address)
        assert answer.status == 200, address
        assert "<script>" not in answer.text, address
        assert "<img" not in answer.text, address
        assert "<b>asha" not in answer.text, address
        assert "\u202e" not in answer.text, address
        assert "50337" not in answer.text, address
        assert len(answer.text) < 200_000, address


def test_a_device_whose_name_is_an_address_of_its_own(visitor: Visitor, store: Store) -> None:
    store.add([msgspec.json.encode(alert("flood", "../../etc/passwd?x=1#<b>").ocsf())])
    page = visitor.get("/cases/1").text
    assert 'href="/devices/../../etc' in page or "%3Fx%3D1%23%3Cb%3E" in page
    answer = visitor.get("/devices/..%2F..%2Fetc%2Fpasswd%3Fx%3D1%23%3Cb%3E".replace("%2F", "/"))
    assert answer.status in {200, 404}
    assert "root:" not in answer.text


def test_times_stand_in_both_zones(visitor: Visitor, case: int) -> None:
    words = visitor.get("/cases/1").words
    assert "2 Mar 2026 13:30:00 IST 08:00:00 UTC" in words


def test_countdowns_count(visitor: Visitor, clock: Clock, case: int) -> None:
    clock.time = NOW + timedelta(hours=1, minutes=30)
    assert "4 h 30 min left" in visitor.get("/cases/1").words
    clock.time = NOW + timedelta(hours=7)
    assert "over by 1 h" in visitor.get("/cases/1").words


def test_static_addresses_change_with_their_content(visitor: Visitor) -> None:
    page = visitor.get("/cases").text
    for name in ("page.css", "page.js", "icon.svg"):
        address = page.partition(f"/static/{name}?")[2].partition('"')[0]
        assert len(address) == 12
        assert visitor.get(f"/static/{name}?{address}").status == 200


def test_a_store_that_fails_is_told_as_such(visitor: Visitor, desk: Desk, store: Store, case: int) -> None:
    connection = sqlite3.connect(store.path)
    connection.execute("ALTER TABLE cases RENAME TO gone")
    connection.commit()
    connection.close()
    answer = visitor.get("/cases")
    assert answer.status == 503
    assert "alerts wait in their log" in answer.words
    assert "Attention Case store cannot be used" in answer.words
    assert "gone" not in answer.words
