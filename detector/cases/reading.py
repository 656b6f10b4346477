"""Questions to the store, as SQL: pages by keyset, so that a deep page costs what the first one does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from detector.cases.case import (
    ACTIVE,
    FINDING_ORDERS,
    FINDING_SOURCES,
    MAX_COUNTED,
    MAX_KINDS,
    MAX_PAGE,
    ORDERS,
    SEVERITIES,
    SOURCES,
    STATES,
    VERDICTS,
    Case,
    Counts,
    Deadline,
    Entry,
    Filter,
    Finding,
    Listing,
    Suppression,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
LAST = 253_370_764_800_000
"""1 January 9999: a finding may name any moment, and one after it leaves no room for zones and deadlines."""
CASES = (
    "number, title, severity, state, assignee, verdict, detected, first, last, findings, suppressed, devices, device, "
    "device_class, zone, kind, risk, source, origin, again, outbreak, updated"
)
FINDINGS = (
    "finding.id, finding.uid, kind.text, title.text, finding.severity, device.text, class.text, zone.text, finding.moment, "
    "finding.first, finding.risk, finding.source, finding.number, finding.suppression"
)
WORDS = "".join(
    f" JOIN word AS {name} ON {name}.id = finding.{column}"
    for name, column in (
        ("kind", "kind"),
        ("title", "title"),
        ("device", "device"),
        ("class", "device_class"),
        ("zone", "zone"),
    )
)

Row = tuple[Any, ...]


def ms(when: datetime) -> int:
    """As the store has it."""
    return (when - EPOCH) // MILLISECOND


def moment(value: int) -> datetime:
    """As everybody else has it."""
    return EPOCH + min(value, LAST) * MILLISECOND


class _Where:
    """Conditions that must all hold, and their values."""

    def __init__(self) -> None:
        self.tests: list[str] = []
        self.values: list[Any] = []

    def add(self, test: str, *values: Any) -> None:
        """One more."""
        self.tests.append(test)
        self.values += values

    def __str__(self) -> str:
        return f" WHERE {' AND '.join(self.tests)}" if self.tests else ""


def known(name: str, value: str, words: Sequence[str]) -> str:
    """The value, if it is one of those words. Raises ValueError."""
    if value not in words:
        raise ValueError(f"{name}: {value!r} is none of {', '.join(words)}")
    return value


def cases(connection: sqlite3.Connection, asked: Filter, order: str, limit: int, after: str | None) -> Listing[Case]:
    """One page of cases. Raises ValueError where what is asked for makes no sense."""
    where = _of_cases(asked)
    total = _counted(connection, f"FROM cases{where}", where.values)
    keys = ("severity", "last", "number") if known("order", order, ORDERS) == "urgent" else ("last", "number")
    _behind(where, keys, after)
    backward = ", ".join(f"{key} DESC" for key in keys)
    size = max(1, min(limit, MAX_PAGE))
    rows = connection.execute(
        f"SELECT {CASES} FROM cases{where} ORDER BY {backward} LIMIT ?",  # noqa: S608 - of constants, values apart
        (*where.values, size + 1),
    ).fetchall()
    items = with_parts(connection, rows[:size])
    last = dict(zip(CASES.split(", "), rows[size - 1], strict=True)) if len(rows) > size else {}
    return Listing(items, total, "-".join(str(last[key]) for key in keys) if last else None)


def with_parts(connection: sqlite3.Connection, rows: Sequence[Row]) -> tuple[Case, ...]:
    """Cases of rows of CASES, with what stands in other tables."""
    numbers = [row[0] for row in rows]
    marks = ",".join("?" * len(numbers))
    kinds: dict[int, list[str]] = {}
    for number, kind in connection.execute(
        f"SELECT number, kind FROM case_kind WHERE number IN ({marks}) ORDER BY findings DESC, kind",  # noqa: S608 - as above
        numbers,
    ):
        kinds.setdefault(number, []).append(kind)
    deadlines: dict[int, list[Deadline]] = {}
    for number, authority, due, state, reference in connection.execute(
        f"SELECT number, authority, due, state, reference FROM deadline WHERE number IN ({marks}) ORDER BY due",  # noqa: S608 - as above
        numbers,
    ):
        deadlines.setdefault(number, []).append(Deadline(authority, moment(due), state, reference))
    return tuple(_case(row, kinds.get(row[0], []), deadlines.get(row[0], [])) for row in rows)


def _case(row: Row, kinds: Sequence[str], deadlines: Sequence[Deadline]) -> Case:
    number, title, severity, state, assignee, verdict, detected, first, last, findings, suppressed, devices = row[:12]
    device, device_class, zone, kind, risk, source, origin, again, outbreak, updated = row[12:]
    return Case(
        number=number,
        title=title,
        severity=SEVERITIES[severity - 1],
        state=state,
        assignee=assignee,
        verdict=verdict,
        detected=moment(detected),
        first=moment(first),
        last=moment(last),
        findings=findings,
        suppressed=suppressed,
        devices=devices,
        device=device,
        device_class=device_class,
        zone=zone,
        kind=kind,
        kinds=tuple(kinds[:MAX_KINDS]),
        risk=risk,
        source=source,
        origin=origin,
        again=again,
        outbreak=bool(outbreak),
        updated=moment(updated),
        deadlines=tuple(deadlines),
    )


def _of_cases(asked: Filter) -> _Where:
    where = _Where()
    _of_state(where, asked)
    if asked.severity:
        where.add("severity >= ?", SEVERITIES.index(known("severity", asked.severity, SEVERITIES)) + 1)
    if asked.kind == "pipeline":
        where.add("kind = 'pipeline'")
    elif asked.kind:
        where.add("number IN (SELECT number FROM case_kind WHERE kind = ?)", asked.kind)
    for column in ("device", "device_class", "zone"):
        if value := getattr(asked, column):
            where.add(f"number IN (SELECT number FROM case_device WHERE {column} = ?)", value)  # noqa: S608 - as above
    if asked.source:
        where.add("source = ?", known("source", asked.source, SOURCES))
    _of_time(where, asked, "last")
    if asked.text:
        where.add("title LIKE ? ESCAPE '\\'", _like(asked.text))
    return where


def _of_state(where: _Where, asked: Filter) -> None:
    """How a case stands, and whose it is."""
    if asked.state == ACTIVE:
        where.add("state <> 'closed'")
    elif asked.state:
        where.add("state = ?", known("state", asked.state, STATES))
    if asked.assignee:
        where.add("assignee = ?", asked.assignee)
    if asked.verdict:
        where.add("verdict = ?", known("verdict", asked.verdict, VERDICTS))


def _of_time(where: _Where, asked: Filter, column: str) -> None:
    if asked.since:
        where.add(f"{column} >= ?", ms(asked.since))
    if asked.until:
        where.add(f"{column} < ?", ms(asked.until))


def findings(connection: sqlite3.Connection, asked: Filter, order: str, limit: int, after: str | None) -> Listing[Finding]:
    """One page of findings. Raises ValueError where what is asked for makes no sense."""
    direction = "DESC" if known("order", order, FINDING_ORDERS) == "newest" else "ASC"
    size = max(1, min(limit, MAX_PAGE))
    try:
        where = _of_findings(connection, asked)
    except LookupError:
        return Listing((), 0)
    total = _counted(connection, f"FROM finding{where}", where.values)
    _behind(where, ("finding.moment", "finding.id"), after, "<" if direction == "DESC" else ">")
    page = f"SELECT id FROM finding{where} ORDER BY moment {direction}, id {direction} LIMIT ?"  # noqa: S608 - as above
    ordered = f"ORDER BY finding.moment {direction}, finding.id {direction}"
    rows = connection.execute(
        f"SELECT {FINDINGS} FROM finding{WORDS} WHERE finding.id IN ({page}) {ordered}",  # noqa: S608 - as above
        (*where.values, size + 1),
    ).fetchall()
    last = rows[size - 1] if len(rows) > size else None
    return Listing(tuple(_finding(row) for row in rows[:size]), total, f"{last[8]}-{last[0]}" if last else None)


def finding(connection: sqlite3.Connection, uid: str) -> tuple[Finding, bytes] | None:
    """One finding, and its body as it is kept."""
    row = connection.execute(
        f"SELECT {FINDINGS}, body.ocsf FROM finding{WORDS} JOIN body ON body.id = finding.id WHERE finding.uid = ?",  # noqa: S608 - as above
        (uid,),
    ).fetchone()
    return (_finding(row), row[-1]) if row else None


def _finding(row: Row) -> Finding:
    _, uid, kind, title, severity, device, device_class, zone, when, first, risk, source, number, suppression = row[:14]
    return Finding(
        uid=uid,
        kind=kind,
        title=title,
        severity=SEVERITIES[severity - 1],
        device=device,
        device_class=device_class,
        zone=zone,
        when=moment(when),
        first=moment(first),
        risk=risk,
        source=FINDING_SOURCES[source],
        case=number or 0,
        suppressed=bool(suppression),
    )


def _of_findings(connection: sqlite3.Connection, asked: Filter) -> _Where:
    """Raises LookupError where the store has not even the word that is asked for."""
    where = _Where()
    if asked.case:
        where.add("number = ?", asked.case)
    for column in ("kind", "device", "device_class", "zone"):
        if value := getattr(asked, column):
            found = connection.execute("SELECT id FROM word WHERE text = ?", (value,)).fetchone()
            if found is None:
                raise LookupError(value)
            where.add(f"finding.{column} = ?", found[0])
    if asked.severity:
        where.add("finding.severity >= ?", SEVERITIES.index(known("severity", asked.severity, SEVERITIES)) + 1)
    if asked.suppressed is not None:
        where.add("suppression <> 0" if asked.suppressed else "suppression = 0")
    if asked.source:
        where.add("finding.source = ?", FINDING_SOURCES.index(known("source", asked.source, FINDING_SOURCES)))
    _of_time(where, asked, "moment")
    if asked.text:
        where.add("title IN (SELECT id FROM word WHERE text LIKE ? ESCAPE '\\')", _like(asked.text))
    theirs = _Where()
    _of_state(theirs, asked)
    if theirs.tests:
        found = f"SELECT 1 FROM cases{theirs} AND cases.number = finding.number"  # noqa: S608 - as above
        where.add(f"EXISTS ({found})", *theirs.values)
    return where


def _behind(where: _Where, keys: Sequence[str], after: str | None, sign: str = "<") -> None:
    """Go on after a page's last item."""
    if after is None:
        return
    parts = after.split("-")
    if len(parts) != len(keys) or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        raise ValueError(f"{after[:50]!r} is no place in this listing")
    where.add(f"({', '.join(keys)}) {sign} ({', '.join('?' * len(keys))})", *map(int, parts))


