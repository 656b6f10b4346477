"""Alerts in two places: one that a restart reads back, and a copy."""

from __future__ import annotations

import contextlib

from detector.outbox import Outbox


class TeeOutbox:
    """The copy may have an alert twice after a crash, and says itself in the log where it fails."""

    def __init__(self, truth: Outbox, copy: Outbox) -> None:
        self._truth = truth
        self._copy = copy

    @property
    def dropped(self) -> int:
        """See `Outbox`; of both."""
        return self._truth.dropped + self._copy.dropped

    @property
    def pending(self) -> int:
        """See `Outbox`; of both."""
        return self._truth.pending + self._copy.pending

    def put(self, partition: int, uid: str, finding: bytes) -> None:
        """See `Outbox`."""
        self._truth.put(partition, uid, finding)
        self._copy.put(partition, uid, finding)

    def flush(self) -> None:
        """See `Outbox`; a copy that cannot be written holds nothing up."""
        self._truth.flush()
        with contextlib.suppress(OSError):
            self._copy.flush()

    def position(self, partition: int) -> int:
        """See `Outbox`."""
        return self._truth.position(partition)

    def since(self, partition: int, position: int) -> set[str]:
        """See `Outbox`."""
        return self._truth.since(partition, position)

    def close(self) -> None:
        """See `Outbox`."""
        self._truth.close()
        self._copy.close()
