"""nigrani case assign."""

from __future__ import annotations

from pathlib import Path

from tests.detector.commands.cases import actions, make, nigrani


def test_it_is_in_the_history(tmp_path: Path) -> None:
    store = make(tmp_path)
    assert nigrani(store, "assign", "1", "--to", "asha") == 0
    assert nigrani(store, "assign", "1") == 0
    assert actions(store, 1)[1:] == [("assigned", "to asha"), ("assigned", "to nobody")]
    assert nigrani(store, "assign", "1", "--to", "a\nb") == 2
