"""Findings into cases, a batch in one transaction."""

from __future__ import annotations

import logging
import sqlite3
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct, field

from detector.cases.case import AUTHORITIES, SEVERITIES
from detector.cases.grouping import SAME_TIME, Choice, Grouping, Sign
from detector.cases.ocsf import Facts, facts

REBUILT = 200_000
"""Findings at most that a restart goes over to know what belongs together."""
GRAVE = SEVERITIES.index("high") + 1
"""From this severity on a report may be due."""
HOUR = 3_600_000
AHEAD = 24 * HOUR
"""Milliseconds. What a finding tells of that is further ahead than this is of a wrong clock, and taken for now: else its
device's next findings would be far from it, each in a case of its own, and it the newest for years."""
MAX_TOLD = 20
"""Kinds of one case whose coming is told in its history."""

log = logging.getLogger(__name__)


def note(
    connection: sqlite3.Connection, number: int, at: int, by: str, action: str, text: str = "", data: object = None
) -> None:
    """One more line of history."""
    connection.execute(
        "INSERT INTO entry (number, at, by, action, text, data) VALUES (?, ?, ?, ?, ?, ?)",
        (number, at, by, action, text, msgspec.json.encode(data or {}).decode()),
    )


def tally(connection: sqlite3.Connection, name: str, label: str = "", by: int = 1) -> None:
    """Count, for good."""
    connection.execute(
        "INSERT INTO tally VALUES (?, ?, ?) ON CONFLICT (name, label) DO UPDATE SET value = value + excluded.value",
        (name, label, by),
    )


def set_deadlines(connection: sqlite3.Connection, number: int, detected: int) -> None:
    """The reports that may be due for a grave case, unless they are noted already."""
    connection.executemany(
        "INSERT OR IGNORE INTO deadline (number, authority, due, state) VALUES (?, ?, ?, 'undecided')",
        [(number, authority, detected + hours * HOUR) for authority, hours in AUTHORITIES.items()],
    )


_REMEMBERED = """
SELECT kind.text, device.text, peer.text, moment, number FROM (
  SELECT * FROM finding WHERE moment >= :since AND number IS NOT NULL AND suppression = 0 ORDER BY id DESC LIMIT :most
) AS found
JOIN word AS kind ON kind.id = found.kind
JOIN word AS device ON device.id = found.device
JOIN word AS peer ON peer.id = found.peer
ORDER BY found.id
"""


class _Case(Struct):
    """A case as a batch changes it."""

    number: int
    title: str
    severity: int
    first: int
    last: int
    detected: int
    findings: int
    risk: int
    outbreak: int
    kind: str
    kinds: Counter[str] = field(default_factory=Counter)
    devices: Counter[str] = field(default_factory=Counter)
    changed_kinds: set[str] = field(default_factory=set)
    changed_devices: set[str] = field(default_factory=set)

    def take(self, gone: _Case) -> None:
        """Be what both are."""
        self.kinds += gone.kinds
        self.devices += gone.devices
        self.changed_kinds.update(gone.kinds)
        self.changed_devices.update(gone.devices)
        self.findings += gone.findings
        self.first, self.last = min(self.first, gone.first), max(self.last, gone.last)
        self.detected, self.risk = min(self.detected, gone.detected), max(self.risk, gone.risk)
        if gone.severity > self.severity:
            self.severity, self.title, self.kind = gone.severity, gone.title, gone.kind


_COLUMNS = _Case.__struct_fields__[:-4]


