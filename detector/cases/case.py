"""What the case store tells: cases, the findings in them, their history, and what they can be asked by."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

from msgspec import Struct, field

SEVERITIES = ("informational", "low", "medium", "high", "critical")
"""The least first; OCSF's severity_id is the place in this list, from 1."""
STATES = ("open", "acknowledged", "closed")
ACTIVE = "active"
"""A filter's word for every state but `closed`."""
VERDICTS = ("true-positive", "false-alarm", "expected", "undetermined")
"""`expected`: it happened, and it was meant to. A case that is not closed has none, nor one that ended by itself."""
SOURCES = ("finding", "pipeline")
"""Of a case: findings of the detector, or trouble of our own that Alertmanager told."""
FINDING_SOURCES = ("rule", "anomaly")
ORDERS = ("newest", "urgent")
"""Of cases: by the last event, or by severity and then by that."""
FINDING_ORDERS = ("newest", "oldest")
AUTHORITIES = {"cert-in": 6, "dpdp": 72}
"""Whom a report may be due to, and within how many hours from when the case was detected."""
DEADLINE_STATES = ("undecided", "due", "sent", "not-needed")
ACTIONS = (
    "opened", "joined", "merged", "acknowledged", "assigned", "noted", "closed", "reopened", "suppressed", "unsuppressed",
    "step-done", "step-undone", "deadline", "notified", "viewed", "viewed-finding", "viewed-evidence", "reveal-asked",
    "exported", "logged-in", "login-refused", "logged-out", "retired",
)  # fmt: skip
"""Of history. `retired`: cases were deleted for their age."""

MAX_TEXT = 10_000
"""Characters of a note, a reason, a text of any kind that a person writes."""
MAX_NAME = 100
"""Characters of a user's name, a step, a reference."""
MAX_KINDS = 20
MAX_PAGE = 1000
"""Items of one page, at most."""
MAX_COUNTED = 100_000
"""A listing's total is exact up to here."""


class Deadline(Struct, frozen=True):
    """A report that may be due."""

    authority: str
    """A key of AUTHORITIES."""
    due: datetime
    state: str
    """One of DEADLINE_STATES."""
    reference: str = ""
    """What the authority calls the report, once it was sent."""


class Case(Struct, frozen=True, kw_only=True):
    """One or more findings of one story, or one trouble of the pipeline."""

    number: int
    title: str
    severity: str
    """The highest of its findings."""
    state: str
    assignee: str = ""
    verdict: str = ""
    """Empty until it is closed."""
    detected: datetime
    """When the detector first raised it: the clock of reports starts here."""
    first: datetime
    """Of its events, by their own time."""
    last: datetime
    findings: int = 0
    """Without the suppressed ones."""
    suppressed: int = 0
    devices: int = 0
    device: str = ""
    """The token of the device that it began with."""
    device_class: str = ""
    zone: str = ""
    kind: str = ""
    """The slug of what its title tells of; `pipeline` for trouble of our own."""
    kinds: tuple[str, ...] = ()
    """Slugs, the most frequent first, at most MAX_KINDS."""
    risk: int = 0
    """The highest of its findings, 0 to 100."""
    source: str = "finding"
    """One of SOURCES."""
    origin: str = ""
    """The uid of its first finding, or Alertmanager's group key."""
    again: int = 0
    """The case that this one goes on from, which was closed before; 0 where there is none."""
    outbreak: bool = False
    """Whether it is one kind of finding on many devices."""
    updated: datetime
    deadlines: tuple[Deadline, ...] = ()


class Finding(Struct, frozen=True, kw_only=True):
    """One alert of the detector."""

    uid: str
    kind: str
    """Its slug."""
    title: str
    severity: str
    device: str
    device_class: str = ""
    zone: str = ""
    when: datetime
    first: datetime
    risk: int = 0
    source: str = "rule"
    """One of FINDING_SOURCES."""
    case: int = 0
    """0: of none, for it was suppressed."""
    suppressed: bool = False
    ocsf: bytes = b""
    """The whole of it, as the detector wrote it; empty in listings."""


class Entry(Struct, frozen=True):
    """One line of history, which nothing changes."""

    case: int
    """0: of no case."""
    at: datetime
    by: str
    action: str
    """One of ACTIONS."""
    text: str = ""
    data: dict[str, Any] = field(default_factory=dict)


class Suppression(Struct, frozen=True):
    """Findings of one kind that nobody wants to hear of for a while."""

    id: int
    kind: str
    device: str
    """Empty: all devices."""
    until: datetime
    by: str
    at: datetime
    text: str
    case: int = 0
    """Where it was decided; 0: in none."""
    findings: int = 0
    """How many it has covered."""


class Filter(Struct, frozen=True, kw_only=True):
    """What is asked for: all that is set must hold."""

    state: str = ""
    """One of STATES, or ACTIVE. Of a finding: of its case."""
    severity: str = ""
    """At least."""
    kind: str = ""
    device: str = ""
    device_class: str = ""
    zone: str = ""
    assignee: str = ""
    since: datetime | None = None
    """Of a finding: of its time; of a case: of its last event."""
    until: datetime | None = None
    text: str = ""
    """Part of the title, whatever its case."""
    source: str = ""
    """Of a case one of SOURCES, of a finding one of FINDING_SOURCES."""
    verdict: str = ""
    case: int = 0
    """Of findings alone: those of this case."""
    suppressed: bool | None = None
    """Of findings alone."""


Item = TypeVar("Item", Case, Finding)


class Listing(Struct, Generic[Item], frozen=True):
    """One page."""

    items: tuple[Item, ...]
    total: int
    """Of all pages; exact up to MAX_COUNTED, and never more."""
    after: str | None = None
    """What to ask the next page by; None at the end."""


class Counts(Struct, frozen=True, kw_only=True):
    """What metrics tell of the store, all at one moment."""

    open: dict[tuple[str, str], int]
    """(severity, kind) → cases not closed."""
    risk: dict[str, int]
    """Device class → sum of the risk of cases not closed."""
    unacknowledged: datetime | None
    """When the oldest case was detected that nobody has taken."""
    reports: dict[str, int]
    """Authority → reports undecided or due."""
    report_due: dict[str, datetime]
    """Authority → the earliest of those."""
    opened: dict[str, int]
    """Severity that a case was opened with → how many ever."""
    closed: dict[str, int]
    """Verdict, or an empty one → how many ever."""
    false_alarms: dict[str, int]
    """rule or anomaly → findings in cases that were closed as false alarms."""
    taken: int
    suppressed: int
    repeated: int
    refused: int
    retired: int
    """Cases deleted for their age."""
