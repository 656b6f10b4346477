"""Whatever becomes of the store, what is in the log gets into it, and once."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from detector.cases import intake as module
from detector.cases.intake import Intake
from detector.cases.logs.file import FileLog
from detector.cases.store import Store
from tests.detector.cases.made import finding


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "alerts.ndjson"
    path.touch()
    return path


@pytest.fixture
def make(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Intake]]:
    monkeypatch.setattr(module, "MAX_WAIT", 0.2)
    made: list[Intake] = []

    def one() -> Intake:
        store = Store(tmp_path / "cases.db", check=True, later=True)
        made.append(Intake(store, lambda place: FileLog(log, place), every=0.02))
        made[-1].start()
        return made[-1]

    yield one
    for intake in made:
        intake.close()


def write(path: Path, *lines: bytes) -> None:
    with path.open("ab") as file:
        file.writelines(line + b"\n" for line in lines)


def until(what: Callable[[], object], seconds: float = 60.0) -> None:
    limit = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_what_is_logged_is_in_the_store(make: Callable[[], Intake], log: Path) -> None:
    write(log, finding("a", "ip:a"))
    intake = make()
    assert intake.settle(60)
    write(log, finding("b", "ip:b"), b"no finding")
    until(lambda: intake.store.findings().total == 2)
    assert (intake.up, intake.behind(), intake.failures) == (True, 0, 0)
    assert intake.store.counts().refused == 1


def test_a_restart_goes_on_where_it_was(make: Callable[[], Intake], log: Path) -> None:
    write(log, finding("a", "ip:a"))
    first = make()
    assert first.settle(60)
    write(log, finding("b", "ip:b"))
    first.close()
    second = make()
    assert second.settle(60)
    counts = second.store.counts()
    assert (counts.taken, counts.repeated) == (2, 0)


def test_two_detectors_do_not_fill_one_store(
    make: Callable[[], Intake], log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = make()
    assert first.settle(60)
    second = make()
    until(lambda: second.failures > 0)
    assert not second.up
    assert "another detector fills the case store" in caplog.text
    first.close()
    write(log, finding())
    until(lambda: second.store.findings().total == 1)
    until(lambda: second.up)


def test_a_store_that_cannot_be_opened_is_tried_again(make: Callable[[], Intake], tmp_path: Path, log: Path) -> None:
    path = tmp_path / "cases.db"
    path.write_bytes(b"this is no database" * 500)
    write(log, finding())
    intake = make()
    until(lambda: intake.failures > 2)
    assert not intake.up
    path.unlink()
    until(lambda: intake.up)
    assert intake.settle(60)
    assert intake.store.findings().total == 1


def test_a_locked_store_is_waited_for(
    make: Callable[[], Intake], tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr("detector.cases.database.BUSY_MS", 20)
    intake = make()
    assert intake.settle(60)
    other = sqlite3.connect(tmp_path / "cases.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    write(log, finding("a"), finding("b"))
    until(lambda: intake.failures > 3)
    assert intake.behind() == 2
    other.execute("ROLLBACK")
    other.close()
    until(lambda: intake.store.findings().total == 2)
    until(lambda: intake.up)
    assert caplog.text.count("database is locked") == 1
    assert caplog.text.count("again") == 1


def test_a_store_that_was_taken_away_is_made_anew_and_filled(make: Callable[[], Intake], tmp_path: Path, log: Path) -> None:
    write(log, finding("a", "ip:a"))
    intake = make()
    assert intake.settle(60)
    for path in tmp_path.glob("cases.db*"):
        if path.suffix != ".lock":
            path.unlink()
    write(log, finding("b", "ip:b"))
    until(lambda: intake.store.findings().total == 2)


@pytest.mark.parametrize("fault", [ZeroDivisionError, sqlite3.IntegrityError])
def test_one_finding_that_was_not_foreseen_holds_up_none(
    make: Callable[[], Intake], log: Path, monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    from detector.cases import taking  # noqa: PLC0415 - to have it fail

    whole = taking.facts

    def picky(line: bytes) -> object:
        if b"poison" in line:
            raise fault
        return whole(line)

    monkeypatch.setattr(taking, "facts", picky)
    write(log, finding("a", "ip:a"), finding("poison", "ip:b"), finding("c", "ip:c"))
    intake = make()
    until(lambda: intake.refused == 1)
    assert intake.settle(60)
    assert intake.store.findings().total == 2
    intake.close()
    again = make()
    assert again.settle(60)
    assert again.store.counts().repeated == 0


def test_a_log_that_cannot_be_read_is_tried_again(make: Callable[[], Intake], log: Path) -> None:
    log.unlink()
    log.mkdir()
    intake = make()
    until(lambda: intake.log_failures > 1)
    assert intake.failures == 0
    log.rmdir()
    write(log, finding())
    until(lambda: intake.store.findings().total == 1)
