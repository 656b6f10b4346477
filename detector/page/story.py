"""What the page reads out of a finding's OCSF: tolerant, for a finding may be of an older version, or of another hand."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field

from detector.alert import Reason

MAX_ITEMS = 40
"""Of each list, that are shown."""


class Story(Struct, frozen=True, kw_only=True):
    """Why, how sure, and what to do."""

    description: str = ""
    because: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    techniques: tuple[str, ...] = ()
    matrix: str = ""
    first_steps: tuple[str, ...] = ()
    false_positives: tuple[str, ...] = ()
    runbook: str = ""
    events: tuple[str, ...] = ()
    rule: str = ""
    p_value: float | None = None
    learnt: int = 0
    weekly: float | None = None
    """How many benign minutes a week are expected to be as strange."""
    budget: float | None = None
    model: str = ""


class _Technique(Struct):
    uid: str = ""


class _Attack(Struct):
    technique: _Technique = field(default_factory=_Technique)
    version: str = ""


class _Event(Struct):
    uid: str = ""


class _Analytic(Struct):
    uid: str = ""


class _Info(Struct):
    desc: str = ""
    analytic: _Analytic = field(default_factory=_Analytic)
    attacks: list[_Attack] = []
    related_events: list[_Event] = []


class _Remediation(Struct):
    references: list[str] = []


class _Unmapped(Struct):
    because: list[str] = []
    about: list[str] = []
    reasons: list[Any] = []
    first_steps: list[str] = []
    false_positives: list[str] = []
    p_value: float | None = None
    learnt_minutes: int = 0
    false_alarms_per_week: float | None = None
    budget_per_week: float | None = None
    model: str = ""


class _Finding(Struct):
    finding_info: _Info = field(default_factory=_Info)
    remediation: _Remediation = field(default_factory=_Remediation)
    unmapped: _Unmapped = field(default_factory=_Unmapped)


_decode = msgspec.json.Decoder(_Finding).decode


def read(ocsf: bytes) -> Story:
    """The story of a finding; an empty one where it tells none that we understand."""
    try:
        finding = _decode(ocsf)
    except (ValueError, RecursionError):
        return Story()
    info, more = finding.finding_info, finding.unmapped
    return Story(
        description=info.desc,
        because=tuple(more.because[:MAX_ITEMS]),
        about=tuple(more.about[:MAX_ITEMS]),
        reasons=tuple(_reasons(more.reasons[:MAX_ITEMS])),
        techniques=tuple(attack.technique.uid for attack in info.attacks[:MAX_ITEMS] if attack.technique.uid),
        matrix=next((attack.version for attack in info.attacks if attack.version), ""),
        first_steps=tuple(more.first_steps[:MAX_ITEMS]),
        false_positives=tuple(more.false_positives[:MAX_ITEMS]),
        runbook=next(iter(finding.remediation.references), ""),
        events=tuple(event.uid for event in info.related_events[:MAX_ITEMS] if event.uid),
        rule=info.analytic.uid,
        p_value=more.p_value,
        learnt=more.learnt_minutes,
        weekly=more.false_alarms_per_week,
        budget=more.budget_per_week,
        model=more.model,
    )


def _reasons(found: list[Any]) -> list[Reason]:
    reasons = []
    for one in found:
        try:
            reasons.append(msgspec.convert(one, Reason))
        except ValueError:
            continue
    return reasons
