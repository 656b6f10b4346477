"""A rule as the analyst reads it, what it says when it matches, and what is wrong with it when it does not load."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Protocol

from msgspec import Struct, field

from nigrani.stream.event import Event

LEVELS = ("informational", "low", "medium", "high", "critical")

RISKS = {"informational": 5, "low": 20, "medium": 40, "high": 70, "critical": 90}
"""Risk of a rule that names none under `custom`."""

STAGES = ("test", "shadow", "on")
"""test: loaded and checked; shadow: also evaluated and counted; on: alerts too."""

NEW_FACTS = frozenset(
    {
        "calling_ae",
        "called_ae",
        "move_destination",
        "sending_application",
        "client",
        "peer",
        "device",
        "fhir_client",
        "server_name",
        "dns_suffix",
        "hl7_trigger",
        "ai_admin",
        "ai_admin_zone",
    }
)
"""What `nigrani.new` may hold: the facts of an event that its device's baseline has never seen."""


class Fault(Struct, frozen=True, order=True):
    """What is wrong with a rule file, where, and what to do about it."""

    path: Path
    line: int
    """From 1; 0 where the whole file or folder is meant."""
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}; {self.remedy}"


class RuleFaults(ValueError):  # noqa: N818 it is as many errors as there are faults
    """Every fault of every rule file that was read."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)


class RefusedError(ValueError):
    """A part of a rule that cannot be run, with its remedy; whoever knows the line makes a `Fault` of it."""

    def __init__(self, message: str, remedy: str, *keys: str | int) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.keys = keys
        """Where in the document: keys and list positions from its top."""


class Suppress(Struct, frozen=True):
    """How often one story is told."""

    by: tuple[str, ...]
    """Fields whose values make it the same story."""
    seconds: int
    """For so long after an alert, matches of the same story are counted and do not alert."""


class Rule(Struct, frozen=True, kw_only=True):
    """What a rule says about itself."""

    id: str
    """The UUID of the rule; empty only for the base of a correlation, which never alerts."""
    title: str
    path: Path
    name: str = ""
    """By which correlations and filters refer to it."""
    level: str = "informational"
    status: str = ""
    description: str = ""
    false_positives: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    attack: tuple[str, ...] = ()
    """MITRE ATT&CK technique ids, such as T1046."""
    atlas: tuple[str, ...] = ()
    """MITRE ATLAS technique ids, such as AML.T0024."""
    matrix: str = ""
    """Versions of the matrices the ids are taken from."""
    risk: int = 0
    """0–100: how much this rule alone adds to its device's risk."""
    runbook: str = ""
    first_steps: tuple[str, ...] = ()
    title_detail: str = ""
    unit: str = ""
    """What a correlation counts, for its threshold's sentence: `C-FIND requests`."""
    datasets: tuple[str, ...] = ()
    owner: str = ""
    stage: str = STAGES[-1]
    expires: date | None = None
    """The last day, UTC, on whose events the rule alerts."""
    suppress: Suppress | None = None

    @property
    def held(self) -> bool:
        """Whether something may keep a match from alerting."""
        return self.stage != STAGES[-1] or self.expires is not None or self.suppress is not None


class Extra(Struct, frozen=True):
    """What the detector knows of an event beside the event, by the names that rules have for it."""

    new: tuple[str, ...] = field(name="nigrani.new", default=())
    """What of the event the baseline never saw; empty also where there is no baseline yet."""
    p_value: float | None = None
    """How rare the flow is, by the models; none where no model scored it."""
    device_class: str = field(name="device.class", default="")
    """What the device is whose story the event tells: modality, pacs, …; empty where there is no baseline to say so."""
    source_class: str = field(name="source.class", default="")
    """What the originator is."""
    destination_class: str = field(name="destination.class", default="")
    """What the device is that was spoken to."""


class Known(Protocol):
    """An `Extra`, or what works out the same when a rule asks."""

    @property
    def new(self) -> tuple[str, ...]:
        """See `Extra`."""

    @property
    def p_value(self) -> float | None:
        """See `Extra`."""

    @property
    def device_class(self) -> str:
        """See `Extra`."""

    @property
    def source_class(self) -> str:
        """See `Extra`."""

    @property
    def destination_class(self) -> str:
        """See `Extra`."""


class Hit(Struct, kw_only=True):
    """One match of one rule."""

    rule: Rule
    host: str
    when: datetime
    """Time of the event that completed the match."""
    first: datetime
    """Start of what is counted, to the second; `when` for a rule of one event."""
    count: int | float | None = None
    threshold: str = ""
    because: tuple[tuple[str, object], ...] = ()
    """The (field, value) pairs that the rule's positive tests matched on, of the last event."""
    event_ids: tuple[str, ...] = ()
    """The last ten at most."""
    group: tuple[tuple[str, str], ...] = ()
    story: tuple[str, ...] = ()
    """Values of the fields that the rule is suppressed by."""
    suppressed: int = 0
    """Matches of the same story that did not alert since the last alert of it."""
    event: Event | None = None
    """What the hit is of, where another event made it due."""
