"""Rule files that change are loaded aside; what is wrong with them is told, and nothing else happens."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from detector import rule_watch as module
from detector.rule_watch import Outcome, RuleWatch
from detector.ruleset import RuleSet
from tests.detector.rule_files import rule, write


class Watched:
    """A folder and its watch, which looks often."""

    def __init__(self, folder: Path, seconds: float = 0.02) -> None:
        self.folder = folder
        self.file = write(folder / "a.yml", rule())
        self.watch = RuleWatch([folder], RuleSet.load(folder), seconds)
        self.watch.start()

    def outcome(self, seconds: float = 20) -> Outcome:
        until = time.monotonic() + seconds
        while (outcome := self.watch.taken()) is None:
            assert time.monotonic() < until, "nothing came of it"
            time.sleep(0.01)
        return outcome

    def settle(self) -> None:
        """Wait until the files as they are were looked at."""
        until = time.monotonic() + 20
        while self.watch._signature() != self.watch._seen:
            assert time.monotonic() < until
            time.sleep(0.01)
        time.sleep(0.1)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setattr(module, "SETTLED", 0.01)
    one = Watched(tmp_path)
    yield one
    one.watch.close()


def titles(outcome: Outcome) -> list[str]:
    assert outcome.rules is not None
    return sorted(one.name for one in outcome.rules.rules)


def test_files_that_did_not_change_are_not_loaded_again(watched: Watched) -> None:
    watched.settle()
    os.utime(watched.file, (1, 1))
    watched.settle()
    assert watched.watch.taken() is None


def test_a_new_file_a_change_and_a_removal(watched: Watched) -> None:
    write(watched.folder / "b.yml", rule("other"))
    assert titles(watched.outcome()) == ["other", "query"]
    write(watched.file, rule("renamed"))
    assert titles(watched.outcome()) == ["other", "renamed"]
    (watched.folder / "b.yml").unlink()
    assert titles(watched.outcome()) == ["renamed"]


def test_a_file_that_is_replaced_keeping_its_time_is_seen(watched: Watched) -> None:
    watched.settle()
    before = watched.file.stat()
    fresh = write(watched.folder / "fresh.tmp", rule(description="x" * 9))
    os.utime(fresh, ns=(before.st_atime_ns, before.st_mtime_ns))
    fresh.replace(watched.file)
    assert titles(watched.outcome()) == ["query"]


def test_faults_are_told_once_and_mending_loads(watched: Watched) -> None:
    write(watched.file, rule(level="severe"))
    outcome = watched.outcome()
    assert outcome.rules is None
    assert [fault.message for fault in outcome.faults] == ["`severe` is no level"]
    watched.settle()
    assert watched.watch.taken() is None
    write(watched.file, rule())
    assert titles(watched.outcome()) == ["query"], "also where they are as they were at first"


def test_asked_for_it_loads_what_did_not_change(watched: Watched) -> None:
    watched.settle()
    watched.watch.ask()
    assert titles(watched.outcome()) == ["query"]


def test_without_looks_it_loads_when_asked(tmp_path: Path) -> None:
    one = Watched(tmp_path, seconds=0)
    write(one.folder / "b.yml", rule("other"))
    time.sleep(0.1)
    assert one.watch.taken() is None
    one.watch.ask()
    assert titles(one.outcome()) == ["other", "query"]
    one.watch.close()


def test_two_who_write_at_once_end_in_what_stands_there(watched: Watched) -> None:
    """Files replaced while they are read: whatever was loaded on the way, the last state is loaded in the end."""
    for number in range(30):
        for name in ("a", "b"):
            fresh = write(watched.folder / f"{name}.tmp", rule(name, title=f"{name} {number}"))
            fresh.replace(watched.folder / f"{name}.yml")
    until = time.monotonic() + 20
    found: list[str] = []
    while found != ["a 29", "b 29"]:
        assert time.monotonic() < until, found
        outcome = watched.watch.taken()
        if outcome is not None:
            assert outcome.rules is not None, outcome.faults
            found = sorted(one.title for one in outcome.rules.rules)
        time.sleep(0.01)


def test_a_half_written_file_is_a_fault_and_then_not(watched: Watched) -> None:
    whole = watched.file.read_text()
    watched.file.write_text(whole[:40] + "\n  : [")
    assert watched.outcome().rules is None
    watched.file.write_text(whole)
    assert titles(watched.outcome()) == ["query"]


def test_a_folder_that_is_gone_is_a_fault(watched: Watched) -> None:
    watched.settle()
    watched.file.unlink()
    watched.folder.rmdir()
    assert "there is no such folder" in watched.outcome().faults[0].message


def test_what_was_not_foreseen_does_not_end_the_watch(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watched.settle()
    load = RuleSet.load

    def fail(*_: object, **__: object) -> RuleSet:
        monkeypatch.setattr(RuleSet, "load", load)
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(RuleSet, "load", fail)
    watched.watch.ask()
    until = time.monotonic() + 20
    while "could not be looked at" not in caplog.text and time.monotonic() < until:
        time.sleep(0.01)
    assert "unforeseen" in caplog.text
    watched.watch.ask()
    assert titles(watched.outcome()) == ["query"]


def test_full_garbage_collections_come_back() -> None:
    before = gc.get_threshold()
    with module._no_full_collection():
        assert gc.get_threshold()[2] == module.NEVER
    assert gc.get_threshold() == before
