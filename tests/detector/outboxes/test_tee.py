"""Two logs: the one that a restart believes, and a copy that holds nothing up."""

from __future__ import annotations

from pathlib import Path

from detector.outboxes.file import FileOutbox
from detector.outboxes.tee import TeeOutbox


def test_both_have_every_alert_and_the_first_is_believed(tmp_path: Path) -> None:
    tee = TeeOutbox(FileOutbox(tmp_path / "truth"), FileOutbox(tmp_path / "copy"))
    tee.put(0, "a", b'{"metadata":{"uid":"a"}}')
    tee.flush()
    assert (tee.pending, tee.dropped) == (0, 0)
    assert (tmp_path / "truth").read_bytes() == (tmp_path / "copy").read_bytes() != b""
    assert tee.since(0, 0) == {"a"}
    assert tee.since(0, tee.position(0)) == set()
    tee.close()


def test_a_copy_that_fails_holds_nothing_up(tmp_path: Path) -> None:
    tee = TeeOutbox(FileOutbox(tmp_path / "truth"), FileOutbox(Path("/dev/full")))
    tee.put(0, "a", b'{"metadata":{"uid":"a"}}')
    tee.flush()
    assert tee.since(0, 0) == {"a"}
    assert tee.pending == 1
    tee.close()
