"""What Alertmanager posts (webhook, version 4) into the store.

Trouble of our own pipeline opens a case of source `pipeline`, one for each group, and what is resolved closes it, unless
a person has taken it. A group about findings only tells the cases that it means that somebody was notified: the findings
themselves come by the alerts log, with what Prometheus must never know. About findings is an alert with the label
`about: findings`; one without `about` is, where it has a `kind` other than `pipeline`.
"""

from __future__ import annotations

import hashlib
import sqlite3
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from detector.cases.case import MAX_TEXT, SEVERITIES
from detector.cases.reading import ms
from detector.cases.taking import note, tally

MAX_PAYLOAD = 1 << 20
BY = "alertmanager"
MAX_NOTIFIED = 100
"""Cases that one notification is noted on."""
SEVERITY = {
    "info": 1,
    "informational": 1,
    "low": 2,
    "warning": 3,
    "medium": 3,
    "high": 4,
    "error": 4,
    "critical": 5,
    "page": 5,
}

Name = Annotated[str, Meta(max_length=200)]
Line = Annotated[str, Meta(max_length=2000)]
Labels = Annotated[dict[Name, Line], Meta(max_length=64)]


class Alert(Struct):
    """One of the group's."""

    status: Literal["firing", "resolved"]
    labels: Labels = field(default_factory=dict)
    annotations: Labels = field(default_factory=dict)
    startsAt: Line = ""  # noqa: N815 - Alertmanager's name
    fingerprint: Name = ""


class Payload(Struct):
    """A notification, as far as it is read."""

    version: Literal["4"]
    groupKey: Annotated[str, Meta(min_length=1, max_length=2000)]  # noqa: N815 - Alertmanager's name
    status: Literal["firing", "resolved"]
    alerts: Annotated[list[Alert], Meta(min_length=1, max_length=1000)]
    receiver: Name = ""
    groupLabels: Labels = field(default_factory=dict)  # noqa: N815 - as above
    commonLabels: Labels = field(default_factory=dict)  # noqa: N815 - as above
    commonAnnotations: Labels = field(default_factory=dict)  # noqa: N815 - as above


class Outcome(Struct, frozen=True):
    """What a notification led to."""

    done: str
    """opened | noted | closed | notified | nothing; `repeated` where it was here before."""
    cases: tuple[int, ...] = ()


_decoder = msgspec.json.Decoder(Payload)


def take(connection: sqlite3.Connection, payload: bytes | dict[str, Any], now: int) -> Outcome:
    """Within one transaction. Raises ValueError for what is no such notification."""
    if isinstance(payload, bytes) and len(payload) > MAX_PAYLOAD:
        raise ValueError(f"{len(payload)} bytes are no notification; {MAX_PAYLOAD} are the most")
    told = _decoder.decode(payload) if isinstance(payload, bytes) else msgspec.convert(payload, Payload)
    key = _key(told)
    if connection.execute("INSERT OR IGNORE INTO notice VALUES (?, ?)", (key, now)).rowcount == 0:
        return Outcome("repeated")
    if any(_means_findings(alert) for alert in told.alerts):
        return _notified(connection, told, now)
    if told.status == "resolved":
        return _resolved(connection, told, now)
    return _firing(connection, told, now)


def _key(told: Payload) -> str:
    """The same notification once more has the same: group, status, and which alerts since when."""
    parts = sorted(f"{alert.fingerprint}\0{alert.status}\0{alert.startsAt}" for alert in told.alerts)
    return hashlib.blake2b("\0\0".join((told.groupKey, told.status, *parts)).encode(), digest_size=16).hexdigest()


def _means_findings(alert: Alert) -> bool:
    if "about" in alert.labels:
        return alert.labels["about"] == "findings"
    return alert.labels.get("kind", "pipeline") != "pipeline"


def _notified(connection: sqlite3.Connection, told: Payload, now: int) -> Outcome:
    """Note it on the open cases that are meant."""
    found: set[int] = set()
    for alert in told.alerts:
        test, values = _meant(alert)
        rows = connection.execute(
            f"SELECT number FROM cases WHERE state <> 'closed' AND source = 'finding' AND {test} LIMIT {MAX_NOTIFIED}",  # noqa: S608 - of constants
            values,
        )
        found.update(number for (number,) in rows)
    cases = tuple(sorted(found)[-MAX_NOTIFIED:])
    for number in cases:
        note(connection, number, now, BY, "notified", f"{told.receiver or 'receiver'}: {told.status}", _about(told))
    return Outcome("notified" if cases else "nothing", cases)