class Batch:
    """One batch, within one transaction of the writer."""

    def __init__(self, connection: sqlite3.Connection, grouping: Grouping, now: int, aged: int) -> None:
        """aged: what was logged before is too old to be kept, milliseconds."""
        self.new = 0
        self._connection = connection
        self._grouping = grouping
        self._now = now
        self._aged = aged
        self._cases: dict[int, _Case] = {}
        self._words: dict[str, int] = {}
        self._counts: Counter[str] = Counter()
        self._suppressed: Counter[int] = Counter()
        self._suppressions: dict[str, list[tuple[int, str, int, int]]] = {}
        """Kind → id, device, until when, and the case it was decided in."""
        for kind, *one in connection.execute("SELECT kind, id, device, until, number FROM suppression ORDER BY id"):
            self._suppressions.setdefault(kind, []).append((one[0], one[1], one[2], one[3]))

    def take(self, findings: Sequence[bytes]) -> str:
        """Put findings into cases; returns what was wrong with the first that was refused."""
        fault = ""
        for line in findings:
            try:
                found = facts(line)
            except ValueError as error:
                fault = fault or str(error)
                self._counts["refused"] += 1
                continue
            if found.when > self._now + AHEAD:
                found = found._replace(when=self._now, first=min(found.first, self._now))
            if max(found.detected or self._now, found.when) < self._aged or self._has(found.uid):
                self._counts["repeated"] += 1
                continue
            self._place(found, line)
            self.new += 1
        self._finish()
        return fault

    def _has(self, uid: str) -> bool:
        return self._connection.execute("SELECT 1 FROM finding WHERE uid = ?", (uid,)).fetchone() is not None

    def _place(self, found: Facts, line: bytes) -> None:
        self._counts["taken"] += 1
        for number, device, until, origin in self._suppressions.get(found.kind, ()):
            if device in {"", found.device} and found.when < until:
                self._suppressed[number] += 1
                self._insert(found, line, self._existing(origin), number)
                return
        sign = Sign(found.kind, found.device, found.peer, found.when)
        choice = self._grouping.choose(sign)
        case = self._case(choice.case) if choice.case else self._open(found, choice)
        for other in choice.merge:
            self._merge(other, case)
        self._insert(found, line, case.number, 0)
        self._join(case, found, choice)
        self._grouping.note(sign, case.number, choice.again)

    def _existing(self, case: int) -> int | None:
        """The case of a suppression, unless it is gone."""
        found = self._connection.execute("SELECT number FROM cases WHERE number = ?", (case,)).fetchone()
        return found[0] if found else None

    def _insert(self, found: Facts, line: bytes, case: int | None, suppression: int) -> None:
        row = self._connection.execute(
            "INSERT INTO finding (uid, kind, title, severity, device, device_class, zone, peer, moment, first, detected, "
            "risk, source, number, suppression) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                found.uid, self._word(found.kind), self._word(found.title), found.severity, self._word(found.device),
                self._word(found.device_class), self._word(found.zone), self._word(found.peer), found.when, found.first,
                self._detected(found), found.risk, int(found.anomaly), case, suppression,
            ),
        )  # fmt: skip
        self._connection.execute("INSERT INTO body VALUES (?, ?)", (row.lastrowid, zlib.compress(line, 6)))

    def _word(self, text: str) -> int:
        found = self._words.get(text)
        if found is None:
            self._connection.execute("INSERT OR IGNORE INTO word (text) VALUES (?)", (text,))
            found = int(self._connection.execute("SELECT id FROM word WHERE text = ?", (text,)).fetchone()[0])
            self._words[text] = found
        return found

    def _detected(self, found: Facts) -> int:
        return min(found.detected if found.detected is not None else found.when, self._now)

    def _case(self, number: int) -> _Case:
        """A case that is there, with what changes."""
        case = self._cases.get(number)
        if case is None:
            row = self._connection.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM cases WHERE number = ?",  # noqa: S608 - of constants
                (number,),
            ).fetchone()
            case = self._cases[number] = _Case(*row)
            for table, counts in (("kind", case.kinds), ("device", case.devices)):
                known = f"SELECT {table}, findings FROM case_{table} WHERE number = ?"  # noqa: S608 - of constants
                counts.update(dict(self._connection.execute(known, (number,)).fetchall()))
        return case

    def _open(self, found: Facts, choice: Choice) -> _Case:
        detected = self._detected(found)
        done = self._connection.execute(
            "INSERT INTO cases (title, severity, state, detected, first, last, device, device_class, zone, kind, source, "
            "origin, again, updated) VALUES (?, ?, 'open', ?, ?, ?, ?, ?, ?, ?, 'finding', ?, ?, ?)",
            (
                found.title, found.severity, detected, found.first, found.when, found.device, found.device_class, found.zone,
                found.kind, found.uid, choice.again, self._now,
            ),
        )  # fmt: skip
        number = int(done.lastrowid or 0)
        text = f"again after #{choice.again}: {found.title}" if choice.again else found.title
        self._note(number, "opened", text, _of(found) | ({"again": choice.again} if choice.again else {}))
        tally(self._connection, "opened", SEVERITIES[found.severity - 1])
        if found.severity >= GRAVE:
            set_deadlines(self._connection, number, detected)
        return self._case(number)

    def _join(self, case: _Case, found: Facts, choice: Choice) -> None:
        """Add a finding to what the case says of itself; what is new in it is told in its history."""
        data = _of(found)
        begun = case.findings == 0
        if not begun and found.kind not in case.kinds and len(case.kinds) < MAX_TOLD:
            why = f" ({choice.why})" if choice.why else ""
            self._note(case.number, "joined", f"{found.title}{why}", data)
        case.findings += 1
        case.kinds[found.kind] += 1
        case.changed_kinds.add(found.kind)
        case.first, case.last = min(case.first, found.first), max(case.last, found.when)
        case.risk = max(case.risk, found.risk)
        if found.severity > case.severity:
            self._escalate(case, found, data)
        case.devices[found.device] += 1
        case.changed_devices.add(found.device)
        if case.devices[found.device] == 1:
            self._device(case, found, data)
        if choice.outbreak and not case.outbreak:
            case.outbreak = 1
            self._note(case.number, "joined", f"an outbreak: {found.title}, on several devices within half an hour", data)

    def _escalate(self, case: _Case, found: Facts, data: object) -> None:
        text = f"severity {SEVERITIES[case.severity - 1]} → {SEVERITIES[found.severity - 1]}: {found.title}"
        self._note(case.number, "joined", text, data)
        if case.severity < GRAVE <= found.severity:
            set_deadlines(self._connection, case.number, case.detected)
        case.severity, case.title, case.kind = found.severity, found.title, found.kind

    def _device(self, case: _Case, found: Facts, data: object) -> None:
        count = len(case.devices)
        if count > 1 and str(count).strip("0") == "1":  # 10, 100, 1,000
            self._note(case.number, "joined", f"{count:,} devices now", data)
        self._connection.execute(
            "INSERT OR IGNORE INTO case_device VALUES (?, ?, ?, ?, 0)",
            (case.number, found.device, found.device_class, found.zone),
        )

    def _merge(self, number: int, into: _Case) -> None:
        """Move a case's findings into another, unless a person has taken it."""
        row = self._connection.execute(
            "SELECT 1 FROM cases WHERE number = ? AND state = 'open' AND assignee = ''", (number,)
        ).fetchone()
        if row is None:
            return
        gone = self._case(number)
        del self._cases[number]
        write = self._connection.execute
        write("UPDATE finding SET number = ? WHERE number = ?", (into.number, number))
        write(
            "INSERT OR IGNORE INTO case_device SELECT ?, device, device_class, zone, 0 FROM case_device WHERE number = ?",
            (into.number, number),
        )
        write(
            "UPDATE cases SET suppressed = suppressed + (SELECT suppressed FROM cases WHERE number = ?) WHERE number = ?",
            (number, into.number),
        )
        write("DELETE FROM case_device WHERE number = ?", (number,))
        write("DELETE FROM case_kind WHERE number = ?", (number,))
        write("DELETE FROM deadline WHERE number = ?", (number,))
        write(
            "UPDATE cases SET state = 'closed', findings = 0, suppressed = 0, devices = 0, updated = ? WHERE number = ?",
            (self._now, number),
        )
        self._note(number, "merged", f"its findings are in #{into.number} now", {"into": into.number})
        self._note(into.number, "merged", f"#{number} belongs to it: {gone.title}", {"from": number})
        tally(self._connection, "closed")
        into.take(gone)
        if into.severity >= GRAVE:
            set_deadlines(self._connection, into.number, into.detected)
        self._grouping.merged(number, into.number)

    def _finish(self) -> None:
        """Write what the batch has changed."""
        for case in self._cases.values():
            self._write(case)
        for number, count in self._suppressed.items():
            self._connection.execute("UPDATE suppression SET findings = findings + ? WHERE id = ?", (count, number))
            self._connection.execute(
                "UPDATE cases SET suppressed = suppressed + ? WHERE number = (SELECT number FROM suppression WHERE id = ?)",
                (count, number),
            )
        if self._suppressed:
            self._counts["suppressed"] = self._suppressed.total()
        for name, count in self._counts.items():
            tally(self._connection, name, by=count)

    def _write(self, case: _Case) -> None:
        self._connection.execute(
            "UPDATE cases SET title = ?, severity = ?, first = ?, last = ?, detected = ?, findings = ?, risk = ?, "
            "outbreak = ?, devices = ?, kind = ?, updated = ? WHERE number = ?",
            (
                case.title, case.severity, case.first, case.last, case.detected, case.findings, case.risk, case.outbreak,
                len(case.devices), case.kind, self._now, case.number,
            ),
        )  # fmt: skip
        self._connection.executemany(
            "INSERT INTO case_kind VALUES (?, ?, ?) ON CONFLICT (number, kind) DO UPDATE SET findings = excluded.findings",
            [(case.number, kind, case.kinds[kind]) for kind in case.changed_kinds],
        )
        self._connection.executemany(
            "UPDATE case_device SET findings = ? WHERE number = ? AND device = ?",
            [(case.devices[device], case.number, device) for device in case.changed_devices],
        )

    def _note(self, number: int, action: str, text: str, data: object) -> None:
        note(self._connection, number, self._now, "detector", action, text, data)


def _of(found: Facts) -> dict[str, Any]:
    """What an entry of history names of a finding."""
    return {"finding": found.uid, "kind": found.kind, "device": found.device}


def rebuilt(connection: sqlite3.Connection, closed: Callable[[int], bool]) -> Grouping:
    """What the findings of the last days say of what belongs together."""
    grouping = Grouping(closed)
    again = dict(connection.execute("SELECT number, again FROM cases WHERE again > 0").fetchall())
    (newest,) = connection.execute("SELECT MAX(moment) FROM finding").fetchone()
    rows = connection.execute(_REMEMBERED, {"since": (newest or 0) - SAME_TIME, "most": REBUILT})
    for kind, device, peer, when, number in rows:
        grouping.note(Sign(kind, device, peer, when), number, again.pop(number, 0))
    return grouping
