"""A source of log lines: bytes from somewhere, a place to go on from, and counters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

Counters = dict[str, int]
State = Mapping[str, object]
"""What a source needs to go on where it stopped; JSON can hold it, and it has nothing of a line."""


class Piece(NamedTuple):
    """One line as it came."""

    line: bytes
    when: int | None
    """Microseconds since the epoch at which it was written, where the source knows."""
    origin: str
    """Who wrote it: a path, a unit, a sender's address. It stays on this host."""


LIMIT = 500
"""Pieces given out at once, at most: what becomes of them is one record of the bus, and so is there whole or not at all."""


class Source(Protocol):
    """One of them; all are read in turn by one thread, and none keeps the others waiting."""

    counters: Counters
    """Closed lists of names, each from 0."""

    def read(self, timeout: float = 0.0, limit: int = LIMIT) -> list[Piece]:
        """What has come, in order: a bounded piece of work, and at most `limit` pieces.

        timeout: seconds to wait for the first line at most.
        """
        ...

    def fileno(self) -> int:
        """Readable when there is something to read; -1 where the source must be asked."""
        ...

    def state(self) -> State:
        """The place after everything that `read` has given out."""
        ...

    def close(self) -> None:
        """Let go of files and sockets."""
        ...
