from __future__ import annotations

import errno
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from agent.deadletter import DeadLetters


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_letter_tells_everything(tmp_path: Path) -> None:
    dead = DeadLetters(tmp_path)
    dead.keep(b'{"a":1}', 7, "refused", "too large")
    dead.keep(b"\xff\n", 8, "no_event", "not UTF-8")
    first, second = read(dead.path)
    assert first.pop("when").endswith("Z")
    assert first == {"reason": "refused", "trouble": "too large", "offset": 7, "event": '{"a":1}'}
    assert second["event"] == "\\xff\n"
    assert (dead.kept, dead.lost) == (2, 0)
    assert dead.path.stat().st_mode & 0o777 == 0o600


def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    for number in range(3):
        DeadLetters(tmp_path).keep(b"x", number, "refused", "")
    assert [letter["offset"] for letter in read(tmp_path / "dead-letter.ndjson")] == [0, 1, 2]


def test_it_is_bounded(tmp_path: Path) -> None:
    dead = DeadLetters(tmp_path, max_bytes=1000)
    for number in range(100):
        dead.keep(b"x" * 50, number, "refused", "")
    old = dead.path.with_name("dead-letter.ndjson.1")
    assert dead.path.stat().st_size <= 1000
    assert old.stat().st_size <= 1000
    offsets = [letter["offset"] for path in (old, dead.path) for letter in read(path)]
    assert offsets == list(range(100 - len(offsets), 100))
    assert sorted(path.name for path in tmp_path.iterdir()) == [dead.path.name, old.name]


def test_one_letter_beyond_the_bound_is_kept(tmp_path: Path) -> None:
    dead = DeadLetters(tmp_path, max_bytes=10)
    dead.keep(b"x" * 50, 0, "refused", "")
    assert len(read(dead.path)) == 1


def test_a_full_disk_is_counted_told_once_and_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    dead = DeadLetters(tmp_path)
    dead.keep(b"before", 0, "refused", "")
    write = os.write

    def short(fd: int, data: bytes) -> int:
        return write(fd, data[:20])

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with caplog.at_level(logging.WARNING):
        for broken in (short, full):
            monkeypatch.setattr(os, "write", broken)
            dead.keep(b"during", 1, "refused", "")
        monkeypatch.setattr(os, "write", write)
        dead.keep(b"after", 2, "refused", "")
    assert [letter["event"] for letter in read(dead.path)] == ["before", "after"]
    assert (dead.kept, dead.lost) == (2, 2)
    assert len(caplog.records) == 2


def test_a_folder_that_is_gone_is_no_end(tmp_path: Path) -> None:
    dead = DeadLetters(tmp_path / "gone")
    dead.keep(b"x", 0, "refused", "")
    assert dead.lost == 1
