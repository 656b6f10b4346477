"""Findings for the tests of cases, in the form that the detector writes them, and a clock that stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from detector.alert import Alert, alert_id

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        return self.time

    def go(self, **span: float) -> None:
        self.time += timedelta(**span)


def alert(
    kind: str = "port_scan", device: str = "ip:a", minutes: float = 0.0, level: str = "medium", peer: str = ""
) -> Alert:
    """One of a rule."""
    when = NOW + timedelta(minutes=minutes)
    return Alert(
        id=alert_id(kind, device, int(minutes * 60)),
        kind=f"id-of-{kind}",
        slug=kind,
        title=kind.replace("_", " ").capitalize(),
        severity=level,
        device=device,
        zone="imaging",
        device_class="pacs",
        when=when,
        first=when - timedelta(seconds=30),
        source="anomaly" if kind.startswith("anomaly") else "rule",
        because=["41 ports"],
        about=[f"{device} → {peer} port 104 (imaging)"] if peer else [],
        risk=60,
    )


def finding(
    *words: str, minutes: float = 0.0, level: str = "medium", peer: str = "", logged: datetime | None = None
) -> bytes:
    """One line of the alerts log. words: kind and device."""
    whole = alert(*words, minutes=minutes, level=level, peer=peer).ocsf()
    if logged:
        whole["metadata"]["logged_time"] = int(logged.timestamp() * 1000)
    return msgspec.json.encode(whole)
