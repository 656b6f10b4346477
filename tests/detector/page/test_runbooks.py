"""Runbooks: the shipped ones, and the site's own before them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from detector.page.runbooks import Runbooks


def test_the_shipped_ones_are_there() -> None:
    book = Runbooks().find("port-scan")
    assert book is not None
    assert not book.own
    assert book.title
    assert "<h2>" in book.html
    assert len(Runbooks().all()) > 40


def test_the_sites_own_go_first_and_changes_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "port-scan.md"
    path.write_text("# Ours\n\nCall 4711.\n")
    books = Runbooks(tmp_path)
    first = books.find("port-scan")
    assert first is not None
    assert (first.title, first.own) == ("Ours", True)
    assert "4711" in first.html
    path.write_text("# Ours\n\nCall 4712.\n")
    os.utime(path, ns=(1, 1))
    second = books.find("port-scan")
    assert second is not None
    assert "4712" in second.html
    assert "port-scan" in {book.name for book in books.all() if book.own}


@pytest.mark.parametrize("name", ["", "../secret", "a/b", "..", "a.md", "x" * 100, "none-such"])
def test_other_names_are_none(name: str, tmp_path: Path) -> None:
    (tmp_path.parent / "secret.md").write_text("# Secret")
    assert Runbooks(tmp_path).find(name) is None
