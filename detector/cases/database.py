"""The store's file: SQLite, one writer, any number of readers, and the tables.

The write-ahead log lets readers read while the detector writes, and other processes too. Every commit is synced
(`synchronous=FULL`): an alert whose place in the log is noted must not go with a power failure, and commits are few, for
findings come in batches. What a column means stands in `case.py`; times are milliseconds since the epoch.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from nigrani.service.errors import Problem

APPLICATION = 0x6E696772
"""`nigr`, in the file's head: another program's database is not ours to write to."""
BUSY_MS = 5000
"""How long a writer waits for another process's."""
IDLE = 8
"""Readers kept open between reads."""
REMEDY = "; move it and its -wal and -shm files away: a new one is filled from the alerts still logged"

_FIRST = """
CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE cases (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  title TEXT NOT NULL,
  severity INTEGER NOT NULL CHECK (severity BETWEEN 1 AND 5),
  state TEXT NOT NULL CHECK (state IN ('open', 'acknowledged', 'closed')),
  assignee TEXT NOT NULL DEFAULT '',
  verdict TEXT NOT NULL DEFAULT '',
  detected INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  findings INTEGER NOT NULL DEFAULT 0,
  suppressed INTEGER NOT NULL DEFAULT 0,
  devices INTEGER NOT NULL DEFAULT 0,
  device TEXT NOT NULL DEFAULT '',
  device_class TEXT NOT NULL DEFAULT '',
  zone TEXT NOT NULL DEFAULT '',
  kind TEXT NOT NULL DEFAULT '',
  risk INTEGER NOT NULL DEFAULT 0,
  source TEXT NOT NULL,
  origin TEXT NOT NULL,
  again INTEGER NOT NULL DEFAULT 0,
  outbreak INTEGER NOT NULL DEFAULT 0,
  blamed INTEGER NOT NULL DEFAULT 0,
  updated INTEGER NOT NULL
);
CREATE INDEX cases_last ON cases (last, number);
CREATE INDEX cases_urgent ON cases (severity, last, number);
CREATE INDEX cases_active ON cases (severity, kind, device_class, risk) WHERE state <> 'closed';
CREATE INDEX cases_open ON cases (detected) WHERE state = 'open';
CREATE INDEX cases_closed ON cases (updated) WHERE state = 'closed';
CREATE INDEX cases_origin ON cases (origin) WHERE source = 'pipeline';
CREATE TABLE case_kind (
  number INTEGER NOT NULL REFERENCES cases ON DELETE CASCADE, kind TEXT NOT NULL, findings INTEGER NOT NULL,
  PRIMARY KEY (number, kind)
) WITHOUT ROWID;
CREATE INDEX case_kind_kind ON case_kind (kind, number);
CREATE TABLE case_device (
  number INTEGER NOT NULL REFERENCES cases ON DELETE CASCADE, device TEXT NOT NULL, device_class TEXT NOT NULL,
  zone TEXT NOT NULL, findings INTEGER NOT NULL,
  PRIMARY KEY (number, device)
) WITHOUT ROWID;
CREATE INDEX case_device_device ON case_device (device, number);
CREATE TABLE finding (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uid TEXT NOT NULL UNIQUE,
  kind INTEGER NOT NULL REFERENCES word,
  title INTEGER NOT NULL REFERENCES word,
  severity INTEGER NOT NULL CHECK (severity BETWEEN 1 AND 5),
  device INTEGER NOT NULL REFERENCES word,
  device_class INTEGER NOT NULL REFERENCES word,
  zone INTEGER NOT NULL REFERENCES word,
  peer INTEGER NOT NULL REFERENCES word,
  moment INTEGER NOT NULL,
  first INTEGER NOT NULL,
  detected INTEGER NOT NULL,
  risk INTEGER NOT NULL,
  source INTEGER NOT NULL,
  number INTEGER REFERENCES cases,
  suppression INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX finding_moment ON finding (moment, id);
CREATE INDEX finding_kind ON finding (kind, moment, id);
CREATE INDEX finding_device ON finding (device, moment, id);
CREATE INDEX finding_number ON finding (number, moment, id);
CREATE TABLE body (id INTEGER PRIMARY KEY REFERENCES finding ON DELETE CASCADE, ocsf BLOB NOT NULL);
CREATE TABLE entry (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  number INTEGER NOT NULL,
  at INTEGER NOT NULL,
  by TEXT NOT NULL,
  action TEXT NOT NULL,
  text TEXT NOT NULL,
  data TEXT NOT NULL
);
CREATE INDEX entry_number ON entry (number, id);
CREATE TABLE step (
  number INTEGER NOT NULL REFERENCES cases ON DELETE CASCADE, step TEXT NOT NULL, PRIMARY KEY (number, step)
) WITHOUT ROWID;
CREATE TABLE deadline (
  number INTEGER NOT NULL REFERENCES cases ON DELETE CASCADE, authority TEXT NOT NULL, due INTEGER NOT NULL,
  state TEXT NOT NULL, reference TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (number, authority)
) WITHOUT ROWID;
CREATE INDEX deadline_state ON deadline (authority, due) WHERE state IN ('undecided', 'due');
CREATE TABLE suppression (
  id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, device TEXT NOT NULL, until INTEGER NOT NULL, by TEXT NOT NULL,
  at INTEGER NOT NULL, text TEXT NOT NULL, number INTEGER NOT NULL DEFAULT 0, findings INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE notice (key TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE tally (
  name TEXT NOT NULL, label TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (name, label)
) WITHOUT ROWID;
CREATE TABLE place (id INTEGER PRIMARY KEY CHECK (id = 1), text TEXT NOT NULL);
CREATE TABLE retention (id INTEGER PRIMARY KEY CHECK (id = 1), before INTEGER NOT NULL);
INSERT INTO retention VALUES (1, 0);
CREATE TRIGGER entry_stays BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'history is not changed'); END;
CREATE TRIGGER entry_kept BEFORE DELETE ON entry
WHEN EXISTS (SELECT 1 FROM cases WHERE number = OLD.number)
  OR (OLD.number = 0 AND OLD.at >= (SELECT before FROM retention))
BEGIN SELECT RAISE(ABORT, 'history is not deleted before its time'); END;
CREATE TRIGGER case_kept BEFORE DELETE ON cases
WHEN OLD.state <> 'closed' OR OLD.updated >= (SELECT before FROM retention)
BEGIN SELECT RAISE(ABORT, 'a case is not deleted before its time'); END;
"""
MIGRATIONS = (_FIRST,)
"""From each version of the tables to the next; `user_version` is how many were done. What was released stays as it is."""
VERSION = len(MIGRATIONS)


