"""nigrani case ack."""

from __future__ import annotations

from pathlib import Path

from tests.detector.commands.cases import actions, make, nigrani


def test_it_is_in_the_history(tmp_path: Path) -> None:
    store = make(tmp_path)
    assert nigrani(store, "ack", "1") == 0
    assert actions(store, 1)[-1] == ("acknowledged", "")
