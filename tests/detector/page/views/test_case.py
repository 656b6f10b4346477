"""One case's page."""

from __future__ import annotations

import sqlite3

import msgspec
import pytest

from detector.alert import Reason
from detector.cases.store import Store
from detector.page.views import case as view
from detector.response import CARE
from tests.detector.cases.made import Clock, alert, finding
from tests.detector.page.visitor import Visitor, notice


@pytest.fixture
def told(store: Store) -> int:
    """A case with everything in it."""
    made = alert(device="ip:0123456789abcdef", peer="ip:fedcba9876543210", level="high")
    made.reasons = [Reason("destination ports", 41, 2, 6, 504, own=False, minutes=503)]
    made.attack, made.matrix, made.runbook = ["T1046", "AML.T0006"], "ATT&CK v19, ATLAS 5.6.0", "port-scan"
    made.first_steps = ["Ask the network team.", "See which ports answered.", CARE]
    made.false_positives, made.events = ["The hospital's scanner."], ["86f4-1", "86f4-2"]
    made.p_value, made.learnt, made.false_alarms_per_week, made.budget = 1e-9, 503, 0.0002, 7.0
    store.add([msgspec.json.encode(made.ocsf()), finding("flood", "ip:0123456789abcdef", minutes=2)])
    return 1


def test_it_tells_the_whole_story(visitor: Visitor, told: int) -> None:
    words = visitor.get("/cases/1").words
    for part in (
        "High", "Open", "Port scan", "ip:01234567…", "41 ports", "destination ports", "41", "usual 2–6", "6.8 × its p99",
        "never so high in 503 min", "the site, for the device has no history", "p = 1e-09", "the budget is 7",
        "extrapolated from 503 minutes", "The hospital's scanner.", "T1046", "(outside this page)", "2 raw events", "86f4-2",
        "Ask the network team.", "Patients first.", "CERT-In", "DPDP", "6 h left", "Flood",
    ):  # fmt: skip
        assert part in words, part


def test_links_lead_where_they_say(visitor: Visitor, told: int) -> None:
    text = visitor.get("/cases/1").text
    for href in (
        "https://attack.mitre.org/techniques/T1046/", "https://atlas.mitre.org/techniques/AML.T0006", "/runbooks/port-scan",
        "/devices/ip%3A0123456789abcdef", "/cases/1/report/cert-in", "/cases/1/stix", "/findings?case=1",
    ):  # fmt: skip
        assert f'href="{href}"' in text, href
    outside = [part.partition(">")[0] for part in text.split("<a ")[1:] if "https://" in part.partition(">")[0]]
    assert all("noreferrer noopener external" in link for link in outside)


def test_the_plot_has_a_mark_for_each_and_words_for_all(visitor: Visitor, told: int) -> None:
    text = visitor.get("/cases/1").text
    assert text.count('class="mark sev-') == 2
    assert 'aria-label="High, Port scan, 2 Mar 2026 13:30:00 IST · 08:00:00 UTC"' in text
    assert text.count("<tr>") == 3  # the table that says the same
    assert 'aria-label="41 destination ports (usual 2, p99 6;' in text


def test_care_for_patients_is_no_step_to_tick(visitor: Visitor, told: int) -> None:
    text = visitor.get("/cases/1").text
    assert text.count('role="checkbox"') == 2
    assert f'value="{CARE}"' not in text


def test_a_read_is_history_once_an_hour(visitor: Visitor, store: Store, clock: Clock, told: int) -> None:
    visitor.get("/cases/1")
    visitor.get("/cases/1")
    assert [entry.by for entry in store.history(1) if entry.action == "viewed"] == ["local"]
    clock.go(hours=1)
    visitor.get("/cases/1")
    assert len([entry for entry in store.history(1) if entry.action == "viewed"]) == 2


