"""Where a service says what happened: standard error, with journald's priorities where journald listens."""

from __future__ import annotations

import logging
import sys

from nigrani.service import journal

_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class _Lines(logging.Formatter):
    """One record, one line: what an attacker wrote cannot begin a line of its own."""

    def __init__(self, *, for_journal: bool) -> None:
        super().__init__("%(message)s" if for_journal else "%(asctime)s %(levelname)s %(message)s")
        self._for_journal = for_journal

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        line = "".join(letter if letter.isprintable() else " " for letter in text)
        return f"<{_PRIORITY.get(record.levelno, 6)}>{line}" if self._for_journal else line


def start(*, verbose: bool = False) -> None:
    """Send the log to standard error; warnings and worse unless verbose."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(for_journal=journal.listens()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO if verbose else logging.WARNING)
