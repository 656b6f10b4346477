"""Drafts of the intimations that rule 7 of the DPDP Rules, 2025 asks for, under its own headings, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from detector.cases.case import Case, Entry, Finding
from detector.reports.clocks import IST, both
from detector.reports.document import UNKNOWN, Document, escape
from detector.reports.organisation import Organisation
from detector.reports.story import Seen, seen, tell_clock, tell_done, tell_seen, tell_tokens

AUTHORITY = "dpdp"


def draft(
    case: Case,
    findings: Sequence[Finding],
    history: Sequence[Entry],
    organisation: Organisation,
    *,
    now: datetime | None = None,
) -> str:
    """The three drafts in one document, as they stand now."""
    document = Document(f"Intimation of a personal data breach: case {case.number}")
    story = seen(findings)
    document.paragraph(_bound(case, organisation))
    document.paragraph(
        f"nigrani sees no patient's data: whether personal data was affected, whose and how much is {UNKNOWN}. "
        f"{document.fill('is it a personal data breach at all? If not, none of this is sent')}"
    )
    tell_clock(document, case, AUTHORITY, now or datetime.now(UTC))
    _to_each(document, case, organisation)
    _to_the_board(document, case, organisation)
    _within_72_hours(document, case, story, history)
    document.heading("Annex: real addresses")
    tell_tokens(document, case, story, "DPDP intimation")
    return document.text()


def _bound(case: Case, organisation: Organisation) -> str:
    """Whether the rule was in force, by the date that the site has set."""
    begins = organisation.dpdp_commences
    day = case.detected.astimezone(IST).date()
    setting = f"Rule 7 commences on {begins:%d/%m/%Y} by this site's setting `organisation.dpdp_commences`"
    if day < begins:
        before = f"**{setting}; this case was detected before, on {day:%d/%m/%Y}.**"
        return f"{before} Look the date up in the e-Gazette before you rely on it."
    return f"**{setting}: it binds this case, detected on {day:%d/%m/%Y}.** Look the date up in the e-Gazette if in doubt."


def _to_each(document: Document, case: Case, organisation: Organisation) -> None:
    document.heading("A. To each affected Data Principal, without delay (rule 7(1))")
    document.paragraph(
        "Concise, clear and plain, through the user account or the way of contact that the person has registered."
    )
    person = organisation.answering
    document.table(
        ("Heading", "Text"),
        [
            (
                "(a) Description: nature, extent, timing and location",
                _description(document, case, organisation, "her or his data"),
            ),
            ("(b) Consequences relevant to her", document.fill("what may follow for this person")),
            (
                "(c) Measures implemented and being implemented to mitigate risk",
                document.fill("measures, in plain words; see C(iii)"),
            ),
            ("(d) Safety measures that she may take", document.fill("what the person can do")),
            (
                "(e) Business contact of a person who can answer",
                ", ".join(
                    (
                        document.known(person.name, "name"),
                        document.known(person.phone, "telephone"),
                        document.known(person.email, "e-mail"),
                    )
                ),
            ),
        ],
    )


def _to_the_board(document: Document, case: Case, organisation: Organisation) -> None:
    document.heading("B. To the Data Protection Board, without delay (rule 7(2)(a))")
    document.table(
        ("Heading", "Text"),
        [
            ("Data Fiduciary", document.known(organisation.name, "name of the Data Fiduciary")),
            (
                "Description: nature, extent, timing and location",
                _description(document, case, organisation, "whose data, of what kind, of how many"),
            ),
            ("Likely impact", document.fill("likely impact")),
        ],
    )


def _description(document: Document, case: Case, organisation: Organisation, extent: str) -> str:
    return (
        f"Nature: {escape(case.title)}. Extent: {document.fill(extent)} "
        f"Timing: first sign {both(case.first)}, last {both(case.last)}. "
        f"Location: {document.known(organisation.location, 'city, region, country')}."
    )


def _within_72_hours(document: Document, case: Case, story: Sequence[Seen], history: Sequence[Entry]) -> None:
    document.heading("C. To the Data Protection Board, within 72 hours or as it allows (rule 7(2)(b))")
    document.heading("(i) Updated and detailed information", 3)
    document.paragraph(f"Detected {both(case.detected)}. {document.fill('what is known by now beyond B')}")
    document.heading("(ii) Broad facts: events, circumstances and reasons", 3)
    tell_seen(document, case, story)
    document.paragraph(document.fill("circumstances and reasons, as far as established"))
    document.heading("(iii) Measures implemented or proposed to mitigate risk", 3)
    document.paragraph("By the case's history:")
    tell_done(document, history)
    document.paragraph(f"{document.fill('measures beyond these')} See that what people wrote names no patient.")
    document.heading("(iv) Findings regarding the person who caused the breach", 3)
    document.paragraph(f"Devices are seen, not persons: the person is {UNKNOWN}. {document.fill('findings, if any')}")
    document.heading("(v) Remedial measures to prevent recurrence", 3)
    document.paragraph(document.fill("remedial measures"))
    document.heading("(vi) Report on the intimations given to affected Data Principals", 3)
    document.paragraph(document.fill("how many were intimated, when and by what way"))
