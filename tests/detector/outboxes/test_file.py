"""Alerts in a file: each whole, each once, and none lost to a disk that was full for a while."""

from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from detector import outbox as bounds
from detector.outboxes import file as module
from detector.outboxes.file import FileOutbox


def finding(uid: str, size: int = 0) -> bytes:
    return json.dumps({"metadata": {"uid": uid}, "message": "x" * size}).encode()


def uids(path: Path) -> list[str]:
    return [json.loads(line)["metadata"]["uid"] for line in path.read_bytes().splitlines() if line]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "alerts.ndjson"


def test_a_restart_reads_what_was_told_since(path: Path) -> None:
    outbox = FileOutbox(path)
    outbox.put(0, "a", finding("a"))
    outbox.flush()
    place = outbox.position(0)
    outbox.put(0, "b", finding("b"))
    outbox.put(3, "c", finding("c"))
    outbox.close()
    again = FileOutbox(path)
    assert again.since(0, place) == {"b", "c"}
    assert again.since(0, 0) == {"a", "b", "c"}
    assert again.since(0, again.position(0)) == set()
    assert again.since(0, 10**9) == {"a", "b", "c"}, "a file that was exchanged is read whole"
    again.close()


def test_a_torn_line_is_ended_and_passed_over(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(finding("a") + b"\n" + finding("b")[:10])
    outbox = FileOutbox(path)
    outbox.put(0, "c", finding("c"))
    assert outbox.since(0, 0) == {"a", "c"}
    outbox.close()
    assert path.read_bytes().endswith(finding("c") + b"\n")


def test_an_alert_after_a_rotation_goes_to_the_new_file_at_once(path: Path) -> None:
    """Not only at the next checkpoint, of which there is none while a baseline is learnt."""
    outbox = FileOutbox(path)
    outbox.put(0, "a", finding("a"))
    path.rename(path.with_name("alerts.ndjson.1"))
    outbox.put(0, "b", finding("b"))
    assert uids(path) == ["b"]
    assert uids(path.with_name("alerts.ndjson.1")) == ["a"]
    assert outbox.position(0) == path.stat().st_size
    assert path.stat().st_mode & 0o777 == 0o600
    path.unlink()
    outbox.flush()
    assert (outbox.position(0), path.exists()) == (0, True)
    outbox.close()


def test_what_is_read_back_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TOLD", 3)
    outbox = FileOutbox(path)
    for number in range(10):
        outbox.put(0, str(number), finding(str(number)))
    assert len(outbox.since(0, 0)) == 3
    outbox.close()


@pytest.fixture
def small_files() -> Iterator[int]:
    """No file may grow beyond so many bytes: as a full disk, a write comes back short and then fails."""
    limit = 2000
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield limit
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_holds_alerts_and_gives_them_back(
    path: Path, small_files: int, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = FileOutbox(path)
    for number in range(10):
        outbox.put(0, str(number), finding(str(number), 400))
    told = uids(path)
    assert 0 < len(told) < 10
    assert outbox.pending == 10 - len(told)
    with pytest.raises(OSError, match=r"large|space"):
        outbox.flush()
    assert caplog.text.count("alerts cannot be written") == 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    outbox.flush()
    assert uids(path) == [str(number) for number in range(10)]
    assert (outbox.pending, outbox.dropped) == (0, 0)
    assert "written to" in caplog.text.splitlines()[-1]
    outbox.close()


def test_what_is_held_is_bounded_and_counted(path: Path, small_files: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PENDING", 3)
    outbox = FileOutbox(path)
    for number in range(10):
        outbox.put(0, str(number), finding(str(number), small_files))
    assert (outbox.pending, outbox.dropped) == (3, 7)
    outbox.close()
    assert bounds.MAX_PENDING > 3


def test_it_is_for_its_owner_alone(path: Path) -> None:
    FileOutbox(path).close()
    assert os.stat(path).st_mode & 0o777 == 0o600  # noqa: PTH116
