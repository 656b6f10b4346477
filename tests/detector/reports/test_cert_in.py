"""The draft of CERT-In's form."""

from __future__ import annotations

import re
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from detector.cases.case import MAX_KINDS
from detector.reports import cert_in
from detector.reports.document import TO_FILL
from detector.reports.layout import blocks, runs
from detector.reports.organisation import Organisation, Person
from tests.detector.reports.made import DEVICE, WHEN, a_case, a_finding, an_entry
from tests.detector.reports.test_document import HOSTILE, IN_JSON

WHOLE = Organisation(
    name="City Hospital",
    sector="Healthcare",
    address="1 Hospital Road",
    location="Chennai, Tamil Nadu, India",
    domain="hospital.example",
    isp="Example Broadband",
    reporter=Person("A. Kumar", "CISO", "+91 44 5550 0100", "ciso@hospital.example"),
)
NOW = WHEN + timedelta(hours=1, minutes=48)


def draft(organisation: Organisation = WHOLE, **changes: object) -> str:
    findings = [a_finding(because=["41 different ports"], about=[f"{DEVICE} → ip:800a1088b525c0b1 port 104"])]
    return cert_in.draft(a_case(**changes), findings, [an_entry("acknowledged")], organisation, now=NOW)


def answers(text: str) -> dict[str, str]:
    rows = [row for block in blocks(text) for row in block.rows if len(row) == 2]
    return {row[0]: "".join(span.text for span in runs(row[1])) for row in rows}


def test_the_forms_fields_in_the_forms_order() -> None:
    fields = list(answers(draft()))
    wanted = (
        "I am", "Name and role", "Organisation", "Contact number", "E-mail", "Address", "Affected entity",
        "Critical to the organisation's mission?", "Domain or URL", "IP address", "Operating system",
        "Make and model, or cloud", "Affected application", "Location", "Network", "Internet service provider",
        "Brief description", "Occurrence, date and time", "Detection, date and time",
    )  # fmt: skip
    places = [fields.index(name) for name in wanted]
    assert places == sorted(places)
    headings = [block.text for block in blocks(draft()) if block.kind == "h2"]
    assert headings[:4] == ["1. Who reports", "2. Incident type", "3. Affected system", "4. What happened, and when"]


def test_what_is_known_is_filled_in() -> None:
    told = answers(draft())
    assert told["Name and role"] == "A. Kumar, CISO"
    assert told["E-mail"] == "ciso@hospital.example"
    assert told["I am"].startswith("☒ the affected entity")
    assert told["Internet service provider"] == "Example Broadband"
    assert told["Network"] == "zone modalities"
    assert told["Occurrence, date and time"].startswith("22/11/2026 12:15 IST (22/11/2026 06:45 UTC)")
    assert told["Detection, date and time"] == "22/11/2026 12:18 IST (22/11/2026 06:48 UTC)"
    assert told["Report due"] == "22/11/2026 18:18 IST (22/11/2026 12:48 UTC)"
    assert "4 h 12 min left" in told["As this draft was made"]
    for address in ("incident@cert-in.org.in", "1800-11-4949", "1800-11-6969"):
        assert address in draft()


def test_what_nobody_told_is_a_field_to_fill_and_is_counted() -> None:
    for organisation in (WHOLE, Organisation()):
        text = draft(organisation)
        [count] = re.findall(r"\*\*DRAFT\. (\d+) fields wait for you\*\*", text)
        assert text.count(TO_FILL) == int(count)
    assert draft(Organisation()).count(TO_FILL) == draft().count(TO_FILL) + 12
    told = answers(draft(Organisation()))
    for name in ("Name and role", "Organisation", "Location", "Internet service provider", "Domain or URL", "I am"):
        assert TO_FILL in told[name]
    for name in ("Operating system", "Make and model, or cloud", "Affected application", "IP address"):
        assert TO_FILL in answers(draft())[name], "never invented, whatever is configured"


def boxes(text: str) -> dict[str, bool]:
    return {number: box == "☒" for box, number in re.findall(r"^- ([☒☐]) (?:\*\*)?\((\w+)\)", text, re.MULTILINE)}


def test_incident_types_are_boxes() -> None:
    ticked = boxes(draft(kinds=("near_duplicate_queries", "port_scan")))
    assert len(ticked) == 20
    assert [number for number, on in ticked.items() if on] == ["i", "xx"]
    text = draft(kinds=("of_the_site",))
    assert not any(boxes(text).values())
    assert "points at no type by itself" in text


def test_the_same_of_the_same() -> None:
    assert draft() == draft()


@given(HOSTILE, IN_JSON, st.lists(HOSTILE, max_size=3))
def test_hostile_text_changes_nothing_but_its_own_cell(title: str, why: str, kinds: list[str]) -> None:
    finding = a_finding(title=title, because=[why], about=[why], device=why, zone=title)
    case = a_case(title=title, device=why, zone=title, device_class=why, kinds=tuple(kinds)[:MAX_KINDS])
    text = cert_in.draft(case, [finding], [an_entry("noted", why)], Organisation(name=title, isp=why), now=NOW)
    found = list(blocks(text))
    assert [block.text for block in found if block.kind in {"h1", "h2", "h3"}] == [
        "Incident report to CERT-In: case 17",
        "1. Who reports",
        "2. Incident type",
        "3. Affected system",
        "4. What happened, and when",
        "Annex A: what was seen, in the order of time",
        "Annex B: what was done",
        "Annex C: real addresses",
    ]
    assert all(len(row) == 2 for block in found for row in block.rows)
    assert len(boxes(text)) == 20
    [count] = re.findall(r"DRAFT\. (\d+) fields", text)
    assert text.count(TO_FILL) == int(count)
