# cython: language_level=3, annotation_typing=False
"""What the meter puts out: raw, for `privacy` alone to read."""

from __future__ import annotations


class Ends:
    """The two ends of a conversation, as they are on the wire; addresses as two halves of 64 bits."""

    __slots__ = (
        "destination_hi",
        "destination_lo",
        "destination_mac",
        "destination_port",
        "kind",
        "number",
        "private",
        "protocol",
        "source_hi",
        "source_lo",
        "source_mac",
        "source_port",
        "vlan",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - one row of the table, in its order
        self,
        number: int,
        kind: int,
        protocol: int,
        source_hi: int,
        source_lo: int,
        destination_hi: int,
        destination_lo: int,
        source_port: int,
        destination_port: int,
        vlan: int,
        source_mac: int,
        destination_mac: int,
    ) -> None:
        self.number = number
        self.kind = kind
        """4, 6, or 1 for ARP."""
        self.protocol = protocol
        self.source_hi = source_hi
        self.source_lo = source_lo
        self.destination_hi = destination_hi
        self.destination_lo = destination_lo
        self.source_port = source_port
        self.destination_port = destination_port
        self.vlan = vlan
        self.source_mac = source_mac
        self.destination_mac = destination_mac
        self.private: tuple[str, ...] | None = None
        """Tokens and zones, once privacy has made them."""


class FlowRecord:
    """One flow, or one minute of it. Times in µs since the epoch.

    A side is (packets, bytes, payload bytes, TCP flags, retransmissions, smallest, largest, sum of squared sizes, shortest,
    longest, sum and sum of squares of the gaps).
    """

    __slots__ = (
        "begin",
        "destination",
        "ends",
        "first",
        "gratuitous",
        "last",
        "part",
        "protocol",
        "reason",
        "replies",
        "requests",
        "source",
        "start",
        "state",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - one row of the table, in its order
        self,
        ends: Ends,
        reason: str,
        protocol: str,
        part: int,
        begin: int,
        start: int,
        last: int,
        first: int,
        state: str,
        source: tuple[int, ...],
        destination: tuple[int, ...],
        requests: int,
        replies: int,
        gratuitous: int,
    ) -> None:
        self.ends = ends
        self.reason = reason
        self.protocol = protocol
        self.part = part
        self.begin = begin
        self.start = start
        self.last = last
        self.first = first
        self.state = state
        self.source = source
        self.destination = destination
        self.requests = requests
        self.replies = replies
        self.gratuitous = gratuitous
