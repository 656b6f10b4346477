"""Where events go that Kafka will never take: a file to look into, bounded.

One JSON object a line: `when` (UTC), `reason` (`refused` by the brokers, or `no_event`), `trouble` (in words), `offset`
(of the spool's batch), `event` (the line as it was). At the bound the file becomes `dead-letter.ndjson.1`, in place of the
one before.
"""

from __future__ import annotations

import errno
import logging
import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec

log = logging.getLogger(__name__)

NAME = "dead-letter.ndjson"
MAX_BYTES = 16 << 20


class DeadLetters:
    """The file, for one writer."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        """max_bytes: of the file; with the one before it, twice as much is kept."""
        self.path = folder / NAME
        self.kept = 0
        """Events written."""
        self.lost = 0
        """Events for which there was no room."""
        self._max_bytes = max_bytes
        self._failing = False

    def keep(self, event: bytes, offset: int, reason: str, trouble: str) -> None:
        """Write one down, durably. Never raises: what cannot be written is counted, and told once."""
        letter = {
            "when": datetime.now(UTC),
            "reason": reason,
            "trouble": trouble,
            "offset": offset,
            "event": event.decode("utf-8", "backslashreplace"),
        }
        try:
            self._append(msgspec.json.encode(letter) + b"\n")
        except OSError as error:
            self.lost += 1
            if not self._failing:
                log.warning("%s: %s; refused events are lost: free disk space", self.path, error.strerror or error)
            self._failing = True
        else:
            self.kept += 1
            if self._failing:
                log.warning("%s: refused events are kept again, %d were lost", self.path, self.lost)
            self._failing = False

    def _append(self, line: bytes) -> None:
        """The whole line or nothing."""
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(fd).st_size
            if size and size + len(line) > self._max_bytes:
                self.path.replace(self.path.with_name(f"{NAME}.1"))
                os.close(fd)
                fd, size = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), 0
            try:
                if os.write(fd, line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301 - one way back
                os.fsync(fd)
            except OSError:
                os.ftruncate(fd, size)
                raise
        finally:
            os.close(fd)