def _meant(alert: Alert) -> tuple[str, list[str | int]]:
    """Of a kind: its cases. Of an authority: whose report is due first. Else the oldest that nobody has taken."""
    labels = alert.labels
    if kind := labels.get("kind"):
        kinds = [kind, f"anomaly-{kind}"]  # as series and as findings have it
        if (severity := labels.get("severity", "")) not in SEVERITIES:
            return "kind IN (?, ?) ORDER BY last DESC", [*kinds]
        return "kind IN (?, ?) AND severity = ? ORDER BY last DESC", [*kinds, SEVERITIES.index(severity) + 1]
    if authority := labels.get("authority"):
        due = "SELECT number FROM deadline WHERE authority = ? AND state IN ('undecided', 'due') ORDER BY due LIMIT 1"
        return f"number IN ({due})", [authority]
    return "number = (SELECT number FROM cases WHERE state = 'open' AND source = 'finding' ORDER BY detected LIMIT 1)", []


def _firing(connection: sqlite3.Connection, told: Payload, now: int) -> Outcome:
    """Trouble: a case of its own, or more of the one that is open."""
    severity = max((SEVERITY.get(alert.labels.get("severity", "").lower(), 3) for alert in told.alerts), default=3)
    number = _active(connection, told)
    if number:
        connection.execute(
            "UPDATE cases SET severity = MAX(severity, ?), last = ?, updated = ? WHERE number = ?",
            (severity, now, now, number),
        )
        note(connection, number, now, BY, "noted", _told(told), _about(told))
        return Outcome("noted", (number,))
    title = _title(told)
    began = min((_since(alert, now) for alert in told.alerts), default=now)
    last = connection.execute(
        "SELECT MAX(number) FROM cases WHERE source = 'pipeline' AND origin = ?", (told.groupKey,)
    ).fetchone()[0]
    number = int(
        connection.execute(
            "INSERT INTO cases (title, severity, state, detected, first, last, zone, kind, source, origin, again, updated) "
            "VALUES (?, ?, 'open', ?, ?, ?, ?, 'pipeline', 'pipeline', ?, ?, ?)",
            (title, severity, now, began, now, _label(told, "site"), told.groupKey, last or 0, now),
        ).lastrowid
        or 0
    )
    connection.executemany(
        "INSERT OR IGNORE INTO case_kind VALUES (?, ?, 1)",
        [(number, alert.labels["alertname"]) for alert in told.alerts if alert.labels.get("alertname")],
    )
    note(connection, number, now, BY, "opened", f"again after #{last}: {title}" if last else title, _about(told))
    tally(connection, "opened", SEVERITIES[severity - 1])
    return Outcome("opened", (number,))


def _resolved(connection: sqlite3.Connection, told: Payload, now: int) -> Outcome:
    """The trouble is over: so is its case, unless a person has it, who then reads that it is."""
    number = _active(connection, told)
    if not number:
        return Outcome("nothing")
    untaken = (
        "UPDATE cases SET state = 'closed', last = ?, updated = ? WHERE number = ? AND state = 'open' AND assignee = ''"
    )
    if connection.execute(untaken, (now, now, number)).rowcount:
        note(connection, number, now, BY, "closed", "resolved by itself", _about(told) | {"verdict": ""})
        tally(connection, "closed")
        return Outcome("closed", (number,))
    note(connection, number, now, BY, "noted", f"resolved: {_title(told)}", _about(told))
    return Outcome("noted", (number,))


def _active(connection: sqlite3.Connection, told: Payload) -> int:
    row = connection.execute(
        "SELECT MAX(number) FROM cases WHERE source = 'pipeline' AND origin = ? AND state <> 'closed'", (told.groupKey,)
    ).fetchone()
    return row[0] or 0


def _label(told: Payload, name: str) -> str:
    return (told.commonLabels.get(name) or told.groupLabels.get(name) or "")[:200]


def _title(told: Payload) -> str:
    """One line that a person wrote for it, or the name of the alerting rule."""
    first = told.alerts[0]
    text = told.commonAnnotations.get("summary") or first.annotations.get("summary")
    return " ".join(
        (text or _label(told, "alertname") or first.labels.get("alertname") or "trouble without a name").split()
    )[:500]


def _told(told: Payload) -> str:
    """What fires, in one line."""
    names = [
        alert.annotations.get("summary") or alert.labels.get("alertname", "")
        for alert in told.alerts
        if alert.status == "firing"
    ]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{len(names)} firing: {'; '.join(names[:5])}{more}"[:MAX_TEXT]


def _about(told: Payload) -> dict[str, Any]:
    names = dict.fromkeys(alert.labels.get("alertname", "") for alert in told.alerts)
    return {"group": told.groupKey[:500], "status": told.status, "alerts": len(told.alerts), "names": list(names)[:20]}


def _since(alert: Alert, now: int) -> int:
    """When an alert began, as far as that can be believed."""
    try:
        when = ms(datetime.fromisoformat(alert.startsAt))
    except (ValueError, TypeError):  # no time, or one without a zone
        return now
    return when if 0 < when <= now else now