def _counted(connection: sqlite3.Connection, what: str, values: Iterable[Any]) -> int:
    some = f"SELECT COUNT(*) FROM (SELECT 1 {what} LIMIT {MAX_COUNTED})"  # noqa: S608 - as above
    return int(connection.execute(some, tuple(values)).fetchone()[0])


def _like(text: str) -> str:
    """A part of a title, taken as it stands."""
    plain = text[:200].replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{plain}%"


def history(connection: sqlite3.Connection, number: int) -> list[Entry]:
    """A case's, the oldest first."""
    rows = connection.execute("SELECT number, at, by, action, text, data FROM entry WHERE number = ? ORDER BY id", (number,))
    return [Entry(row[0], moment(row[1]), row[2], row[3], row[4], msgspec.json.decode(row[5])) for row in rows]


NEAR = 86_400_000
"""Milliseconds within which cases of the same kind are related."""
RELATED = 20


def related(connection: sqlite3.Connection, number: int) -> tuple[Case, ...]:
    """Those that go on from it or it from, with the same devices, or with the same kind within a day; the nearest first."""
    rows = connection.execute(
        f"""
        WITH mine AS (SELECT * FROM cases WHERE number = :number)
        SELECT {CASES} FROM cases WHERE number <> :number AND number IN (
          SELECT again FROM mine
          UNION SELECT number FROM cases WHERE again = :number
          UNION SELECT theirs.number FROM case_device AS own JOIN case_device AS theirs ON theirs.device = own.device
            WHERE own.number = :number AND own.device <> ''
          UNION SELECT theirs.number FROM case_kind AS own JOIN case_kind AS theirs ON theirs.kind = own.kind
            JOIN cases ON cases.number = theirs.number
            WHERE own.number = :number AND cases.last > (SELECT first FROM mine) - {NEAR}
              AND cases.first < (SELECT last FROM mine) + {NEAR}
        ) ORDER BY ABS(first - (SELECT first FROM mine)), number LIMIT {RELATED}
        """,  # noqa: S608 - as above
        {"number": number},
    ).fetchall()
    return with_parts(connection, rows)


