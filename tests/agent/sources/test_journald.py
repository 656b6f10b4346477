"""What journalctl prints below was printed by systemd 252 from a journal with these entries."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.log import MAX_LINE
from agent.source import Piece
from agent.sources import journald
from agent.sources.journald import MAX_ENTRY, JournalReader
from agent.sources.settings import Journal
from nigrani.service.errors import Problem

CURSOR = "s=f80337d4f11e4a9287f39ab21c9e15c2;i=1;b=00000000000000000000000000000001;m=0;t=65bfeda27c240;x=a99a65c19de48754"
GIN = '[GIN] 2026/11/22 - 01:50:22 | 200 |    5.2ms |       127.0.0.1 | POST     "/api/generate"'
ENTRIES = [
    '{"__REALTIME_TIMESTAMP":"1790000000123456","__MONOTONIC_TIMESTAMP":"0","_SYSTEMD_UNIT":"ollama.service","__CURSOR":"'
    + CURSOR
    + '","_BOOT_ID":"00000000000000000000000000000001","MESSAGE":'
    + json.dumps(GIN)
    + "}",
    '{"__REALTIME_TIMESTAMP":"1790000001123456","_SYSTEMD_UNIT":"ollama.service","__CURSOR":"'
    + CURSOR.replace("i=1", "i=2")
    + '","MESSAGE":[97,27,91,51,49,109,98]}',
]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def settings(tmp_path: Path, script: str) -> Journal:
    """A program in journalctl's place: Python that has the arguments in `sys.argv`."""
    path = tmp_path / "journalctl.py"
    path.write_text(f"import sys, time\n{script}")
    return Journal(("ollama.service",), "ai-http-access", command=(sys.executable, str(path)))


def show(*entries: str, then: str = "") -> str:
    return "".join(f"print({entry!r}, flush=True)\n" for entry in entries) + then


def read(reader: JournalReader, count: int = 1) -> list[Piece]:
    """At least so many pieces, or what came within ten seconds."""
    pieces: list[Piece] = []
    end = time.monotonic() + 10
    while len(pieces) < count and time.monotonic() < end:
        pieces += reader.read(0.1)
    return pieces


def ended(reader: JournalReader) -> None:
    end = time.monotonic() + 10
    while reader.fileno() >= 0 and time.monotonic() < end:
        reader.read(0.1)
    assert reader.fileno() == -1


def test_entries_come_with_their_time_and_unit(tmp_path: Path) -> None:
    reader = JournalReader(settings(tmp_path, show(*ENTRIES, then="time.sleep(60)")))
    assert read(reader, 2) == [
        Piece(GIN.encode(), 1_790_000_000_123_456, "ollama.service"),
        Piece(b"a\x1b[31mb", 1_790_000_001_123_456, "ollama.service"),
    ]
    assert reader.state() == {"cursor": CURSOR.replace("i=1", "i=2"), "second": 1_790_000_001}
    assert reader.fileno() >= 0
    reader.close()
    assert reader.fileno() == -1


def test_the_journal_is_asked_from_the_cursor_on(tmp_path: Path) -> None:
    made = settings(tmp_path, "time.sleep(60)")
    first, later = JournalReader(made, {"second": 1_790_000_000}), JournalReader(made, {"cursor": CURSOR})
    assert first.command()[2:] == [
        "--follow", "--output=json", "--all", "--quiet", "--no-tail", "--output-fields=MESSAGE,_SYSTEMD_UNIT",
        "--since=@1790000000", "--unit=ollama.service",
    ]  # fmt: skip
    assert later.command()[8] == f"--after-cursor={CURSOR}"
    for reader in (first, later):
        reader.close()


@pytest.mark.parametrize("cursor", ["--root=/", "a b", "", -5, None, "x" * 600])
def test_a_cursor_that_is_none_is_not_passed_on(tmp_path: Path, cursor: object) -> None:
    reader = JournalReader(settings(tmp_path, "time.sleep(60)"), {"cursor": cursor, "second": cursor})
    assert reader.state()["cursor"] == ""
    assert any(f"--since=@{int(time.time()) - age}" in reader.command() for age in range(60))
    reader.close()


def test_without_journalctl_it_is_said(tmp_path: Path) -> None:
    made = Journal(("ollama.service",), "ai-http-access", command=(str(tmp_path / "journalctl"),))
    with pytest.raises(Problem, match="No such file or directory; the journal is systemd's: install it, or name log files"):
        JournalReader(made)


