"""The outbox: where alerts go, and from where a restart learns which were told already."""

from __future__ import annotations

from typing import Protocol

MAX_PENDING = 10_000
"""Alerts held while they cannot be put down; beyond it the oldest are dropped, counted."""
MAX_TOLD = 100_000
"""Ids that a restart remembers of those it reads back, the last ones."""


class Outbox(Protocol):
    """A log of alerts. What cannot be put down now is held, and tried again at each `flush`."""

    @property
    def dropped(self) -> int:
        """Alerts that found no room while the log could not be reached."""

    def put(self, partition: int, uid: str, finding: bytes) -> None:
        """Take one alert of a partition; never raises for the log's sake."""

    def flush(self) -> None:
        """Everything that was put is in the log when it returns. Raises OSError where that cannot be had."""

    @property
    def pending(self) -> int:
        """Alerts not in the log yet."""

    def position(self, partition: int) -> int:
        """Where the partition's log ends, after `flush`. Raises OSError."""

    def since(self, partition: int, position: int) -> set[str]:
        """Ids of the alerts from a position on. Raises OSError."""

    def close(self) -> None:
        """Flush if that can be, and let go."""
