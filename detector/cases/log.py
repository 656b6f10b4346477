"""The alerts log, read from where it was left: what the case store is filled from."""

from __future__ import annotations

from typing import NamedTuple, Protocol

MOST = 500
"""Findings of one batch, and so of one transaction."""


class Piece(NamedTuple):
    """What is new in the log."""

    findings: list[bytes]
    place: str
    """Where the log was read to, to be kept with the findings."""


class AlertsLog(Protocol):
    """A log that is read from a place on."""

    def read(self) -> Piece | None:
        """At most MOST further findings; None where there is nothing new. Raises OSError."""

    def behind(self) -> int:
        """How many findings are in the log and were not read. Raises OSError."""

    def close(self) -> None:
        """Let go."""
