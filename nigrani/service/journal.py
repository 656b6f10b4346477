"""Whether standard error is the journal."""

from __future__ import annotations

import os

ERROR = "<3>"
"""What makes a line an error there; see sd-daemon(3)."""


def listens() -> bool:
    """As systemd.exec(5) has it: `$JOURNAL_STREAM` is inherited by any child, and true only of the stream that it names."""
    try:
        mine = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{mine.st_dev}:{mine.st_ino}"
