"""The case store of a process killed in the middle of a thousand findings a second, and on a disk that is really full."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.cases import BEGIN, finding
from detector.cases import intake as module
from detector.cases.intake import Intake
from detector.cases.logs.file import FileLog
from detector.cases.store import Store
from tests.e2e.disks import small

ROOT = Path(__file__).parents[2]
RATE, KILLS, SECONDS = 1000, 4, 5

PROGRAM = """
import sys, time
from pathlib import Path
from detector.cases.intake import Intake
from detector.cases.logs.file import FileLog
from detector.cases.store import Store
folder = Path(sys.argv[1])
store = Store(folder / "cases.db", check=True, later=True)
intake = Intake(store, lambda place: FileLog(folder / "alerts.ndjson", place), 0.01)
intake.start()
print("up", flush=True)
while True:
    time.sleep(1)
"""


def line(number: int) -> bytes:
    return finding("flood", f"ip:{number % 40:04x}", BEGIN, number) + b"\n"


def uid(text: bytes) -> str:
    return str(json.loads(text)["metadata"]["uid"])


def kept(store: Store) -> list[str]:
    """Uids of all findings."""
    found, after = [], None
    while True:
        page = store.findings(limit=1000, after=after)
        found += [one.uid for one in page.items]
        after = page.after
        if after is None:
            return found


def start(folder: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, folder], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process


def test_kill_9_at_a_thousand_a_second_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    lines = [line(number) for number in range(RATE * SECONDS)]
    process, killed = start(tmp_path), 0
    began = time.monotonic()
    with (tmp_path / "alerts.ndjson").open("ab") as log:
        written = 0
        while written < len(lines):
            due = min(int((time.monotonic() - began) * RATE), len(lines))
            log.writelines(lines[written:due])
            log.flush()
            written = due
            if killed < KILLS and time.monotonic() - began > (killed + 1) * SECONDS / (KILLS + 1):
                process.send_signal(signal.SIGKILL)
                process.wait()
                process.stdout.close()  # type: ignore[union-attr]
                process, killed = start(tmp_path), killed + 1
            time.sleep(0.02)
    assert killed == KILLS
    store = Store(tmp_path / "cases.db", later=True)
    limit = time.monotonic() + 20
    while store.findings(limit=1).total < len(lines) and time.monotonic() < limit:
        time.sleep(0.1)
    process.terminate()
    process.wait()
    process.stdout.close()  # type: ignore[union-attr]
    found = kept(store)
    assert sorted(found) == sorted(map(uid, lines))
    counts = store.counts()
    assert (counts.taken, counts.repeated, counts.refused) == (len(lines), 0, 0), "the place is of the same transaction"
    assert sum(case.findings for case in store.cases(limit=1000).items) == len(lines)
    store.close_store()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of three megabytes."""
    yield from small(tmp_path / "disk", "3m")


def until(what: Callable[[], object]) -> None:
    limit = time.monotonic() + 20
    while not what():
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_a_full_disk_is_waited_for(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MAX_WAIT", 0.1)
    caplog.set_level(logging.WARNING)
    lines = [line(number) for number in range(1200)]
    log = tmp_path / "alerts.ndjson"
    intake = Intake(Store(small_disk / "cases.db", check=True, later=True), lambda place: FileLog(log, place), every=0.01)
    intake.start()
    until(lambda: intake.up)
    (small_disk / "filler").write_bytes(bytes(small_disk_left(small_disk) - 400_000))
    log.write_bytes(b"".join(lines))
    until(lambda: intake.failures > 3)
    assert not intake.up
    assert intake.behind() > 0
    assert intake.store.cases().total >= 0, "what is there can be read"
    (small_disk / "filler").unlink()
    until(lambda: intake.store.findings().total == len(lines))
    assert sorted(kept(intake.store)) == sorted(map(uid, lines))
    assert intake.store.counts().repeated == 0
    until(lambda: intake.up)
    intake.close()
    assert caplog.text.count("findings wait in the alerts log") <= 2
    assert caplog.text.count("findings go into the case store again") == 1
    Store(small_disk / "cases.db", check=True).close_store()


def small_disk_left(disk: Path) -> int:
    """Bytes that are free."""
    status = os.statvfs(disk)
    return status.f_bavail * status.f_frsize
