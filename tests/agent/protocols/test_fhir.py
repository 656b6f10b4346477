from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocols.fhir import COMMON_WORDS, LIKELY, RESOURCE_TYPES, SURE, WEAK, interaction


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        ("GET /fhir/Patient/123", ("read", "Patient", "")),
        ("HEAD /fhir/Patient/123", ("read", "Patient", "")),
        ("GET /fhir/Patient/123/_history/2", ("vread", "Patient", "")),
        ("GET /fhir/Patient/123/_history", ("history", "Patient", "")),
        ("GET /fhir/Patient/_history", ("history", "Patient", "")),
        ("GET /fhir/_history", ("history", "", "")),
        ("PUT /fhir/Patient/123", ("update", "Patient", "")),
        ("PUT /fhir/Patient?identifier=1", ("update", "Patient", "")),
        ("PATCH /fhir/Patient/123", ("patch", "Patient", "")),
        ("DELETE /fhir/Patient/123", ("delete", "Patient", "")),
        ("DELETE /fhir/Patient?identifier=1", ("delete", "Patient", "")),
        ("POST /fhir/Patient", ("create", "Patient", "")),
        ("GET /fhir/Patient", ("search", "Patient", "")),
        ("GET /fhir/Patient/?name=x", ("search", "Patient", "")),
        ("POST /fhir/Patient/_search", ("search", "Patient", "")),
        ("GET /fhir/Patient/123/Observation?code=1", ("search", "Observation", "")),
        ("GET /fhir/Patient/123/*", ("search", "Patient", "")),
        ("POST /fhir/Patient/123/Observation/_search", ("search", "Observation", "")),
        ("GET /fhir?_type=Patient", ("search", "", "")),
        ("POST /fhir/_search", ("search", "", "")),
        ("POST /fhir", ("batch", "", "")),
        ("POST /hapi/fhir/R4/", ("batch", "", "")),
        ("GET /fhir/metadata", ("capabilities", "", "")),
        ("GET /metadata", ("capabilities", "", "")),
        ("GET /fhir/$export", ("operation", "", "$export")),
        ("GET /fhir/Patient/$export?_since=x", ("operation", "Patient", "$export")),
        ("POST /fhir/Patient/123/$everything", ("operation", "Patient", "$everything")),
        ("POST /fhir/Patient/$find.1970-01-01", ("operation", "Patient", "$other")),
        ("GET https://x.example/baseR4/DiagnosticReport/1", ("read", "DiagnosticReport", "")),
        ("GET /Observation?patient=1", ("search", "Observation", "")),
    ],
)
def test_interactions_told_by_their_url(request_line: str, expected: tuple[str, str, str]) -> None:
    method, target = request_line.encode().split(b" ")
    found = interaction(method, target)
    assert found is not None
    assert (*found[:3], found[-1]) == (*expected, SURE)


@pytest.mark.parametrize(
    ("request_line", "kind", "belief"),
    [
        ("GET /Account/Login", "read", LIKELY),
        ("POST /api/Task", "create", LIKELY),
        ("POST /login", "batch", WEAK),
        ("POST /", "batch", WEAK),
        ("GET /?q=x", "search", WEAK),
        ("GET /saml/metadata", "capabilities", WEAK),
        ("POST /odata/$batch", "operation", WEAK),
    ],
)
def test_a_url_that_may_be_of_another_service(request_line: str, kind: str, belief: int) -> None:
    method, target = request_line.encode().split(b" ")
    found = interaction(method, target)
    assert found is not None
    assert (found[0], found[-1]) == (kind, belief)


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /",
        "GET *",
        "GET ",
        "GET /index.html",
        "OPTIONS /fhir/Patient",
        "POST /fhir/Patient/123",
        "GET /fhir/Patient/123/photo",
        "GET /fhir/Patient/1/2/3/4/5",
        "TRACE /fhir/Patient",
    ],
)
def test_no_interactions(request_line: str) -> None:
    method, _, target = request_line.encode().partition(b" ")
    assert interaction(method, target) is None


@pytest.mark.parametrize(
    ("query", "page_size"),
    [
        ("_count=50", 50),
        ("a=1&_count=1000&b=2", 1000),
        ("_count=x", 0),
        ("x_count=5", 0),
        ("_count=" + "9" * 30, 0),
        ("", 0),
    ],
)
def test_page_size(query: str, page_size: int) -> None:
    found = interaction(b"GET", b"/fhir/Patient?" + query.encode())
    assert found is not None
    assert found[3] == page_size


def test_only_a_search_has_a_page_size() -> None:
    found = interaction(b"GET", b"/fhir/Patient/1?_count=50")
    assert found is not None
    assert found[3] == 0


def test_the_types_of_r4() -> None:
    assert len(RESOURCE_TYPES) == 146  # resourcelist.html, without the abstract Resource and DomainResource
    assert set(RESOURCE_TYPES) >= COMMON_WORDS


@given(st.binary(max_size=12), st.binary(max_size=300))
def test_any_bytes_give_a_value(method: bytes, target: bytes) -> None:
    for prefix in (b"", b"/fhir/Patient/", b"/fhir/$"):
        found = interaction(method, prefix + target)
        assert found is None or all(len(str(part)) < 50 for part in found)
