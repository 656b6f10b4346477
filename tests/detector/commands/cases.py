"""A case store for the tests of its verbs, with two cases."""

from __future__ import annotations

from pathlib import Path

from detector.cases.store import Store
from nigrani.cli import main
from tests.detector.cases.made import finding


def make(folder: Path) -> Path:
    """Returns its file."""
    path = folder / "cases.db"
    store = Store(path)
    store.add([finding("port_scan", "ip:a", level="high", peer="ip:b"), finding("tunnel", "ip:c", minutes=5)])
    store.close_store()
    return path


def nigrani(store: Path, *words: str) -> int:
    """Carry out a verb of cases; returns the exit code."""
    return main(["case", *words, "--store", str(store)])


def actions(path: Path, number: int) -> list[tuple[str, str]]:
    """What the history tells: action and text."""
    store = Store(path)
    found = [(entry.action, entry.text) for entry in store.history(number)]
    store.close_store()
    return found
