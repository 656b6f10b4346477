"""What the verbs that write a case's papers have in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.commands.case_papers import give, tell
from nigrani.service.errors import Problem


def test_a_paper_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "r.md"
    give(b"one", path)
    with pytest.raises(Problem, match="a person may have worked on it"):
        give(b"two", path)
    assert path.read_bytes() == b"one"
    assert path.stat().st_mode & 0o077 == 0


def test_standard_output_is_the_papers_alone(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    give(b"%PDF \xff", None)
    tell("words")
    out, err = capsysbinary.readouterr()
    assert out == b"%PDF \xff"
    assert err == b"nigrani: words\n"
