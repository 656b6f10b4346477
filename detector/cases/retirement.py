"""What is older than the retention goes: closed cases whole, and findings that never had one; never an open case."""

from __future__ import annotations

from detector.cases.database import Database
from detector.cases.taking import note, tally
from nigrani.service.plural import plural

_OF_CLOSED = """SELECT finding.id FROM finding JOIN cases ON cases.number = finding.number
WHERE finding.number = ? AND cases.state = 'closed'"""
"""A person may reopen it meanwhile."""
AT_ONCE = 1000
"""Rows deleted in one transaction: nobody waits for long."""
NOTICED = 30 * 86_400_000
"""Milliseconds for which a notification of Alertmanager is known again."""


class Retirement:
    """One round of it."""

    def __init__(self, database: Database, now: int, before: int) -> None:
        """before: what was changed last before goes. Milliseconds."""
        self._database = database
        self._now = now
        self._before = before

    def run(self) -> int:
        """Returns how many cases went."""
        with self._database.write() as connection:
            connection.execute("UPDATE retention SET before = ?", (self._before,))
            connection.execute("DELETE FROM notice WHERE at < ?", (self._now - NOTICED,))
            connection.execute("DELETE FROM suppression WHERE until < ?", (self._before,))
            connection.execute("DELETE FROM entry WHERE number = 0 AND at < ?", (self._before,))
        while self._some("SELECT id FROM finding WHERE number IS NULL AND detected < ?", self._before):
            pass
        gone = 0
        while number := self._oldest():
            while self._some(_OF_CLOSED, number):
                pass
            gone += self._case(number)
        if gone:
            self._tell(gone)
        while self._database.give_back(AT_ONCE):
            pass
        return gone

    def _oldest(self) -> int:
        """The next to go; 0 where there is none."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT number FROM cases WHERE state = 'closed' AND updated < ? ORDER BY updated LIMIT 1", (self._before,)
            ).fetchone()
        return row[0] if row else 0

    def _some(self, which: str, value: int) -> int:
        with self._database.write() as connection:
            return connection.execute(
                f"DELETE FROM finding WHERE id IN ({which} LIMIT {AT_ONCE})",  # noqa: S608 - of constants, values apart
                (value,),
            ).rowcount

    def _case(self, number: int) -> int:
        """Unless it was reopened meanwhile."""
        with self._database.write() as connection:
            done = connection.execute(
                "DELETE FROM cases WHERE number = ? AND state = 'closed' AND updated < ?", (number, self._before)
            ).rowcount
            if done:
                connection.execute("DELETE FROM entry WHERE number = ?", (number,))
            return done

    def _tell(self, gone: int) -> None:
        with self._database.write() as connection:
            tally(connection, "retired", by=gone)
            text = f"{plural(gone, 'closed case')} past the retention"
            note(connection, 0, self._now, "detector", "retired", text, {"cases": gone})
