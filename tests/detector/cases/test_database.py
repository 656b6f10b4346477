"""The file: whose it is, what is refused, and that history stays as it is."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from detector.cases.database import VERSION, Database
from nigrani.service.errors import Problem


def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "cases.db"
    path.parent.mkdir()
    path.touch(mode=0o644)
    database = Database(path)
    with database.write() as connection:
        connection.execute("INSERT INTO word (text) VALUES ('a')")
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["cases.db", "cases.db-shm", "cases.db-wal"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert database.size >= sum(file.stat().st_size for file in files if file.suffix == ".db-wal")
    database.close()


def test_a_newer_release_s_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cases.db"
    Database(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version={VERSION + 1}")
    connection.close()
    with pytest.raises(Problem, match=f"has version {VERSION + 1} and this release reads {VERSION}"):
        Database(path)


def test_another_program_s_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    with pytest.raises(Problem, match="database of another program"):
        Database(path)


@pytest.mark.parametrize("damage", [b"no database at all" * 500, None])
def test_a_damaged_one_is_told_with_the_remedy(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "cases.db"
    if damage is None:
        database = Database(path)
        with database.write() as connection:
            connection.executemany("INSERT INTO word (text) VALUES (?)", [(f"word {n}",) for n in range(5000)])
        database.close()
        content = bytearray(path.read_bytes())
        for at in range(4096 * 3, len(content), 4096 * 4):  # every fourth page
            content[at : at + 200] = b"\xff" * 200
        damage = bytes(content)
    path.write_bytes(damage)
    with pytest.raises(Problem, match="move it and its -wal and -shm files away"):
        Database(path, check=True)


def test_a_transaction_is_whole_or_not_at_all(tmp_path: Path) -> None:
    database = Database(tmp_path / "cases.db")

    def fail() -> None:
        with database.write() as connection:
            connection.execute("INSERT INTO word (text) VALUES ('a')")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with database.read() as connection:
        assert connection.execute("SELECT COUNT(*) FROM word").fetchone() == (0,)
    database.close()


def test_a_reader_sees_one_moment_and_writes_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "cases.db")
    with database.read() as before:
        before.execute("SELECT COUNT(*) FROM word").fetchone()
        with database.write() as connection:
            connection.execute("INSERT INTO word (text) VALUES ('a')")
        assert before.execute("SELECT COUNT(*) FROM word").fetchone() == (0,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            before.execute("INSERT INTO word (text) VALUES ('b')")
    with database.read() as after:
        assert after.execute("SELECT COUNT(*) FROM word").fetchone() == (1,)
    database.close()


ENTRY = "INSERT INTO entry (number, at, by, action, text, data) VALUES (?, 5, 'a', 'noted', 'x', '{}')"


@pytest.mark.parametrize("change", ["UPDATE entry SET text = 'y'", "DELETE FROM entry", "DELETE FROM cases"])
@pytest.mark.parametrize("number", [0, 1])
def test_history_is_neither_changed_nor_deleted(tmp_path: Path, change: str, number: int) -> None:
    database = Database(tmp_path / "cases.db")
    with database.write() as connection:
        connection.execute(
            "INSERT INTO cases (number, title, severity, state, detected, first, last, source, origin, updated) "
            "VALUES (1, 't', 3, 'closed', 5, 5, 5, 'finding', '', 5)"
        )
        connection.execute(ENTRY, (number,))
    with pytest.raises(sqlite3.IntegrityError, match=r"is not (changed|deleted)"), database.write() as connection:
        connection.execute(change)
    database.close()


def test_nobody_who_reads_waits_for_who_writes(tmp_path: Path) -> None:
    database = Database(tmp_path / "cases.db")
    found: list[tuple[int]] = []

    def read() -> None:
        with database.read() as connection:
            found.append(connection.execute("SELECT COUNT(*) FROM word").fetchone())

    with database.write() as connection:
        connection.execute("INSERT INTO word (text) VALUES ('a')")
        reader = threading.Thread(target=read)
        reader.start()
        reader.join(5)
        assert found == [(0,)]
    database.close()


def test_a_file_taken_away_is_noticed(tmp_path: Path) -> None:
    database = Database(tmp_path / "cases.db")
    assert not database.is_gone
    database.path.unlink()
    assert database.is_gone
    database.close()
