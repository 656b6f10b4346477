"""From the alerts log into the case store, in a thread of its own: whatever becomes of the store, scoring goes on.

What is read and where it was read to are kept in one transaction. A store that cannot be written is tried again, less
and less often; meanwhile the log holds what comes.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from detector.cases.log import AlertsLog, Piece
from detector.cases.store import Store
from nigrani.service.errors import Problem

EVERY = 0.5
"""Seconds between looks at a log that had nothing."""
MAX_WAIT = 30.0
"""Seconds between tries, at most."""
RETIRE = 3600.0
"""Seconds between rounds of the retention."""

log = logging.getLogger(__name__)


class Intake:
    """The one that fills the store; no other process may at the same time."""

    def __init__(self, store: Store, open_log: Callable[[str | None], AlertsLog], every: float = EVERY) -> None:
        """store: one that is opened later. open_log: from a place on, None for the beginning."""
        self.failures = 0
        """Of the store."""
        self.log_failures = 0
        self.refused = 0
        """Findings that the store could not take though they looked sound."""
        self.store = store
        self._open_log = open_log
        self._log: AlertsLog | None = None
        self._every = every
        self._piece: Piece | None = None
        self._idle = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._lock = -1
        self.trouble = ""
        """Why findings wait in the log; empty where they do not."""
        self._retired = 0.0

    @property
    def up(self) -> bool:
        """Whether the store takes what comes."""
        return self._lock >= 0 and not self.trouble

    def start(self) -> None:
        """Begin, and go on until `close`."""
        self._thread.start()

    def behind(self) -> int:
        """How many findings are in the log and not in the store."""
        piece, reader = self._piece, self._log
        try:
            return (len(piece.findings) if piece else 0) + (reader.behind() if reader else 0)
        except OSError:
            return 0

    def settle(self, seconds: float) -> bool:
        """Wait until the log was read to its end; returns whether it was."""
        self._idle.clear()
        return self._idle.wait(seconds)

    def close(self) -> None:
        """Take what is in the log, if that can be done at once, and leave."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(MAX_WAIT)
        if self._log is not None:
            self._log.close()
        self.store.close_store()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _run(self) -> None:
        wait = self._every
        while not self._stop.is_set():
            try:
                more = self._round()
            except Exception as error:  # noqa: BLE001 - whatever it is, scoring goes on, and this is tried again
                self._failed(error)
                wait = min(max(wait, self._every) * 2, MAX_WAIT)
                self._stop.wait(wait)
                continue
            wait = self._every
            if not more:
                self._idle.set()
                self._stop.wait(self._every)
        self._last()

    def _last(self) -> None:
        """Take what came before the end."""
        try:
            while self._lock >= 0 and self._round():
                pass
        except Exception as error:  # noqa: BLE001 - it is in the log, and the next start takes it
            log.warning("the case store is behind the alerts log: %s", error)

    def _round(self) -> bool:
        """Take the next piece; returns whether there was one."""
        self._open()
        if self._log is None:
            self._log = self._open_log(self.store.place())
        if self._piece is None:
            self._piece = self._log.read()
        if self._piece is not None:
            self._take(self._piece)
            self._piece = None
            self._well()
            return True
        self._well()
        if time.monotonic() - self._retired >= RETIRE or not self._retired:
            self.store.retire()
            self._retired = time.monotonic()
        return False

    def _take(self, piece: Piece) -> None:
        try:
            self.store.add(piece.findings, piece.place)
        except Exception as error:  # one finding that was not foreseen must not hold up those behind it
            if _is_of_store(error):
                raise
            log.exception("findings could not be taken together; they are taken one by one")
            for finding in piece.findings:
                self._take_one(finding)
            self.store.add([], piece.place)

    def _take_one(self, finding: bytes) -> None:
        try:
            self.store.add([finding])
        except Exception as error:
            if _is_of_store(error):
                raise
            self.refused += 1

    def _open(self) -> None:
        """Open the store, anew where its file was taken away. Raises Problem."""
        if self.store.is_gone:
            log.error("case store %s was taken away: a new one is made", self.store.path)
            self._let_go()
        self.store.open()
        if self._lock < 0:
            self._lock = _alone(self.store.path)

    def _let_go(self) -> None:
        """Of a store that is of no use, and of the log, which is read again from where the next store stands."""
        self.store.renew()
        self._leave_log()

    def _leave_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None
        self._piece = None

    def _failed(self, error: Exception) -> None:
        of_store = isinstance(error, Problem | sqlite3.Error)
        self.failures += of_store
        self.log_failures += not of_store
        told = str(error)
        if told != self.trouble:
            log.error(
                "findings wait in the alerts log: %s",
                told,
                exc_info=not isinstance(error, Problem | sqlite3.Error | OSError),
            )
        self.trouble = told
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            self._let_go()  # damaged: what is wrong is told when it is opened
        elif not of_store:
            self._leave_log()

    def _well(self) -> None:
        if self.trouble:
            log.warning("findings go into the case store again")
            self.trouble = ""


def _is_of_store(error: Exception) -> bool:
    """Whether the store, or its disk, is at fault; else it is what was to be stored."""
    if isinstance(error, sqlite3.IntegrityError | sqlite3.DataError):
        return False
    return isinstance(error, sqlite3.Error | OSError | Problem)


def _alone(path: Path) -> int:
    """A lock on filling the store. Raises Problem where another has it."""
    lock = path.with_name(f"{path.name}.lock")
    fd = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise Problem(f"another detector fills the case store {path}: set cases.enabled: false on all but one") from None
    return fd
