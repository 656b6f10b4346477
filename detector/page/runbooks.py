"""Runbooks: one Markdown file each, the site's own before the shipped ones."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from detector.page import markdown
from nigrani.service.data import data_folder

MAX_BYTES = 256 * 1024
MAX_FILES = 500


class Runbook(NamedTuple):
    """One file, as HTML."""

    name: str
    title: str
    own: bool
    """Whether it is the site's."""
    html: Markup
    """Without the title."""


class Runbooks:
    """Looks where it is asked; a file that changes is read anew."""

    def __init__(self, own: Path | None = None) -> None:
        self._own = own

    def find(self, name: str) -> Runbook | None:
        """The runbook of a name."""
        if not markdown.NAME.fullmatch(name):
            return None
        for folder in self._folders():
            path = folder / f"{name}.md"
            try:
                title, html = _rendered(path, path.stat().st_mtime_ns)
            except OSError:
                continue
            return Runbook(name, title or name, folder == self._own, html)
        return None

    def all(self) -> list[Runbook]:
        """Every one, by name."""
        names = {path.stem for folder in self._folders() for path in sorted(folder.glob("*.md"))[:MAX_FILES]}
        return [found for name in sorted(names) if (found := self.find(name)) is not None]

    def _folders(self) -> Iterator[Path]:
        if self._own is not None:
            yield self._own
        try:
            yield data_folder("docs") / "runbooks"
        except FileNotFoundError:
            return


@lru_cache(maxsize=MAX_FILES)
def _rendered(path: Path, _changed: int) -> tuple[str, Markup]:
    """The title and the rest. Raises OSError."""
    with path.open("rb") as file:
        return markdown.render(file.read(MAX_BYTES).decode("utf-8", "replace"))
