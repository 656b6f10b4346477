"""Cases and findings for the tests of reports."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from detector.cases.case import Case, Deadline, Entry, Finding

WHEN = datetime(2026, 11, 22, 6, 48, 24, tzinfo=UTC)
DEVICE = "ip:8a50ca2c7fe6b84f"
PEER = "ip:800a1088b525c0b1"


def a_case(**changes: Any) -> Case:
    plain: dict[str, Any] = {
        "number": 17,
        "title": "Port scan",
        "severity": "high",
        "state": "open",
        "detected": WHEN,
        "first": WHEN - timedelta(minutes=3),
        "last": WHEN,
        "findings": 1,
        "devices": 1,
        "device": DEVICE,
        "zone": "modalities",
        "kinds": ("port_scan",),
        "origin": "f1",
        "updated": WHEN,
        "deadlines": (Deadline("cert-in", WHEN + timedelta(hours=6), "undecided"),),
    }
    return Case(**(plain | changes))


def a_finding(uid: str = "f1", **changes: Any) -> Finding:
    """because, about, attacks and events go into its OCSF."""
    told = {name: changes.pop(name, ()) for name in ("because", "about", "attacks", "events")}
    rule = changes.pop("rule", "a11c0239-88f7-4dba-a4e9-60f66fa7ce25")
    ocsf = {
        "finding_info": {
            "analytic": {"uid": rule},
            "attacks": [{"technique": {"uid": uid}, "version": "ATT&CK v19"} for uid in told["attacks"]],
            "related_events": [{"uid": uid} for uid in told["events"]],
        },
        "unmapped": {"because": list(told["because"]), "about": list(told["about"])},
    }
    plain: dict[str, Any] = {
        "uid": uid,
        "kind": "port_scan",
        "title": "Port scan",
        "severity": "high",
        "device": DEVICE,
        "zone": "modalities",
        "when": WHEN,
        "first": WHEN - timedelta(seconds=2),
        "case": 17,
        "ocsf": msgspec.json.encode(ocsf),
    }
    return Finding(**(plain | changes))


def an_entry(action: str, text: str = "", minutes: int = 5) -> Entry:
    return Entry(17, WHEN + timedelta(minutes=minutes), "asha", action, text)
