"""Who reports: what the drafts for authorities say of the hospital. What is empty becomes a field that a person fills in."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True)
class Person:
    """Whom an authority, or a patient, may turn to."""

    name: str = ""
    """As it shall stand in a report."""
    role: str = ""
    """Such as Chief Information Security Officer."""
    phone: str = ""
    """In quotation marks: it is text."""
    email: str = ""
    """Of business, not private."""


@dataclass(frozen=True)
class Organisation:
    """The affected entity."""

    name: str = ""
    """The hospital's, as it is registered."""
    sector: str = ""
    """Such as Healthcare."""
    address: str = ""
    """Postal, in one line."""
    location: str = ""
    """Of the affected network: city, region, country."""
    domain: str = ""
    """On the internet, such as hospital.example."""
    isp: str = ""
    """Who connects the hospital to the internet."""
    reporter: Person = field(default_factory=Person)
    """Who sends reports: CERT-In's point of contact, as a rule."""
    answers: Person = field(default_factory=Person)
    """Who answers patients' questions about a breach. Default: who reports."""
    dpdp_commences: date = date(2027, 5, 13)
    """From when the DPDP Rules' rule 7 binds: 18 months after the Rules' publication; see the e-Gazette for changes."""

    @property
    def answering(self) -> Person:
        """Whom a Data Principal may ask."""
        return self.answers if self.answers != Person() else self.reporter
