"""A finding as OCSF has it: what the store reads of it, and what it writes when it tells how the case stands.

OCSF Detection Finding, class 2004, with the profile Incident (`assignee`, `verdict`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct, field

from detector.cases.case import SEVERITIES

if TYPE_CHECKING:
    from detector.cases.case import Case

MAX_FINDING = 1 << 20
"""Bytes; a longer one is refused."""
CLASS = 2004
ACTIVITIES = {"open": (1, "Create"), "acknowledged": (2, "Update"), "closed": (3, "Close")}
STATUSES = {
    "open": (1, "New"),
    "acknowledged": (2, "In Progress"),
    "suppressed": (3, "Suppressed"),
    "closed": (4, "Resolved"),
}
VERDICT_IDS = {
    "": (0, "Unknown"),
    "true-positive": (2, "True Positive"),
    "false-alarm": (1, "False Positive"),
    "expected": (5, "Benign"),
    "undetermined": (7, "Insufficient Data"),
}

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Short = Annotated[str, Meta(max_length=200)]
Text = Annotated[str, Meta(max_length=1000)]
Moment = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]


class _Metadata(Struct):
    uid: Name
    logged_time: Moment | None = None


class _Analytic(Struct):
    uid: Short = ""
    type_id: int = 1


class _Info(Struct):
    title: Text = ""
    types: list[Short] = field(default_factory=list)
    analytic: _Analytic = field(default_factory=_Analytic)
    first_seen_time: Moment | None = None


class _Resource(Struct):
    uid: Short = ""
    namespace: Short = ""
    labels: list[Short] = field(default_factory=list)


class _Unmapped(Struct):
    about: list[str] = field(default_factory=list)
    device_class: Short = ""


class _Finding(Struct):
    class_uid: int
    metadata: _Metadata
    severity_id: Annotated[int, Meta(ge=1, le=6)]
    time: Moment
    finding_info: _Info = field(default_factory=_Info)
    risk_score: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    resources: list[_Resource] = field(default_factory=list)
    unmapped: _Unmapped = field(default_factory=_Unmapped)


class Facts(NamedTuple):
    """What a case is made from. Times in milliseconds."""

    uid: str
    kind: str
    title: str
    severity: int
    """1 to 5."""
    device: str
    device_class: str
    zone: str
    peer: str
    """The other end, as far as the finding tells of one."""
    when: int
    first: int
    detected: int | None
    risk: int
    anomaly: bool


_decoder = msgspec.json.Decoder(_Finding)
_ENDS = re.compile(r"(\S+) → (\S+)")


def facts(line: bytes) -> Facts:
    """Of one finding. Raises ValueError where it is none that we wrote."""
    if len(line) > MAX_FINDING:
        raise ValueError(f"a finding of {len(line)} bytes; {MAX_FINDING} are the most")
    found = _decoder.decode(line)
    if found.class_uid != CLASS:
        raise ValueError(f"class_uid {found.class_uid} is no Detection Finding")
    info = found.finding_info
    resource = found.resources[0] if found.resources else _Resource()
    kind = info.types[0] if info.types else info.analytic.uid
    if not kind:
        raise ValueError("a finding of no kind: neither finding_info.types nor finding_info.analytic.uid")
    return Facts(
        uid=found.metadata.uid,
        kind=kind,
        title=info.title or kind,
        severity=min(found.severity_id, len(SEVERITIES)),  # OCSF knows one more, fatal
        device=resource.uid,
        device_class=found.unmapped.device_class,
        zone=resource.namespace,
        peer=_peer(found.unmapped.about, resource.uid),
        when=found.time,
        first=min(info.first_seen_time if info.first_seen_time is not None else found.time, found.time),
        detected=found.metadata.logged_time,
        risk=min(found.risk_score, 100),
        anomaly=info.analytic.type_id != 1,
    )


def _peer(about: list[str], device: str) -> str:
    """Of `source → destination …`, the one that the finding is not about."""
    match = _ENDS.match(about[0][:500]) if about else None
    if match is None:
        return ""
    return next((end for end in match.groups() if end != device), "")[:200]


def exported(finding: bytes, case: Case | None, comment: str = "") -> bytes:
    """The finding with how its case stands; without one, as suppressed. Raises ValueError for what is no JSON object."""
    whole: dict[str, Any] = msgspec.json.decode(finding, type=dict[str, Any])
    status, caption = STATUSES[case.state if case else "suppressed"]
    activity, name = ACTIVITIES[case.state if case else "open"]
    whole |= {
        "activity_id": activity,
        "activity_name": name,
        "type_uid": CLASS * 100 + activity,
        "status_id": status,
        "status": caption,
        "is_alert": activity == 1 and case is not None,
    }
    whole.setdefault("metadata", {})["profiles"] = ["incident"]
    if case is not None:
        verdict, words = VERDICT_IDS[case.verdict]
        whole |= {"verdict_id": verdict, "verdict": words}
        whole["unmapped"] = {**whole.get("unmapped", {}), "case": case.number}
        if case.assignee:
            whole["assignee"] = {"name": case.assignee}
        if comment:
            whole["comment"] = comment
    return msgspec.json.encode(whole)
