"""nigrani case reopen."""

from __future__ import annotations

from pathlib import Path

from tests.detector.commands.cases import actions, make, nigrani


def test_it_is_in_the_history(tmp_path: Path) -> None:
    store = make(tmp_path)
    assert nigrani(store, "reopen", "1", "--text", "x") == 2
    nigrani(store, "close", "1", "--verdict", "expected", "--text", "x")
    assert nigrani(store, "reopen", "1", "--text", "it was not") == 0
    assert actions(store, 1)[-1] == ("reopened", "it was not")
