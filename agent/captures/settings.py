"""How interfaces are watched, each default beside what it is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agent.captures.exclusion import Exclusion, parse
from agent.captures.filter import Look, build

LEAST_RING, MOST_RING = 1 << 20, 1 << 30
MOST_PORTS = 100


@dataclass(frozen=True)
class CaptureSettings:
    """Live capture."""

    ring_bytes: int = 8 << 20
    """Memory of each interface's ring, counted as the agent's own: packets wait there while it is held up."""
    snap: int = 256
    """Bytes kept of a packet; its whole length is counted all the same."""
    long_snap: int = 2048
    """Bytes kept of TLS handshakes on any port and of messages on `long_ports`; 0: no more than of others."""
    long_ports: tuple[int, ...] = (
        53, 67, 68, 80, 88, 104, 443, 445, 1883, 2575, 2762, 3389, 4011, 4242, 5060, 5353, 6661, 8042, 8080, 11112,
    )  # fmt: skip
    """Ports whose datagrams, and TCP segments that end a message (PSH), a protocol parser reads beyond `snap`."""
    exclude: tuple[str, ...] = ()
    """Left out by the kernel, in pcap-filter(7)'s words: `host A and tcp port N`, `net A/N`, `arp`; no `or`, no `not`."""
    promiscuous: bool = False
    """Also take in what is addressed to others: needed where the mirror port's card would drop it."""
    fanout: int = 0
    """Packets of an interface are shared among all agents of this host with the same number here; 0: each sees all."""
    fanout_kind: Literal["hash", "cpu", "queue"] = "hash"
    """`hash`: by flow, which alone keeps conversations whole. `cpu`, `queue`: by where the card's queues deliver."""
    shed: bool = True
    """Under overload leave out most TCP segments that neither open, end nor push anything, before the kernel drops any."""

    def __post_init__(self) -> None:
        if not LEAST_RING <= self.ring_bytes <= MOST_RING:
            raise ValueError(f"ring_bytes: {self.ring_bytes:,} is not within {LEAST_RING:,} and {MOST_RING:,}")
        if not 96 <= self.snap <= 65_535:
            raise ValueError(f"snap: {self.snap} is not within 96 and 65535")
        if self.long_snap and not self.snap <= self.long_snap <= 65_535:
            raise ValueError(f"long_snap: {self.long_snap} is neither 0 nor within snap and 65535")
        if len(self.long_ports) > MOST_PORTS or not all(0 < port < 65_536 for port in self.long_ports):
            raise ValueError(f"long_ports: at most {MOST_PORTS}, each 1 to 65535")
        if not 0 <= self.fanout <= 65_535:
            raise ValueError(f"fanout: {self.fanout} is not within 0 and 65535")
        build(self.look, self.exclusions)

    @property
    def look(self) -> Look:
        """How much is kept of what."""
        return Look(self.snap, self.long_snap, self.long_ports)

    @property
    def exclusions(self) -> tuple[Exclusion, ...]:
        """What is left out. Raises ValueError with every entry at fault."""
        parsed, faults = [], []
        for text in self.exclude:
            try:
                parsed.append(parse(text))
            except ValueError as error:
                faults.append(str(error))
        if faults:
            raise ValueError("; ".join(faults))
        return tuple(parsed)