class Database:
    """The file, open. `write` and `read` may be called from any thread."""

    def __init__(self, path: Path, *, check: bool = False) -> None:
        """Make the file where there is none, and bring its tables up to date.

        check: look through the whole file first. Raises Problem with what is wrong and what to do.
        """
        self.path = path
        self._writing = threading.RLock()
        self._lock = threading.Lock()
        """Of the readers that wait: nobody who reads waits for who writes."""
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        writer: sqlite3.Connection | None = None
        try:
            self._inode = _make(path)
            writer = self._connect()
            if check:
                _sound(writer, path)
            _migrate(writer, path)
        except (OSError, sqlite3.Error) as error:
            if writer is not None:
                writer.close()
            raise Problem(f"case store {path}: {_told(error)}") from None
        except Problem:
            if writer is not None:
                writer.close()
            raise
        self._writer = writer

    @property
    def size(self) -> int:
        """Bytes on disk, with what is not moved into the file yet."""
        total = 0
        for end in ("", "-wal"):
            with contextlib.suppress(OSError):
                total += self.path.with_name(f"{self.path.name}{end}").stat().st_size
        return total

    @property
    def is_gone(self) -> bool:
        """Whether another file, or none, has the path now."""
        try:
            return self.path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True
        except OSError:  # the disk does not say
            return False

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction, whole or not at all. Raises sqlite3.Error."""
        with self._writing:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:  # a full disk has ended it already
                    self._writer.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """All that is read here is of one moment. Raises sqlite3.Error."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = self._connect()
            connection.execute("PRAGMA query_only=ON")
        try:
            connection.execute("BEGIN")
            yield connection
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            with self._lock:
                keep = len(self._idle) < IDLE and not self._closed
                if keep:
                    self._idle.append(connection)
            if not keep:
                connection.close()

    def give_back(self, pages: int) -> int:
        """Give room that deleting has freed back to the disk, at most so many pages of it; returns how many are left."""
        with self._writing:
            self._writer.execute(f"PRAGMA incremental_vacuum({pages:d})").fetchall()
            return int(self._writer.execute("PRAGMA freelist_count").fetchone()[0])

    def close(self) -> None:
        """Let go of the file; who reads does so to the end."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        with self._writing:
            self._writer.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
        for pragma in ("foreign_keys=ON", "synchronous=FULL", "trusted_schema=OFF", "journal_size_limit=16777216"):
            connection.execute(f"PRAGMA {pragma}")
        return connection


def _make(path: Path) -> int:
    """The file, for its owner alone, and its inode; the write-ahead log gets the same mode."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        status = os.fstat(fd)
        if status.st_mode & 0o077:
            os.fchmod(fd, 0o600)
        return status.st_ino
    finally:
        os.close(fd)


def _sound(connection: sqlite3.Connection, path: Path) -> None:
    rows = connection.execute("PRAGMA quick_check(3)").fetchall()
    if rows != [("ok",)]:
        faults = "; ".join(str(row[0]) for row in rows)
        raise Problem(f"case store {path} is damaged: {faults}{REMEDY}")


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if version > VERSION:
        raise Problem(
            f"case store {path} has version {version} and this release reads {VERSION}: use the release that wrote it"
        )
    if application != APPLICATION and connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise Problem(f"{path} is a database of another program: set cases.path to a file of its own")
    if version == VERSION:  # and nothing is written: another process may be in the middle of something
        return
    if version == 0:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA application_id={APPLICATION}")
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()  # another process may have been here first
    try:
        for number in range(version, VERSION):
            for statement in _statements(MIGRATIONS[number]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={number + 1}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    """One after the other: `executescript` would end the transaction."""
    text = ""
    for line in script.strip().splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            yield text
            text = ""


def _told(error: Exception) -> str:
    if isinstance(error, OSError):
        return str(error.strerror or error)
    text = str(error)
    return text + REMEDY if "malformed" in text or "not a database" in text else text