def test_a_child_that_ends_is_started_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    script = show(ENTRIES[0], then="sys.exit('the journal is\\nfull of holes')")
    reader = JournalReader(settings(tmp_path, script), clock=clock)
    assert len(read(reader)) == 1
    ended(reader)
    assert "full of holes; it is started again in 1 s" in caplog.text
    assert reader.read() == []
    assert reader.counters["restarts"] == 0
    clock.now += 1.1
    assert len(read(reader)) == 1
    assert reader.counters["restarts"] == 1
    assert f"--after-cursor={CURSOR}" in reader.command()
    reader.close()


def test_waits_grow_to_a_bound(tmp_path: Path) -> None:
    clock = Clock()
    reader = JournalReader(settings(tmp_path, "sys.exit(1)"), clock=clock)
    for _ in range(8):
        ended(reader)
        clock.now += journald.LONGEST_WAIT + 1
        reader.read()
    assert reader._wait == journald.LONGEST_WAIT
    reader.close()


def test_a_program_taken_away_is_waited_for(tmp_path: Path) -> None:
    program = tmp_path / "journalctl"
    shutil.copy("/bin/true", program)
    clock = Clock()
    reader = JournalReader(Journal(("a.service",), "orthanc", command=(str(program),)), clock=clock)
    ended(reader)
    program.unlink()
    clock.now += 10
    assert reader.read() == []
    assert reader.fileno() == -1
    reader.close()


def test_a_cursor_the_journal_does_not_know_is_given_up(tmp_path: Path) -> None:
    clock = Clock()
    made = settings(tmp_path, "sys.exit('Failed to seek to cursor: Invalid argument')")
    reader = JournalReader(made, {"cursor": CURSOR, "second": 1_790_000_000}, clock)
    ended(reader)
    assert (reader.state(), reader.counters["lost_cursors"]) == ({"cursor": "", "second": 1_790_000_000}, 1)
    assert "--since=@1790000000" in reader.command()
    reader.close()


def test_long_and_broken_entries_are_counted(tmp_path: Path) -> None:
    long = json.dumps({"__CURSOR": "s=1", "MESSAGE": "x" * (MAX_LINE + 1)})
    script = show(
        "{", '{"MESSAGE": {}}', "[" * 9999, '{"MESSAGE": [300]}', long, '{"MESSAGE": null}', '{"MESSAGE": ["a", "b"]}'
    )
    script += f"print('y' * {MAX_ENTRY + 1})\n" + show(ENTRIES[0], then="time.sleep(60)")
    reader = JournalReader(settings(tmp_path, script))
    assert [piece.line for piece in read(reader, 2)] == [b"a", GIN.encode()]
    assert (reader.counters["broken_entries"], reader.counters["long_lines"]) == (4, 2)
    reader.close()


@given(
    st.binary(max_size=200)
    | st.dictionaries(
        st.sampled_from(["__CURSOR", "__REALTIME_TIMESTAMP", "MESSAGE", "_SYSTEMD_UNIT"]),
        st.none() | st.text(max_size=9) | st.integers() | st.lists(st.integers(-1, 300) | st.text(max_size=3), max_size=4),
    ).map(lambda entry: json.dumps(entry).encode())
)
def test_any_bytes_are_a_piece_or_counted(line: bytes) -> None:
    reader = JournalReader.__new__(JournalReader)
    reader.counters = dict.fromkeys(("entries", "restarts", "lost_cursors", "long_lines", "broken_entries"), 0)
    reader._cursor, reader._second, reader._heard, reader._cut = "", 1, False, journald.Lines(MAX_ENTRY)
    reader._entries = deque()
    reader._cut_entries(line + b"\n")
    for piece in (entry.piece for entry in reader._entries if entry.piece is not None):
        assert piece.when is None or 0 <= piece.when < 1 << 60
        assert piece.line


@pytest.mark.skipif(shutil.which("journalctl") is None, reason="needs systemd's journalctl")
def test_the_real_program_takes_the_options(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    made = Journal(("ollama.service",), "ai-http-access", command=("journalctl", f"--directory={tmp_path / 'empty'}"))
    reader = JournalReader(made)
    assert reader.read(0.2) == []
    assert reader.counters["broken_entries"] == 0
    child = reader._child
    assert child is None or Path(f"/proc/{child.pid}").exists()
    reader.close()


def test_the_place_is_after_what_was_given_out(tmp_path: Path) -> None:
    """However many entries the child has printed: a kill must not pass over those that were not told."""
    entries = [ENTRIES[0].replace("i=1", f"i={number}").replace("5.2ms", f"{number}ms") for number in range(1, 6)]
    reader = JournalReader(settings(tmp_path, show(*entries, then="time.sleep(60)")))
    given: list[Piece] = []
    while len(given) < 2:
        given += reader.read(0.1, 2 - len(given))
    assert "i=2;" in str(reader.state()["cursor"])
    assert len(read(reader, 3)) == 3
    assert "i=5;" in str(reader.state()["cursor"])
    reader.close()