def test_a_read_that_cannot_be_noted_is_read(
    visitor: Visitor, store: Store, told: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk keeps nobody from the case that says so."""
    connection = sqlite3.connect(store.path)
    connection.execute("CREATE TRIGGER full BEFORE INSERT ON entry BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    connection.commit()
    connection.close()
    assert visitor.get("/cases/1").status == 200
    assert "local read case 1, which the history cannot take: disk is full" in caplog.text
    assert visitor.post("/cases/1/note", {"text": "x"}).status == 503


def test_a_storm_is_told_by_its_kinds(visitor: Visitor, store: Store) -> None:
    store.add([finding("port_scan", "ip:a", minutes=(at + 0.5) / 60) for at in range(2000)])
    answer = visitor.get("/cases/1")
    assert "and 1,999 alike" in answer.words
    assert "are drawn" not in answer.words
    assert len(answer.body) < 120_000


def test_of_too_many_the_newest_are_told(visitor: Visitor, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "MAX_PAGE", 10)
    monkeypatch.setattr(view, "DRAWN", 20)
    store.add([finding("port_scan", "ip:a", minutes=(at + 0.5) / 60) for at in range(30)])
    words = visitor.get("/cases/1").words
    assert "and 19 alike of the newest 20" in words
    assert "The newest 20 of 30 are drawn." in words


def test_a_case_that_went_into_another_leads_there(visitor: Visitor, store: Store) -> None:
    store.add([finding("port_scan", f"ip:{at}", minutes=at / 10) for at in range(60)])
    gone = next(one.number for one in store.cases(limit=100).items if not one.findings)
    into = next(entry.data["into"] for entry in store.history(gone) if entry.action == "merged")
    assert f'its findings are in <a href="/cases/{into}">case {into}</a>' in visitor.get(f"/cases/{gone}").text
    assert f'<a href="/cases/{gone}">case {gone}</a>' in visitor.get(f"/cases/{into}").text


def test_an_outbreak_is_told_once(visitor: Visitor, store: Store) -> None:
    store.add([finding("port_scan", f"ip:{at}", minutes=at / 10) for at in range(60)])
    number = max(store.cases(limit=100).items, key=lambda case: case.findings).number
    text = visitor.get(f"/cases/{number}").text
    assert text.count('<details class="finding') == 1
    assert "devices</span>" in text


def test_related_cases(visitor: Visitor, store: Store) -> None:
    store.add([finding("flood", "ip:b")])
    store.close(1, "local", "expected", "planned")
    store.add([finding("flood", "ip:b", minutes=900)])
    assert "Related cases" in visitor.get("/cases/2").words


def test_trouble_of_the_pipeline_is_a_case_too(visitor: Visitor, store: Store) -> None:
    store.notify(notice("<b>An agent is silent</b>"))
    number = store.cases().items[0].number
    answer = visitor.get(f"/cases/{number}")
    assert answer.status == 200
    assert "<b>An agent" not in answer.text


@pytest.mark.parametrize("number", ["99", "0", "99999999999999999999"])
def test_a_case_that_is_not_there(visitor: Visitor, number: str) -> None:
    answer = visitor.get(f"/cases/{number}")
    assert answer.status == 404
    assert "There is no case" in answer.words


def test_trouble_of_our_own_has_its_runbook_and_nothing_of_findings(visitor: Visitor, store: Store) -> None:
    store.notify(notice().replace(b"AgentSilent", b"NigraniAgentSilent"))
    text = visitor.get("/cases/1").text
    assert 'href="/runbooks/agent-silent"' in text
    assert "of 100" not in text
    assert "Suppress findings" not in text
    assert (
        visitor.post("/cases/1/suppress", {"kind": "NigraniAgentSilent", "scope": "all", "for": "4", "text": "x"}).status
        == 400
    )
    assert store.suppressions() == []


@pytest.mark.parametrize("moment", [0, 253_402_300_799_999])
def test_a_finding_of_any_time_hides_no_other(visitor: Visitor, store: Store, moment: int) -> None:
    """9999-12-31T23:59:59 is no time any more in a zone east of Greenwich."""
    told = msgspec.json.decode(finding(level="high"))
    told["time"], told["finding_info"]["first_seen_time"] = moment, 0
    store.add([msgspec.json.encode(told), finding(minutes=1)])
    uid = told["metadata"]["uid"]
    device = "/devices/ip:a"
    papers = ("/cases/1/report/cert-in", "/cases/1/report/dpdp.pdf", "/cases/1/stix")
    for address in ("/cases?state=all", "/cases/1", "/findings", f"/findings/{uid}", device, "/api/cases", *papers):
        assert visitor.get(address).status == 200, address


def test_only_steps_that_are_shown_are_counted(visitor: Visitor, store: Store, told: int) -> None:
    store.step(1, "asha", "Of a finding that is not shown any more.", done=True)
    store.step(1, "asha", "Ask the network team.", done=True)
    assert "1 of 2 done" in visitor.get("/cases/1").words
