"""A draft of CERT-In's incident reporting form, in its own fields and order, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from detector.cases.case import Case, Entry, Finding
from detector.device_class import UNKNOWN as CLASS_UNKNOWN
from detector.reports.clocks import both, exact
from detector.reports.document import UNKNOWN, Document, escape
from detector.reports.incident_type import Proposal, propose, table
from detector.reports.organisation import Organisation
from detector.reports.story import Seen, seen, tell_clock, tell_done, tell_seen, tell_tokens

AUTHORITY = "cert-in"
ADDRESSES = (
    "E-mail: incident@cert-in.org.in",
    "Telephone, toll-free: 1800-11-4949",
    "Fax, toll-free: 1800-11-6969",
)
ON, OFF = "☒", "☐"


def draft(
    case: Case,
    findings: Sequence[Finding],
    history: Sequence[Entry],
    organisation: Organisation,
    *,
    now: datetime | None = None,
) -> str:
    """The draft, as it stands now; the same of the same, and of the same `now`."""
    document = Document(f"Incident report to CERT-In: case {case.number}")
    story = seen(findings)
    tell_clock(document, case, AUTHORITY, now or datetime.now(UTC))
    document.bullets(ADDRESSES)
    document.paragraph(
        "The form is not mandatory: the same may be told by e-mail, telephone or fax. A first report need not be complete."
    )
    _who(document, organisation)
    _type(document, case)
    _system(document, case, organisation)
    _description(document, case, story)
    document.heading("Annex A: what was seen, in the order of time")
    tell_seen(document, case, story)
    document.heading("Annex B: what was done")
    tell_done(document, history)
    document.paragraph("What people wrote is told as they wrote it: see that it names no patient before you send it.")
    document.heading("Annex C: real addresses")
    document.paragraph("CERT-In asks for real IP addresses.")
    tell_tokens(document, case, story, "CERT-In report")
    return document.text()


def _who(document: Document, organisation: Organisation) -> None:
    reporter = organisation.reporter
    document.heading("1. Who reports")
    mine = f"{ON} the affected entity   {OFF} reporting for another entity (change it if you do)"
    document.table(
        ("Field", "Answer"),
        [
            ("I am", mine if organisation.name else document.fill("affected entity, or reporting for another")),
            ("Name and role", f"{document.known(reporter.name, 'name')}, {document.known(reporter.role, 'role')}"),
            ("Organisation", document.known(organisation.name, "name of the organisation that reports")),
            ("Contact number", document.known(reporter.phone, "telephone")),
            ("E-mail", document.known(reporter.email, "e-mail")),
            ("Address", document.known(organisation.address, "postal address")),
            ("Affected entity", document.known(organisation.name, "name of the affected entity")),
            ("Sector", document.known(organisation.sector, "sector")),
        ],
    )


def _type(document: Document, case: Case) -> None:
    proposal = propose(case.kinds)
    document.heading("2. Incident type")
    document.bullets(
        f"{ON} **({number}) {escape(words)}**" if number in proposal.numbers else f"{OFF} ({number}) {escape(words)}"
        for number, words in table().words.items()
    )
    document.paragraph(_why_type(document, proposal))


def _why_type(document: Document, proposal: Proposal) -> str:
    if not proposal.numbers:
        return document.fill("tick what applies; what nigrani saw points at no type by itself")
    speaking = "; ".join(f"({number}) for {escape(', '.join(kinds))}" for number, kinds in proposal.numbers.items())
    rest = f" Nothing is proposed for {escape(', '.join(proposal.unknown))}." if proposal.unknown else ""
    return f"Proposed by kinds of alert: {speaking}.{rest} {document.fill('confirm or correct the boxes')}"


def _system(document: Document, case: Case, organisation: Organisation) -> None:
    others = f" and {case.devices - 1:,} more" if case.devices > 1 else ""
    about = f"The findings are about {escape(case.device) or UNKNOWN}{others}; whom it reached is in Annex A."
    kind = f"device class {escape(case.device_class)}" if case.device_class not in {"", CLASS_UNKNOWN} else UNKNOWN
    domain = f"{escape(organisation.domain)} (the organisation's; that of the system itself is {UNKNOWN})"
    document.heading("3. Affected system")
    document.table(
        ("Field", "Answer"),
        [
            ("Critical to the organisation's mission?", document.fill(f"yes or no ({kind})")),
            ("Domain or URL", domain if organisation.domain else document.fill("domain or URL, if it has one")),
            ("IP address", f"{about} {document.fill('real addresses, Annex C')}"),
            ("Operating system", document.fill(f"operating system and version ({UNKNOWN})")),
            ("Make and model, or cloud", document.fill(f"make and model ({kind})")),
            ("Affected application", document.fill(f"application and version ({UNKNOWN})")),
            ("Location", document.known(organisation.location, "city, region, country")),
            ("Network", f"zone {escape(case.zone)}" if case.zone else document.fill("network")),
            ("Internet service provider", document.known(organisation.isp, "internet service provider")),
        ],
    )


def _description(document: Document, case: Case, story: Sequence[Seen]) -> None:
    document.heading("4. What happened, and when")
    findings = "1 finding" if case.findings == 1 else f"{case.findings:,} findings"
    devices = "1 device" if case.devices == 1 else f"{case.devices:,} devices"
    last = f", the last of {exact(story[-1].finding.when)}" if len(story) > 1 else ""
    seen_by = "nigrani, which watches the network and the logs of AI services, raised"
    meaning = document.fill("what it meant: services and patients affected, what is known of the cause")
    description = f"{escape(case.title)} ({case.severity}). {seen_by} {findings} about {devices}{last}. {meaning}"
    document.table(
        ("Field", "Answer"),
        [
            ("Brief description", description),
            ("Occurrence, date and time", f"{both(case.first)}: the first sign; anything earlier is {UNKNOWN}"),
            ("Detection, date and time", both(case.detected)),
        ],
    )