def suppressions(connection: sqlite3.Connection, now: int) -> list[Suppression]:
    """Those in force, the first to end first."""
    rows = connection.execute(
        "SELECT id, kind, device, until, by, at, text, number, findings FROM suppression WHERE until > ? ORDER BY until, id",
        (now,),
    )
    return [
        Suppression(key, kind, device, moment(until), by, moment(at), text, number, count)
        for key, kind, device, until, by, at, text, number, count in rows
    ]


class _Tallies(NamedTuple):
    by_name: dict[str, dict[str, int]]

    def of(self, name: str) -> dict[str, int]:
        return self.by_name.get(name, {})

    def one(self, name: str) -> int:
        return self.of(name).get("", 0)


def counts(connection: sqlite3.Connection) -> Counts:
    """What metrics tell."""
    tallies = _Tallies({})
    for name, label, value in connection.execute("SELECT name, label, value FROM tally"):
        tallies.by_name.setdefault(name, {})[label] = value
    (oldest,) = connection.execute("SELECT MIN(detected) FROM cases WHERE state = 'open'").fetchone()
    reports = connection.execute(
        "SELECT authority, COUNT(*), MIN(due) FROM deadline WHERE state IN ('undecided', 'due') GROUP BY authority"
    ).fetchall()
    active = connection.execute("SELECT severity, kind, COUNT(*) FROM cases WHERE state <> 'closed' GROUP BY severity, kind")
    return Counts(
        open={(SEVERITIES[severity - 1], kind): count for severity, kind, count in active},
        risk=dict(
            connection.execute(
                "SELECT device_class, SUM(risk) FROM cases WHERE state <> 'closed' AND kind <> 'pipeline' "
                "GROUP BY device_class"
            ).fetchall()
        ),
        unacknowledged=moment(oldest) if oldest is not None else None,
        reports={authority: count for authority, count, _ in reports},
        report_due={authority: moment(due) for authority, _, due in reports},
        opened=tallies.of("opened"),
        closed=tallies.of("closed"),
        false_alarms=tallies.of("false_alarms"),
        taken=tallies.one("taken"),
        suppressed=tallies.one("suppressed"),
        repeated=tallies.one("repeated"),
        refused=tallies.one("refused"),
        retired=tallies.one("retired"),
    )
