"""The feed: the bus as a service reads it that keeps state for each partition of it.

A spool is a feed of one partition; a Kafka topic has many, and which of them are this reader's changes as readers come
and go. Each partition has one `Owner`'s state, kept somewhere together with the offset that it stands at: that offset,
and not the feed's own memory of it, is where reading begins again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from nigrani.stream.bus import Reader

BATCHES = 16
"""Batches of a spool read at once."""


class Delivery(NamedTuple):
    """Some events of one partition, in order."""

    partition: int
    next: int
    """The offset to begin at once these are in a kept state."""
    lines: list[bytes]
    """One event each."""


class Owner(Protocol):
    """What keeps the state of partitions."""

    def begin(self, partition: int) -> int | None:
        """The partition is ours from now on; returns where its state stands, None where there is none.

        Called from within `Feed.poll` or `Feed.start`, and may wait for the network.
        """

    def end(self, partition: int) -> None:
        """Another may have the partition once this returns: keep its state, and be quick. Called from any thread."""

    def lost(self, partition: int) -> None:
        """Another may have the partition already: forget its state and keep nothing. Called from any thread."""


class Feed(Protocol):
    """The reading end."""

    def start(self, owner: Owner) -> None:
        """Begin; once, before anything else."""

    def poll(self, timeout: float) -> list[Delivery]:
        """What has come, waiting up to `timeout` seconds for the first of it.

        Never raises for what mends itself or what a person can mend: `trouble` says what is wrong meanwhile.
        """

    def done(self, partition: int, offset: int) -> None:
        """What is below `offset` is in a kept state: for whoever watches the group's lag."""

    def lag(self) -> int:
        """How much of our partitions is not polled yet: events, or a topic's messages."""

    @property
    def missed(self) -> int:
        """How much was dropped from the bus before we had it: events, or a topic's messages."""

    @property
    def trouble(self) -> str:
        """A kind of trouble, a word of a closed list, while the bus cannot be read; else empty."""

    def close(self) -> None:
        """End every partition and let go."""


class SpoolFeed:
    """A spool, or another bus in one process, as a feed of the one partition 0.

    Reading begins at what the group committed. That is never beyond the state that is kept, and what it is behind by comes
    again, told apart by the events' ids.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._owner: Owner | None = None

    def start(self, owner: Owner) -> None:
        """See `Feed`."""
        self._owner = owner
        owner.begin(0)

    def poll(self, timeout: float) -> list[Delivery]:
        """See `Feed`."""
        batches = self._reader.poll(BATCHES, timeout)
        return [Delivery(0, batch.offset + 1, batch.lines.splitlines()) for batch in batches]

    def done(self, partition: int, offset: int) -> None:  # noqa: ARG002 - there is one
        """See `Feed`; what is committed may be dropped unseen by this group."""
        self._reader.commit(offset)

    def lag(self) -> int:
        """See `Feed`; in events."""
        return self._reader.lag()[1]

    @property
    def missed(self) -> int:
        """See `Feed`; in events."""
        return self._reader.missed_events

    @property
    def trouble(self) -> str:
        """See `Feed`; a spool that cannot be read raises."""
        return ""

    def close(self) -> None:
        """See `Feed`."""
        if self._owner is not None:
            self._owner.end(0)
        self._reader.close()
