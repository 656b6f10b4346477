"""Just enough of a classic pcap reader to check a recording: IPv4 over Ethernet, TCP and UDP."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAGIC_MICROSECONDS = 0xA1B2C3D4
ETHERTYPE_IPV4 = 0x0800
TCP, UDP = 6, 17
SYN, ACK = 0x02, 0x10


@dataclass(frozen=True)
class Frame:
    """One TCP or UDP packet; `payload` is cut at the snap length, `length` is what was on the wire."""

    time: float
    source: str
    target: str
    protocol: int
    source_port: int
    target_port: int
    flags: int
    payload: bytes
    length: int

    @property
    def opens(self) -> bool:
        """Whether this is the first packet of a TCP connection."""
        return self.protocol == TCP and self.flags & (SYN | ACK) == SYN


def packets(path: Path) -> Iterator[tuple[float, int, bytes]]:
    """Yield time, length on the wire and captured bytes of every packet."""
    data = path.read_bytes()
    if struct.unpack_from("<I", data)[0] != MAGIC_MICROSECONDS:
        raise ValueError(f"{path} is not a little-endian microsecond pcap")
    offset = 24
    while offset < len(data):
        seconds, micros, captured, length = struct.unpack_from("<IIII", data, offset)
        yield seconds + micros / 1e6, length, data[offset + 16 : offset + 16 + captured]
        offset += 16 + captured


def frames(path: Path) -> Iterator[Frame]:
    """Yield the TCP and UDP packets."""
    for time, length, data in packets(path):
        if struct.unpack_from(">H", data, 12)[0] == ETHERTYPE_IPV4 and data[23] in (TCP, UDP):
            yield _frame(time, length, data)


def _frame(time: float, length: int, data: bytes) -> Frame:
    protocol, start = data[23], 14 + (data[14] & 15) * 4
    source, target = (".".join(map(str, data[at : at + 4])) for at in (26, 30))
    source_port, target_port = struct.unpack_from(">HH", data, start)
    flags, header = (data[start + 13], (data[start + 12] >> 4) * 4) if protocol == TCP else (0, 8)
    payload = data[start + header :]
    return Frame(time, source, target, protocol, source_port, target_port, flags, payload, length)
