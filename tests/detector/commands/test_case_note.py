"""nigrani case note."""

from __future__ import annotations

from pathlib import Path

from tests.detector.commands.cases import actions, make, nigrani


def test_it_is_in_the_history(tmp_path: Path) -> None:
    store = make(tmp_path)
    assert nigrani(store, "note", "1", "--text", "it was the vendor") == 0
    assert actions(store, 1)[-1] == ("noted", "it was the vendor")
    assert nigrani(store, "note", "1", "--text", "") == 2
