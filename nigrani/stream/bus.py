"""The bus: how batches of events get from one process to another, whatever carries them.

At least once: what `publish` returned from is kept until a bound drops it; after a restart a reader gets again whatever
it had not committed, and `event.id` tells the repeat. Nothing is dropped uncounted: for each group of readers, events
published since it began = delivered + `missed_events` + lag.

    OSError
    └── BusError      the bus cannot be used as it is
        └── BusFull   this batch found no room
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from msgspec import Struct


class BusError(OSError):
    """The bus cannot be used; the message says why and what to do."""


class BusFull(BusError):  # noqa: N818 - a state that the caller expects, not a fault
    """No room for this batch, of which nothing was kept: the caller counts its events as lost, or offers it again."""


class Batch(Struct, frozen=True, gc=False):
    """One record of the bus."""

    offset: int
    """Its number: 0, 1, 2, …"""
    count: int
    """Events in it."""
    lines: bytes
    """NDJSON."""


class Place(NamedTuple):
    """Where a reader is, and what it missed on its way there."""

    offset: int
    """Of the next batch."""
    event: int
    """How many events were published before that batch."""
    missed_records: int = 0
    missed_events: int = 0

    def past(self, offset: int, event: int, count: int) -> Place:
        """The place after this batch; whatever lies before it is missed."""
        return Place(
            offset + 1,
            event + count,
            self.missed_records + offset - self.offset,
            self.missed_events + max(event - self.event, 0),
        )


class Publisher(Protocol):
    """The writing end."""

    @property
    def next_offset(self) -> int:
        """Offset of the next batch: how many were published since the bus began."""

    def publish(self, lines: bytes, count: int) -> int:
        """Append one batch of `count` events and return its offset; at least once from here on.

        Raises BusFull where there is no room, and ValueError for a batch that no bus of this size can take.
        """

    def flush(self) -> None:
        """Make durable what was published."""

    def close(self) -> None:
        """Flush and let go; publishing afterwards is a ValueError."""


class Reader(Protocol):
    """The reading end of one named group; groups read independently, one reader of a group at a time.

    A new group begins at the oldest batch kept; a known one at what it last committed.
    """

    @property
    def position(self) -> int:
        """Offset of the batch that `poll` gives next, or, where that one was dropped, would have given."""

    @property
    def missed_records(self) -> int:
        """Batches that were dropped or damaged before this group had them.

        A restart counts from the last commit: what was delivered after it and dropped before the restart counts as missed.
        """

    @property
    def missed_events(self) -> int:
        """Events in those batches."""

    def poll(self, limit: int, timeout: float = 0) -> list[Batch]:
        """At most `limit` batches from the position on; waits up to `timeout` seconds for the first.

        At least once: the same batches come again after a restart until they are committed.
        """

    def commit(self, offset: int) -> None:
        """Batches below `offset` are done with: a restart begins at `offset`. Never moves back.

        Raises ValueError for an offset beyond the position.
        """

    def lag(self) -> tuple[int, int]:
        """Records and events that are kept and not yet polled."""

    def close(self) -> None:
        """Let go, without a commit."""
