"""A file that is appended to, torn, cut, exchanged and rotated: nothing is lost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from detector.cases.log import MOST
from detector.cases.logs import file as module
from detector.cases.logs.file import FileLog
from detector.cases.ocsf import MAX_FINDING


def everything(log: FileLog) -> list[bytes]:
    """What there is now."""
    found: list[bytes] = []
    while (piece := log.read()) is not None:
        found += piece.findings
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "alerts.ndjson"


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_lines_come_once_and_in_order(path: Path) -> None:
    log = FileLog(path, None)
    assert log.read() is None
    append(path, "a\nb\n\n")
    assert everything(log) == [b"a", b"b"]
    append(path, "c\n")
    assert log.behind() == 1
    assert everything(log) == [b"c"]
    assert log.behind() == 0
    log.close()


def test_a_torn_line_waits_for_its_end(path: Path) -> None:
    log = FileLog(path, None)
    append(path, "a\nhal")
    assert everything(log) == [b"a"]
    assert log.behind() == 1
    append(path, "f\n")
    assert everything(log) == [b"half"]
    log.close()


def test_it_goes_on_from_its_place(path: Path) -> None:
    append(path, "a\nb\n")
    log = FileLog(path, None)
    piece = log.read()
    assert piece is not None
    log.close()
    append(path, "c\n")
    again = FileLog(path, piece.place)
    assert everything(again) == [b"c"]
    again.close()


def test_a_batch_is_bounded(path: Path) -> None:
    append(path, "".join(f"{number}\n" for number in range(MOST + 10)))
    log = FileLog(path, None)
    first, second = log.read(), log.read()
    assert first is not None
    assert second is not None
    assert (len(first.findings), len(second.findings), second.findings[-1]) == (MOST, 10, b"%d" % (MOST + 9))
    log.close()
    middle = FileLog(path, first.place)
    assert everything(middle) == second.findings
    middle.close()


def test_a_file_that_was_cut_is_read_anew(path: Path) -> None:
    append(path, "aaaa\nbbbb\n")
    log = FileLog(path, None)
    everything(log)
    path.write_text("c\n")
    assert everything(log) == [b"c"]
    path.write_text("dddd\neeee\nffff\n")  # longer than before, and another
    assert everything(log) == [b"dddd", b"eeee", b"ffff"]
    log.close()


def test_a_file_that_was_moved_away_is_read_to_its_end(path: Path) -> None:
    append(path, "a\n")
    log = FileLog(path, None, grace=0.0)
    assert everything(log) == [b"a"]
    path.rename(path.with_name("alerts.ndjson.1"))
    assert log.read() is None, "another will come"
    append(path.with_name("alerts.ndjson.1"), "b\n")  # its writer has it open yet
    append(path, "c\n")
    assert everything(log) == [b"b", b"c"]
    log.close()


def test_a_file_that_was_moved_away_is_watched_for_a_while(path: Path) -> None:
    append(path, "a\n")
    log = FileLog(path, None, grace=60.0)
    everything(log)
    path.rename(path.with_name("alerts.ndjson.1"))
    append(path, "c\n")
    assert everything(log) == []
    append(path.with_name("alerts.ndjson.1"), "b\n")
    assert everything(log) == [b"b"]
    log.close()


def test_a_rotation_while_nobody_read_loses_nothing(path: Path) -> None:
    append(path, "a\n")
    log = FileLog(path, None)
    piece = log.read()
    assert piece is not None
    log.close()
    append(path, "b\n")
    path.rename(path.with_name("alerts.ndjson.1"))
    append(path, "c\n")
    again = FileLog(path, piece.place, grace=0.0)
    assert everything(again) == [b"b", b"c"]
    again.close()


def test_rotations_while_the_store_was_down_lose_nothing(path: Path) -> None:
    append(path, "a\n")
    log = FileLog(path, None, grace=0.0)
    first = log.read()
    assert first is not None
    for number, text in enumerate("bcd", 1):
        append(path, f"{text}\n")
        os.utime(path, (number, number))
        path.rename(path.with_name(f"alerts.ndjson-{number}"))
    path.with_name("alerts.ndjson-0.gz").write_bytes(b"packed\n")
    append(path, "e\n")
    assert everything(log) == [b"b", b"c", b"d", b"e"]
    log.close()
    again = FileLog(path, first.place, grace=0.0)
    assert everything(again) == [b"b", b"c", b"d", b"e"]
    again.close()


def test_a_place_in_a_file_that_is_gone_is_told(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    append(path, "a\n")
    log = FileLog(path, None)
    piece = log.read()
    assert piece is not None
    path.rename(path.with_name("alerts.ndjson.1.gz"))
    append(path, "b\n")
    again = FileLog(path, piece.place)
    log.close()
    assert everything(again) == [b"b"]
    assert "is gone" in caplog.text
    again.close()


def test_a_file_that_was_moved_away_and_grows_is_not_left(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    append(path, "a\n")
    log = FileLog(path, None, grace=30.0)
    found = everything(log)
    path.rename(path.with_name("alerts.ndjson.1"))
    append(path, "z\n")
    for text in "bcd":
        found += everything(log)
        now += 20.0
        append(path.with_name("alerts.ndjson.1"), f"{text}\n")
    found += everything(log)
    assert found == [b"a", b"b", b"c", b"d"]
    now += 31.0
    assert everything(log) == [b"z"]
    log.close()


def test_a_restored_file_is_read_anew(path: Path) -> None:
    append(path, "a\nb\n")
    log = FileLog(path, None)
    piece = log.read()
    assert piece is not None
    log.close()
    shutil.copy(path, path.with_suffix(".copy"))
    os.replace(path.with_suffix(".copy"), path)  # noqa: PTH105 - as restore does
    again = FileLog(path, piece.place)
    assert everything(again) == [b"a", b"b"], "the store knows them by their uid"
    again.close()


@pytest.mark.parametrize("place", ["", "x", "{}", '{"topic":"t","next":{}}', '{"inode":1,"offset":-5,"mark":""}'])
def test_a_place_that_means_nothing_is_the_beginning(path: Path, place: str) -> None:
    append(path, "a\n")
    log = FileLog(path, place)
    assert everything(log) == [b"a"]
    log.close()


def test_a_line_without_end_is_passed_over(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 1000)
    append(path, "a\n" + "x" * 5500 + "\nb\n")
    log = FileLog(path, None)
    found = everything(log)
    assert [found[0], len(found[1]), found[2]] == [b"a", MAX_FINDING + 1, b"b"]
    append(path, "y" * 2500)
    assert [len(line) for line in everything(log)] == [MAX_FINDING + 1]
    append(path, "yy\nc\n")
    assert everything(log) == [b"yy", b"c"], "no room is spent on it until its end comes"
    log.close()
