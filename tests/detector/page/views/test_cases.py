"""Lists: what they show, filter and count."""

from __future__ import annotations

import json

import pytest

from detector.cases.store import Store
from tests.detector.cases.made import finding
from tests.detector.page.visitor import Visitor


@pytest.fixture
def three(store: Store) -> None:
    """Cases of three devices, one of them closed."""
    store.add([finding("port_scan", "ip:a", level="high"), finding("flood", "ip:b", minutes=500)])
    store.add([finding("dns_tunnel", "ip:c", minutes=900, level="critical")])
    store.close(2, "asha", "false-alarm", "a test")


def titles(text: str) -> list[str]:
    return [part.partition("</bdi>")[0] for part in text.split('class="title"')[1:] for part in [part.partition("<bdi>")[2]]]


def test_active_cases_the_most_urgent_first(visitor: Visitor, three: None) -> None:
    answer = visitor.get("/cases")
    assert titles(answer.text) == ["Dns tunnel", "Port scan"]
    assert "Active 2 Open 2 Acknowledged 0 Closed 1 All 3" in answer.words
    assert "CERT-In report 6 h left 2 Mar 2026 19:30 IST · 14:00 UTC, and 1 more" in answer.words


def test_a_report_does_not_end_with_its_case(visitor: Visitor, store: Store, three: None) -> None:
    store.close(3, "asha", "true-positive", "it was one")
    assert "CERT-In 6 h left" in visitor.get("/cases?state=closed").words
    assert "CERT-In report 6 h left" in visitor.get("/cases/3").words


def test_an_empty_store_is_calm(visitor: Visitor, store: Store) -> None:
    assert "Nothing has been found yet" in visitor.get("/cases").words
    assert "Nothing has been found yet" in visitor.get("/findings").words
    assert "No finding is like that" in visitor.get("/findings?q=x").words
    store.add([finding()])
    store.close(1, "asha", "expected", "a test")
    assert "Nothing is open" in visitor.get("/cases").words


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=closed", ["Flood"]),
        ("state=all&order=newest", ["Dns tunnel", "Flood", "Port scan"]),
        ("severity=critical", ["Dns tunnel"]),
        ("kind=port_scan", ["Port scan"]),
        ("device=ip:c", ["Dns tunnel"]),
        ("q=SCAN", ["Port scan"]),
        ("state=all&verdict=false-alarm", ["Flood"]),
        ("class=pacs&zone=imaging", ["Dns tunnel", "Port scan"]),
        ("since=2026-03-02T20:00", ["Dns tunnel"]),
        ("assignee=nobody", []),
    ],
)
def test_filters(visitor: Visitor, three: None, query: str, found: list[str]) -> None:
    assert titles(visitor.get(f"/cases?{query}").text) == found


@pytest.mark.parametrize("query", ["severity=enormous", "state=odd", "order=upwards", "after=x", "since=yesterday"])
def test_filters_that_make_no_sense_are_told(visitor: Visitor, query: str) -> None:
    for address in ("/cases", "/findings"):
        answer = visitor.get(f"{address}?{query}")
        assert answer.status == 400
        assert "This list cannot be made" in answer.words


def test_pages_follow_one_another(visitor: Visitor, store: Store) -> None:
    store.add([finding("port_scan", "ip:a", minutes=minute) for minute in range(120)])
    seen: list[str] = []
    address = "/findings"
    for _ in range(3):
        text = visitor.get(address).text
        seen += [part.partition('"')[0] for part in text.split('class="title" href="/findings/')[1:]]
        address = text.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
    assert len(seen) == len(set(seen)) == 120


def test_findings_name_their_case_and_say_when_suppressed(visitor: Visitor, three: None) -> None:
    answer = visitor.get("/findings?kind=port_scan")
    assert titles(answer.text) == ["Port scan"]
    assert 'href="/cases/1"' in answer.text


def test_as_json(visitor: Visitor, three: None) -> None:
    cases = json.loads(visitor.get("/api/cases?severity=high").body)
    assert [case["number"] for case in cases["items"]] == [3, 1]
    assert cases["total"] == 2
    assert cases["items"][0]["deadlines"][0]["authority"] == "cert-in"
    findings = json.loads(visitor.get("/api/findings").body)
    assert findings["total"] == 3
