"""The case store: findings in, cases out, and an append-only history of everything that was done.

May be used from any thread, and by several processes at once: one writes, any number read meanwhile. Whatever the file
system refuses raises sqlite3.Error, after which the store is as it was before. What a person does to a case that is not
there raises LookupError; what makes no sense raises ValueError, in words for that person.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import structs

from detector.cases import reading
from detector.cases.case import (
    ACTIONS,
    AUTHORITIES,
    DEADLINE_STATES,
    FINDING_SOURCES,
    MAX_NAME,
    MAX_TEXT,
    VERDICTS,
    Case,
    Counts,
    Entry,
    Filter,
    Finding,
    Listing,
    Suppression,
)
from detector.cases.database import Database
from detector.cases.grouping import Grouping
from detector.cases.ocsf import exported
from detector.cases.reading import known, ms
from detector.cases.retirement import Retirement
from detector.cases.taking import HOUR, Batch, note, rebuilt, tally
from detector.cases.webhook import Outcome, take
from nigrani.service.errors import Problem

EXPORTED = 500
"""Findings read at a time, so that an export holds up no one."""
MAX_SUPPRESSIONS = 1000
MAX_NUMBER = (1 << 63) - 1
"""What SQLite can count to; a number beyond is of nothing."""
LONGEST_SUPPRESSION = timedelta(days=90)

log = logging.getLogger(__name__)


def clock() -> datetime:
    """Now."""
    return datetime.now(UTC)


class Store:
    """See the module."""

    def __init__(
        self,
        path: Path,
        *,
        retention_days: int = 365,
        now: Callable[[], datetime] = clock,
        check: bool = False,
        later: bool = False,
    ) -> None:
        """Open the store, or make it.

        check: look the whole file over when it is opened. later: open it at the first use, so that a service can go on
        without it; then every method may raise Problem. Raises Problem where the file is damaged, of a newer release, or
        cannot be written.
        """
        self.path = path
        self._check = check
        self._retention = timedelta(days=retention_days)
        self._clock = now
        self._grouping: Grouping | None = None
        self._opening = threading.Lock()
        self._open: Database | None = None
        self._ended = False
        if not later:
            self.open()

    def open(self) -> None:
        """Open the file, unless it is open. Raises Problem."""
        with self._opening:
            if self._ended:
                raise Problem(f"case store {self.path} is closed")
            if self._open is None:
                self._open = Database(self.path, check=self._check)

    def renew(self) -> None:
        """Let go of the file, which is of no use any more; the next use opens what is there then."""
        with self._opening:
            opened, self._open = self._open, None
            self._grouping = None
        if opened is not None:
            opened.close()

    @property
    def _database(self) -> Database:
        opened = self._open
        if opened is None:
            self.open()
            opened = self._open
        if opened is None:  # taken away meanwhile
            raise Problem(f"case store {self.path} is being opened")
        return opened

    # Findings in

    def add(self, findings: Sequence[bytes], place: str | None = None) -> int:
        """Put findings, each OCSF as the detector writes it, into cases; returns how many are new.

        Those that are here already, by uid, are counted and left; so are those that cannot be read. The place is kept in the
        same transaction.
        """
        try:
            with self._database.write() as connection:
                grouping = self._known(connection)
                now = self._now()
                batch = Batch(connection, grouping, now, now - self._retention // reading.MILLISECOND)
                fault = batch.take(findings)
                if place is not None:
                    connection.execute("INSERT OR REPLACE INTO place VALUES (1, ?)", (place,))
        except BaseException:
            self._grouping = None  # it may know of cases that are not there now
            raise
        if fault:
            log.warning("a finding in the alerts log is refused: %s", fault)
        return batch.new

    def place(self) -> str | None:
        """How far the alerts log was read."""
        with self._database.read() as connection:
            row = connection.execute("SELECT text FROM place").fetchone()
        return row[0] if row else None

    def notify(self, payload: bytes | dict[str, Any]) -> Outcome:
        """Take what Alertmanager posts; see `webhook`. Raises ValueError."""
        with self._database.write() as connection:
            return take(connection, payload, self._now())

    # Questions

    def cases(
        self, asked: Filter | None = None, *, order: str = "newest", limit: int = 50, after: str | None = None
    ) -> Listing[Case]:
        """One page. order: one of ORDERS. after: of the page before. Raises ValueError."""
        with self._database.read() as connection:
            return reading.cases(connection, asked or Filter(), order, limit, after)

    def findings(
        self, asked: Filter | None = None, *, order: str = "newest", limit: int = 50, after: str | None = None
    ) -> Listing[Finding]:
        """One page, without their `ocsf`. order: one of FINDING_ORDERS. Raises ValueError."""
        with self._database.read() as connection:
            return reading.findings(connection, asked or Filter(), order, limit, after)

    def case(self, number: int) -> Case | None:
        """One case."""
        with self._database.read() as connection:
            return _case(connection, number)

    def finding(self, uid: str) -> Finding | None:
        """One finding, whole."""
        with self._database.read() as connection:
            found = reading.finding(connection, uid)
        return structs.replace(found[0], ocsf=zlib.decompress(found[1])) if found else None

    def history(self, number: int) -> list[Entry]:
        """What was done, the oldest first; of 0 what was done to no case."""
        with self._database.read() as connection:
            return reading.history(connection, number)

    def related(self, number: int) -> list[Case]:
        """At most 20 other cases: what it goes on from, the same devices, or the same kinds near in time."""
        with self._database.read() as connection:
            return list(reading.related(connection, number))

    def steps(self, number: int) -> set[str]:
        """First steps that are done."""
        with self._database.read() as connection:
            return {row[0] for row in connection.execute("SELECT step FROM step WHERE number = ?", (number,))}

    def suppressions(self) -> list[Suppression]:
        """Those in force."""
        with self._database.read() as connection:
            return reading.suppressions(connection, self._now())

    def counts(self) -> Counts:
        """What the metrics tell."""
        with self._database.read() as connection:
            return reading.counts(connection)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._open.size if self._open is not None else 0

    @property
    def is_gone(self) -> bool:
        """Whether the file was deleted or exchanged under us: what is written now, nobody will find."""
        return self._open is not None and self._open.is_gone

    # What a person does

    def acknowledge(self, number: int, by: str) -> None:
        """Somebody looks at it; twice is once. Raises ValueError of a closed one."""
        with self._change(number, by) as change:
            if change.case.state == "closed":
                raise ValueError(f"case {number} is closed: reopen it first")
            if change.case.state == "open":
                change.set("state = 'acknowledged'")
                change.note("acknowledged")

    def assign(self, number: int, by: str, to: str) -> None:
        """Give it to somebody, or to nobody. Raises ValueError of a closed one."""
        name = _name(to) if to else ""
        with self._change(number, by) as change:
            if change.case.state == "closed":
                raise ValueError(f"case {number} is closed: reopen it first")
            change.set("assignee = ?", name)
            change.note("assigned", f"to {name}" if name else "to nobody", {"to": name})

    def note(self, number: int, by: str, text: str) -> None:
        """Write something down."""
        with self._change(number, by) as change:
            change.set()
            change.note("noted", _text(text))

    def close(self, number: int, by: str, verdict: str, text: str) -> None:
        """It is over; a false alarm, or what was meant to happen, needs no report. Raises ValueError of a closed one."""
        known("verdict", verdict, VERDICTS)
        words = _text(text)
        with self._change(number, by) as change:
            if change.case.state == "closed":
                raise ValueError(f"case {number} is closed already")
            change.set("state = 'closed', verdict = ?", verdict)
            change.note("closed", words, {"verdict": verdict})
            change.closed(verdict)

    def reopen(self, number: int, by: str, text: str) -> None:
        """It is not over, nor is it decided that no report is due. Raises ValueError of one that is not closed."""
        words = _text(text)
        with self._change(number, by) as change:
            if change.case.state != "closed":
                raise ValueError(f"case {number} is not closed")
            change.set("state = 'open', verdict = ''")
            change.note("reopened", words, {"verdict": change.case.verdict})
            change.reopened()

    def step(self, number: int, by: str, step: str, done: bool) -> None:
        """Tick a first step off, or on again."""
        name = _name(step, MAX_TEXT)
        with self._change(number, by) as change:
            word = "INSERT OR IGNORE INTO step VALUES (?, ?)" if done else "DELETE FROM step WHERE number = ? AND step = ?"
            if change.connection.execute(word, (number, name)).rowcount:
                change.set()
                change.note("step-done" if done else "step-undone", name)

    def deadline(self, number: int, by: str, authority: str, state: str, reference: str = "") -> None:
        """Say how a report stands; one that the case has not makes it, due from when the case was detected."""
        known("authority", authority, tuple(AUTHORITIES))
        known("state", state, DEADLINE_STATES)
        reference = _name(reference) if reference else ""
        with self._change(number, by) as change:
            due = ms(change.case.detected) + AUTHORITIES[authority] * HOUR
            change.connection.execute(
                "INSERT INTO deadline VALUES (?, ?, ?, ?, ?) ON CONFLICT (number, authority) DO UPDATE SET "
                "state = excluded.state, reference = excluded.reference",
                (number, authority, due, state, reference),
            )
            change.set()
            told = f"{authority}: {state}" + (f", {reference}" if reference else "")
            change.note("deadline", told, {"authority": authority, "state": state, "reference": reference})

    def suppress(self, by: str, kind: str, device: str | None, until: datetime, text: str, case: int | None = None) -> int:
        """Hear nothing of a kind, of one device or (None) of all, until a time; returns the suppression's id.

        Findings of events before that time are kept and marked, go to the case where this was decided, if any, and open
        none. Raises ValueError of a time that is over or after LONGEST_SUPPRESSION, or where there are MAX_SUPPRESSIONS.
        """
        kind, device, words, who = _name(kind, 200), _name(device, 200) if device else "", _text(text), _name(by)
        if until <= self._clock():
            raise ValueError("the time until which is over")
        if until > self._clock() + LONGEST_SUPPRESSION:
            raise ValueError(f"a suppression ends within {LONGEST_SUPPRESSION.days} days: what must stay is a rule's filter")
        with self._database.write() as connection:
            if case and _case(connection, case) is None:
                raise LookupError(f"there is no case {case}")
            (count,) = connection.execute("SELECT COUNT(*) FROM suppression WHERE until > ?", (self._now(),)).fetchone()
            if count >= MAX_SUPPRESSIONS:
                raise ValueError(f"there are {count} suppressions: end some first, or raise the rule's threshold")
            done = connection.execute(
                "INSERT INTO suppression (kind, device, until, by, at, text, number) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (kind, device, ms(until), who, self._now(), words, case or 0),
            )
            data = {"id": done.lastrowid, "kind": kind, "device": device, "until": until.isoformat()}
            told = f"{kind} on {device or 'all devices'} until {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC: {words}"
            note(connection, case or 0, self._now(), who, "suppressed", told, data)
        return int(done.lastrowid or 0)

    def unsuppress(self, number: int, by: str) -> None:
        """End a suppression now. Raises LookupError where there is none in force."""
        who = _name(by)
        if not 0 < number <= MAX_NUMBER:
            raise LookupError(f"there is no suppression {number}")
        with self._database.write() as connection:
            found = connection.execute(
                "SELECT kind, device, number FROM suppression WHERE id = ? AND until > ?", (number, self._now())
            ).fetchone()
            if found is None:
                raise LookupError(f"there is no suppression {number}")
            connection.execute("UPDATE suppression SET until = ? WHERE id = ?", (self._now(), number))
            told = f"{found[0]} on {found[1] or 'all devices'}"
            note(connection, found[2], self._now(), who, "unsuppressed", told, {"id": number})

    def record(self, number: int | None, by: str, action: str, text: str = "", data: dict[str, Any] | None = None) -> None:
        """Audit something that changes no case. action: one of ACTIONS."""
        known("action", action, ACTIONS)
        with self._database.write() as connection:
            note(connection, number or 0, self._now(), _name(by), action, text[:MAX_TEXT], data)

    # The store itself

    def export(self, asked: Filter | None = None) -> Iterator[bytes]:
        """Findings as OCSF, one a line, each with how its case stands now; the newest first. Raises ValueError."""
        after: str | None = None
        while True:
            with self._database.read() as connection:
                page = reading.findings(connection, asked or Filter(), "newest", EXPORTED, after)
                lines = _exported(connection, page.items)
            yield from lines
            after = page.after
            if after is None:
                return

    def retire(self) -> int:
        """Delete closed cases older than the retention, and what belongs to them; returns how many went.

        A few in one transaction, so that nobody waits for long.
        """
        return Retirement(self._database, self._now(), self._now() - self._retention // reading.MILLISECOND).run()

    def close_store(self) -> None:
        """Let go of the file, for good."""
        self._ended = True
        self.renew()

    def _now(self) -> int:
        return ms(self._clock())

    def _known(self, connection: sqlite3.Connection) -> Grouping:
        """What belongs together, of which the state of cases is asked anew each time: others close them."""
        if self._grouping is None:

            def closed(number: int) -> bool:
                row = connection.execute("SELECT state FROM cases WHERE number = ?", (number,)).fetchone()
                return row is None or row[0] == "closed"

            self._grouping = rebuilt(connection, closed)
        return self._grouping

    @contextlib.contextmanager
    def _change(self, number: int, by: str) -> Iterator[Change]:
        who = _name(by)
        with self._database.write() as connection:
            case = _case(connection, number)
            if case is None:
                raise LookupError(f"there is no case {number}")
            yield Change(connection, case, who, self._now())


class Change:
    """What one person does to one case."""

    def __init__(self, connection: sqlite3.Connection, case: Case, by: str, now: int) -> None:
        self.connection = connection
        self.case = case
        self._by = by
        self._now = now

    def set(self, what: str = "", *values: str) -> None:
        """Set columns, and when it was last changed."""
        columns = f"{what}, updated = ?" if what else "updated = ?"
        self.connection.execute(
            f"UPDATE cases SET {columns} WHERE number = ?",  # noqa: S608 - of constants, values apart
            (*values, self._now, self.case.number),
        )

    def note(self, action: str, text: str = "", data: dict[str, Any] | None = None) -> None:
        """Tell it in the history."""
        note(self.connection, self.case.number, self._now, self._by, action, text, data)

    def reopened(self) -> None:
        """What was not needed for the verdict is undecided again."""
        self.connection.execute(
            "UPDATE deadline SET state = 'undecided' WHERE number = ? AND state = 'not-needed'", (self.case.number,)
        )

    def closed(self, verdict: str) -> None:
        """What a verdict brings with it."""
        number = self.case.number
        tally(self.connection, "closed", verdict)
        if verdict in {"false-alarm", "expected"}:
            undecided = self.connection.execute(
                "SELECT authority FROM deadline WHERE number = ? AND state = 'undecided'", (number,)
            ).fetchall()
            self.connection.execute(
                "UPDATE deadline SET state = 'not-needed' WHERE number = ? AND state = 'undecided'", (number,)
            )
            for (authority,) in undecided:
                self.note("deadline", f"{authority}: not-needed", {"authority": authority, "state": "not-needed"})
        if verdict == "false-alarm":
            counted = self.connection.execute("UPDATE cases SET blamed = 1 WHERE number = ? AND blamed = 0", (number,))
            if counted.rowcount:  # once, however often it is reopened
                found = "SELECT source, COUNT(*) FROM finding WHERE number = ? AND suppression = 0 GROUP BY source"
                for source, count in self.connection.execute(found, (number,)).fetchall():
                    tally(self.connection, "false_alarms", FINDING_SOURCES[source], count)


def _case(connection: sqlite3.Connection, number: int) -> Case | None:
    if not 0 < number <= MAX_NUMBER:
        return None
    rows = connection.execute(f"SELECT {reading.CASES} FROM cases WHERE number = ?", (number,)).fetchall()  # noqa: S608 - of constants
    return next(iter(reading.with_parts(connection, rows)), None)


def _exported(connection: sqlite3.Connection, items: Sequence[Finding]) -> list[bytes]:
    cases: dict[int, tuple[Case | None, str]] = {}
    lines = []
    for item in items:
        if item.case not in cases:
            said = connection.execute(
                "SELECT text FROM entry WHERE number = ? AND action = 'closed' ORDER BY id DESC LIMIT 1", (item.case,)
            ).fetchone()
            cases[item.case] = _case(connection, item.case), said[0] if said else ""
        case, comment = cases[item.case]
        (body,) = connection.execute(
            "SELECT ocsf FROM body JOIN finding ON finding.id = body.id WHERE uid = ?", (item.uid,)
        ).fetchone()
        closed = case is not None and case.state == "closed"
        lines.append(exported(zlib.decompress(body), None if item.suppressed else case, comment if closed else ""))
    return lines


def _name(text: str, most: int = MAX_NAME) -> str:
    """One line of so many characters. Raises ValueError."""
    name = text.strip()
    if not name or len(name) > most or not name.isprintable():
        raise ValueError(f"{text[:MAX_NAME]!r} is no name: one line of 1 to {most} characters")
    return name


def _text(text: str) -> str:
    """What a person says. Raises ValueError where it says nothing."""
    words = text.strip()
    if not words:
        raise ValueError("say in words why")
    if len(words) > MAX_TEXT:
        raise ValueError(f"{len(words)} characters: at most {MAX_TEXT}")
    return words
