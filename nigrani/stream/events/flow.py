"""`network.flow`: one conversation, or one minute of a long one, as the meter counted it."""

from __future__ import annotations

from msgspec import field

from nigrani.stream.event import Conversation, Count, Mac, Word


class NetworkFlow(Conversation, kw_only=True, tag="network.flow"):
    """A bidirectional flow record; times in microseconds, sizes in bytes on the wire from the IP header on."""

    kind: Word = field(name="network.type", default="")
    """ipv4, ipv6 or arp."""
    protocol: Word = field(name="network.protocol", default="")
    """The application protocol told by content; empty where none was recognised."""
    vlan: Count = field(name="network.vlan.id", default=0)
    source_mac: Mac = field(name="source.mac", default="")
    destination_mac: Mac = field(name="destination.mac", default="")
    part: Count = field(name="nigrani.flow.part", default=0)
    """0 for the first record of the flow, 1 for its second minute, …"""
    reason: Word = field(name="nigrani.flow.reason", default="")
    """Why the record was cut: closed, idle, active, evicted or end."""
    state: Word = field(name="nigrani.flow.state", default="")
    """Zeek's conn_state for TCP (S0, S1, SF, REJ, …)."""
    duration: Count = field(name="event.duration", default=0)
    """Nanoseconds from the first to the last packet of this record."""
    first_payload: Count | None = field(name="nigrani.flow.first_payload_us", default=None)
    """From the flow's first packet to its first payload byte."""
    source_packets: Count = field(name="source.packets", default=0)
    destination_packets: Count = field(name="destination.packets", default=0)
    source_bytes: Count = field(name="source.bytes", default=0)
    destination_bytes: Count = field(name="destination.bytes", default=0)
    source_payload: Count = field(name="nigrani.source.payload_bytes", default=0)
    destination_payload: Count = field(name="nigrani.destination.payload_bytes", default=0)
    source_flags: Word = field(name="nigrani.source.tcp_flags", default="")
    """TCP flags seen, of the letters FSRPAUEC."""
    destination_flags: Word = field(name="nigrani.destination.tcp_flags", default="")
    source_retransmissions: Count = field(name="nigrani.source.retransmissions", default=0)
    destination_retransmissions: Count = field(name="nigrani.destination.retransmissions", default=0)
    source_size: list[Count] = field(name="nigrani.source.size", default_factory=list)
    """Packet sizes: min, mean, max, standard deviation."""
    destination_size: list[Count] = field(name="nigrani.destination.size", default_factory=list)
    source_gap: list[Count] = field(name="nigrani.source.gap_us", default_factory=list)
    """Inter-arrival times within the direction: min, mean, max, standard deviation; empty below two packets."""
    destination_gap: list[Count] = field(name="nigrani.destination.gap_us", default_factory=list)
    requests: Count = field(name="nigrani.arp.requests", default=0)
    replies: Count = field(name="nigrani.arp.replies", default=0)
    gratuitous: Count = field(name="nigrani.arp.gratuitous", default=0)
