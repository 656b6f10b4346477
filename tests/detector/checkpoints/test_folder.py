"""Checkpoints in a folder: the last one kept is the one that comes back, and only one detector has a partition."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from detector.checkpoint import Checkpoint
from detector.checkpoints.folder import FolderCheckpoints
from nigrani.stream.bus import BusError

ONE = Checkpoint(next=1, told=0, state=b"one")
TWO = Checkpoint(next=2, told=5, state=b"two")


def test_the_last_one_kept_comes_back(tmp_path: Path) -> None:
    folder = FolderCheckpoints(tmp_path / "new" / "folder", "detector")
    assert folder.take(0) is None
    folder.keep(0, ONE)
    folder.keep(0, TWO)
    folder.close()
    again = FolderCheckpoints(tmp_path / "new" / "folder", "detector")
    assert again.take(0) == TWO
    assert again.take(1) is None
    again.close()


def test_another_detector_cannot_have_it_until_it_is_given(tmp_path: Path) -> None:
    first, second = FolderCheckpoints(tmp_path, "detector"), FolderCheckpoints(tmp_path, "detector")
    first.take(0)
    first.keep(0, ONE)
    with pytest.raises(BusError, match=r"another detector reads as group 'detector'.*stop it, or set another bus\.group"):
        second.take(0)
    first.give(0)
    assert second.take(0) == ONE
    other = FolderCheckpoints(tmp_path, "other")
    assert other.take(0) is None
    second.close()
    other.close()


def test_a_killed_detector_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from detector.checkpoints.folder import FolderCheckpoints\n"
        "FolderCheckpoints(Path(sys.argv[1]), 'detector').take(0); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    folder = FolderCheckpoints(tmp_path, "detector")
    assert folder.take(0) is None
    folder.close()


@pytest.mark.parametrize("content", [b"", b"garbage", b"nigrani checkpoint 1\n" + bytes(40)])
def test_a_damaged_file_is_told_and_not_used(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "detector-0.checkpoint").write_bytes(content)
    folder = FolderCheckpoints(tmp_path, "detector")
    assert folder.take(0) is None
    assert "windows and counts begin anew" in caplog.text
    folder.keep(0, ONE)
    assert folder.take(0) == ONE
    folder.close()


def test_a_failed_write_leaves_the_last_one(tmp_path: Path) -> None:
    folder = FolderCheckpoints(tmp_path, "detector")
    folder.take(0)
    folder.keep(0, ONE)
    (tmp_path / "detector-0.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        folder.keep(0, TWO)
    assert folder.take(0) == ONE
    folder.close()


def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = FolderCheckpoints(tmp_path / "state", "detector")
    folder.take(0)
    folder.keep(0, ONE)
    folder.close()
    modes = {stat.S_IMODE(os.stat(path).st_mode) for path in (tmp_path / "state").iterdir()}  # noqa: PTH116
    assert modes == {0o600}
