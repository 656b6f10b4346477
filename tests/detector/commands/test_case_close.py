"""nigrani case close."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.detector.commands.cases import actions, make, nigrani


def test_with_verdict_and_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = make(tmp_path)
    assert nigrani(store, "close", "1", "--verdict", "false-alarm", "--text", "a scanner of ours") == 0
    assert "#1 is closed: false-alarm" in capsys.readouterr().out
    assert ("closed", "a scanner of ours") in actions(store, 1)
    assert nigrani(store, "close", "1", "--verdict", "false-alarm", "--text", "again") == 2
    assert "is closed already" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--text", "x"], ["--verdict", "expected"], ["--verdict", "maybe", "--text", "x"]])
def test_neither_may_be_left_out(tmp_path: Path, words: list[str]) -> None:
    store = make(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        nigrani(store, "close", "1", *words)
    assert nigrani(store, "close", "1", "--verdict", "expected", "--text", " ") == 2
