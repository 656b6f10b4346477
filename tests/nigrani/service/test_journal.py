from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nigrani.service import journal

WRONG = [sys.executable, "-m", "nigrani.cli", "spool", "stat", "/nowhere"]


def test_only_the_stream_that_systemd_names_is_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{mine.st_dev}:{mine.st_ino}")
    assert journal.listens()
    for other in (f"{mine.st_dev}:{mine.st_ino + 1}", "", "journal"):
        monkeypatch.setenv("JOURNAL_STREAM", other)
        assert not journal.listens()
    monkeypatch.delenv("JOURNAL_STREAM")
    assert not journal.listens()


@pytest.mark.parametrize(("to_journal", "start"), [(True, "<3>"), (False, "nigrani: ")])
def test_a_commands_last_word_is_an_error_in_the_journal(to_journal: bool, start: str, tmp_path: Path) -> None:
    with (tmp_path / "told").open("w+") as file:
        where = os.fstat(file.fileno()) if to_journal else Path("/").stat()
        environment = {**os.environ, "JOURNAL_STREAM": f"{where.st_dev}:{where.st_ino}"}
        assert subprocess.run(WRONG, stderr=file, env=environment, check=False).returncode == 1
        file.seek(0)
        assert file.read().startswith(f"{start}/nowhere")
