"""The alert: what, where, why, how sure, and what to do.

On the wire it is an OCSF Detection Finding (class 2004, schema 1.5); what OCSF has no name for stands under `unmapped`.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from detector.device_class import UNKNOWN
from detector.matrix import technique

SEVERITY = {"informational": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}
"""Sigma level → OCSF severity_id."""


class Reason(Struct, frozen=True):
    """One feature of the device's minute beside what is usual for it."""

    feature: str
    value: float
    p50: float
    p99: float
    once_in: int
    """Minutes; never more than were seen."""
    own: bool
    """Whether the usual is the device's own, or the site's for want of it."""
    minutes: int
    """How many minutes the usual rests on."""

    def __str__(self) -> str:
        whose = "this device" if self.own else "the site, for this device has no history"
        rare = (
            f"never so high in {self.minutes} minutes learnt"
            if self.once_in > self.minutes
            else f"as high once in {self.once_in} minutes"
        )
        return f"{number(self.value)} {self.feature} (usual {number(self.p50)}, p99 {number(self.p99)}; {rare} of {whose})"


class Alert(Struct, kw_only=True):
    """One finding about one device."""

    id: str
    kind: str
    """The rule's id, or `anomaly-` and the response's slug."""
    slug: str
    """A short name: the rule's file, or the anomaly's kind."""
    title: str
    severity: str
    device: str
    zone: str = ""
    device_class: str = ""
    when: datetime
    first: datetime
    source: str
    """rule or anomaly."""
    description: str = ""
    because: list[str] = msgspec.field(default_factory=list)
    """What the rule matched on, in words."""
    about: list[str] = msgspec.field(default_factory=list)
    """Who did it to whom, as far as the last event tells."""
    reasons: list[Reason] = msgspec.field(default_factory=list)
    attack: list[str] = msgspec.field(default_factory=list)
    atlas: list[str] = msgspec.field(default_factory=list)
    matrix: str = ""
    false_positives: list[str] = msgspec.field(default_factory=list)
    first_steps: list[str] = msgspec.field(default_factory=list)
    runbook: str = ""
    risk: int = 0
    p_value: float | None = None
    learnt: int = 0
    """Device-minutes that the p-value rests on; beyond one in so many it is extrapolated."""
    false_alarms_per_week: float | None = None
    """How many benign minutes a week are expected to be as strange."""
    budget: float | None = None
    """False alarms a week that the site allows."""
    model: str = ""
    """The baseline's fingerprint."""
    events: list[str] = msgspec.field(default_factory=list)

    def ocsf(self) -> dict[str, Any]:
        """The finding as OCSF has it."""
        analytic = {"uid": self.kind, "name": self.title, "type_id": 1 if self.source == "rule" else 4}
        attacks = [{"technique": _technique(uid), "version": self.matrix} for uid in (*self.attack, *self.atlas)]
        return {
            "activity_id": 1,
            "category_uid": 2,
            "class_uid": 2004,
            "type_uid": 200401,
            "severity_id": SEVERITY[self.severity],
            "severity": self.severity.capitalize(),
            "status_id": 1,
            "time": _ms(self.when),
            "message": self.title,
            "risk_score": self.risk,
            "is_alert": True,
            "metadata": {"version": "1.5.0", "product": {"name": "nigrani", "vendor_name": "nigrani"}, "uid": self.id},
            "finding_info": {
                "uid": self.id,
                "title": self.title,
                "desc": self.description,
                "created_time": _ms(self.when),
                "first_seen_time": _ms(self.first),
                "last_seen_time": _ms(self.when),
                "types": [self.slug],
                "analytic": analytic,
                "attacks": attacks,
                "related_events": [{"uid": uid, "type_uid": 0} for uid in self.events],
            },
            "resources": [self._resource()],
            **({"anomaly_analyses": [self._analysis()]} if self.reasons else {}),
            "remediation": {"desc": " ".join(self.first_steps), "references": [self.runbook] if self.runbook else []},
            "unmapped": {
                "because": self.because,
                "about": self.about,
                "reasons": [msgspec.to_builtins(reason) for reason in self.reasons],
                "reasons_text": [str(reason) for reason in self.reasons],
                "first_steps": self.first_steps,
                "false_positives": self.false_positives,
                "p_value": self.p_value,
                "learnt_minutes": self.learnt,
                "false_alarms_per_week": self.false_alarms_per_week,
                "budget_per_week": self.budget,
                "model": self.model,
                "device_class": self.device_class,
            },
        }

    def _resource(self) -> dict[str, Any]:
        labels = {"labels": [f"class:{self.device_class}"]} if self.device_class else {}
        return {"uid": self.device, "type": "device", "namespace": self.zone, **labels}

    def _analysis(self) -> dict[str, Any]:
        """What stood out in the device's minute beside what is usual."""
        anomalies = [
            {
                "observation_parameter": reason.feature,
                "observation_type": "Deviation Analysis",
                "observed_pattern": "UNSEEN" if reason.once_in > reason.minutes else "RARE",
                "observations": [{"value": number(reason.value), "count": 1}],
            }
            for reason in self.reasons
        ]
        baselines = [
            {
                "observation_parameter": reason.feature,
                "observation_type": "Deviation Analysis",
                "observations": [
                    {"value": f"usual {number(reason.p50)}, p99 {number(reason.p99)}", "count": reason.minutes},
                ],
            }
            for reason in self.reasons
        ]
        targets = [{"name": self.device, "type": "device"}]
        return {"analysis_targets": targets, "anomalies": anomalies, "baselines": baselines}

    def _reach(self) -> str:
        """How far the p-value goes beyond what was seen."""
        if self.p_value is None or not self.learnt or self.p_value * (self.learnt + 1) >= 1:
            return ""
        return f", extrapolated from {self.learnt:,} minutes learnt"

    def text(self) -> str:
        """The alert as a person reads it in a terminal: what an attacker wrote cannot steer it or begin a line."""
        when = self.when.strftime("%Y-%m-%d %H:%M:%S UTC")
        known = [word for word in (self.zone, self.device_class) if word not in {"", UNKNOWN}]
        zone = f" ({', '.join(known)})" if known else ""
        lines = [f"{self.severity.upper()}  {self.title}", f"  device  {self.device}{zone}   {when}   id {self.id}"]
        lines += [f"  why     {line}" for line in self.because]
        lines += [f"  who     {line}" for line in self.about]
        lines += [f"  {'so far' if self.because else 'why   '}  {reason}" for reason in self.reasons]
        if self.p_value is not None:
            weekly = f"about {self.false_alarms_per_week:.2g} benign minutes a week are as strange"
            lines.append(f"  sure    p = {self.p_value:.1g}{self._reach()}; {weekly}, the budget is {self.budget:g}")
        techniques = [*self.attack, *self.atlas]
        if techniques:
            lines.append(f"  tactic  {', '.join(techniques)}" + (f"   [{self.matrix}]" if self.matrix else ""))
        if self.false_positives:
            lines.append(f"  unless  {self.false_positives[0]}")
        lines += [f"  {'do' if number == 0 else '  '}      {step}" for number, step in enumerate(self.first_steps)]
        return "\n".join("".join(c if c.isprintable() else " " for c in line) for line in lines)


def alert_id(kind: str, device: str, window: int) -> str:
    """The same finding about the same device in the same window has the same id, however often it is replayed."""
    return hashlib.blake2b(f"{kind}\0{device}\0{window}".encode(), digest_size=10).hexdigest()


def number(value: float) -> str:
    """Three figures, thousands set apart."""
    if value >= 999.5:
        return f"{round(value, 3 - len(str(int(value)))):,.0f}"
    return f"{value:.3g}"


def _technique(uid: str) -> dict[str, str]:
    """OCSF's technique: with its name and page where the matrices have it."""
    known = technique(uid)
    return {"uid": uid, "name": known.name, "src_url": known.url} if known else {"uid": uid}


def _ms(when: datetime) -> int:
    return int(when.timestamp() * 1000)
