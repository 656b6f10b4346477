"""A progress bar on a terminal, and none in a pipe."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

WIDTH = 30


class Progress:
    """One line on standard error, redrawn at most ten times a second, erased at the end."""

    def __init__(self, label: str, *, enabled: bool | None = None) -> None:
        self.label = label
        self._enabled = sys.stderr.isatty() if enabled is None else enabled
        self._drawn = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.clear()

    def show(self, done: int, total: int, note: str = "") -> None:
        """Draw `done` of `total`."""
        now = time.monotonic()
        if not self._enabled or now - self._drawn < 0.1:
            return
        self._drawn = now
        share = min(done / total, 1.0) if total else 1.0
        filled = int(WIDTH * share)
        bar = "█" * filled + "·" * (WIDTH - filled)
        sys.stderr.write(f"\r\x1b[2K{self.label} {bar} {share:4.0%} {note}")
        sys.stderr.flush()

    def clear(self) -> None:
        """Erase the line, so that other output can stand in its place."""
        if self._enabled and self._drawn:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self._drawn = 0.0
