"""Single packets of a capture, each with the flow that the meter sees it in, for somebody who looks closely.

Everything is bounded: packets kept, bytes of each, flows known, facts of each flow.
"""

from __future__ import annotations

import ipaddress
import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from agent.capture import Capture
from agent.flow import Ends, FlowRecord
from agent.meter import Meter
from agent.privacy import TRANSPORTS
from agent.protocol import Fact
from agent.protocols import identify

if TYPE_CHECKING:
    from collections.abc import Container

MAX_BYTES = 65_536
"""Of a packet that is kept."""
MAX_FLOWS = 65_536
"""Numbered; packets of further ones have none."""
MAX_FACTS = 50
"""Of one flow."""

Key = tuple[int, ...]


class Packet(NamedTuple):
    """One of them."""

    number: int
    """In the file, from 1."""
    when: int
    """Microseconds since the epoch."""
    length: int
    """On the wire."""
    data: bytes
    link: int
    """As the meter calls what it begins with."""
    flow: int
    """0 where it is of none."""
    ends: str
    """Of the flow, from this packet's sender on."""


@dataclass
class Flow:
    """What the meter made of a flow."""

    ends: str = ""
    protocol: str = ""
    packets: int = 0
    bytes: int = 0
    state: str = ""
    facts: list[Fact] = field(default_factory=list)
    more: int = 0
    """Facts beyond the bound."""


class _Tap:
    """Stands where a meter would, sees each packet, and hands it on."""

    def __init__(self) -> None:
        self.when = 0
        self.packets = 0
        self._buffer: bytearray | mmap.mmap = bytearray(1)
        self._flows: dict[Key, int] = {}
        self.seen: list[Packet] = []

    def use(self, buffer: bytearray | mmap.mmap) -> None:
        """See `Meter`."""
        self._buffer = buffer

    def feed(self, start: int, end: int, link: int, big: bool, nano: bool, most: int, until: int = 1 << 62) -> int:
        """See `Meter`; the meter itself says where a record is, one record at a time."""
        head = struct.Struct(">IIII" if big else "<IIII")
        scout = Meter(lambda *_: None, 16, 0)
        scout.use(bytearray(self._buffer[start:end]))
        position = start
        while position + 16 <= end:
            second, part, held, wire = head.unpack_from(self._buffer, position)
            after = scout.feed(
                position - start, min(position - start + 16 + held, end - start), link, big, nano, most, until
            )
            if after <= position - start:  # broken, cut off, or later than it may be
                return int(after) + start if after >= 0 else int(after) - start
            when = second * 1_000_000 + (part // 1000 if nano else part)
            self.packet(position + 16, position + 16 + held, wire, when, link)
            position = start + after
        return position

    def packet(self, start: int, end: int, wire: int, when: int, link: int) -> None:
        """See `Meter`."""
        self.packets += 1
        self.when = when
        data = bytes(self._buffer[start : min(end, start + MAX_BYTES)])
        ends = _ends_of(data, wire, when, link)
        number, text = 0, ""
        if ends is not None:
            key, text = _key(ends), _text(ends)
            number = self._flows.get(key, 0)
            if not number and len(self._flows) < MAX_FLOWS:
                number = self._flows[key] = len(self._flows) + 1
        self.seen.append(Packet(self.packets, when, wire, data, link, number, text))

    def number(self, ends: Ends) -> int:
        """Of a flow; 0 for one that was not numbered."""
        return self._flows.get(_key(ends), 0)


class Sample:
    """A capture's packets in turn, and its flows."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._tap = _Tap()

    def packets(self) -> Iterator[Packet]:
        """All of them, as far as they are asked for."""
        for _ in self._capture.read(self._tap):  # type: ignore[arg-type]
            seen, self._tap.seen = self._tap.seen, []
            yield from seen
        yield from self._tap.seen

    def flows(self, again: Capture, wanted: Container[int]) -> dict[int, Flow]:
        """What the meter makes of these flows over the whole capture, which is read `again`."""
        meter = Meter(identify)
        found: dict[int, Flow] = {}
        for _ in again.read(meter):
            self._collect(meter, found, wanted)
        meter.close()
        self._collect(meter, found, wanted)
        return found

    def _collect(self, meter: Meter, found: dict[int, Flow], wanted: Container[int]) -> None:
        for item in meter.drain():
            ends: Ends = item.ends if isinstance(item, FlowRecord) else item[0]
            number = self._tap.number(ends)
            if number not in wanted:
                continue
            flow = found.setdefault(number, Flow(_text(ends)))
            if isinstance(item, FlowRecord):
                flow.protocol = item.protocol or flow.protocol
                flow.packets += item.source[0] + item.destination[0]
                flow.bytes += item.source[1] + item.destination[1]
                flow.state = item.state or flow.state
            elif len(flow.facts) < MAX_FACTS:
                flow.facts.append(item[1])
            else:
                flow.more += 1


def _ends_of(data: bytes, wire: int, when: int, link: int) -> Ends | None:
    """The ends of the flow that the meter puts this packet into; None where it puts it into none."""
    meter = Meter(lambda *_: None, 16, 0)
    meter.use(bytearray(data))
    meter.packet(0, len(data), max(wire, len(data)), when, link)
    meter.close()
    return next((item.ends for item in meter.drain() if isinstance(item, FlowRecord)), None)


def _key(ends: Ends) -> Key:
    """The same for both directions."""
    sides = [
        (ends.source_hi, ends.source_lo, ends.source_port),
        (ends.destination_hi, ends.destination_lo, ends.destination_port),
    ]
    return (ends.kind, ends.protocol, ends.vlan, *min(sides), *max(sides))


def _text(ends: Ends) -> str:
    transport = "arp" if ends.kind == 1 else TRANSPORTS.get(ends.protocol) or str(ends.protocol)
    source = _side(ends.kind, ends.source_hi, ends.source_lo, ends.source_port)
    return f"{transport} {source} → {_side(ends.kind, ends.destination_hi, ends.destination_lo, ends.destination_port)}"


def _side(kind: int, high: int, low: int, port: int) -> str:
    if kind == 6:
        return f"[{ipaddress.IPv6Address((high << 64) | low)}]:{port}"
    return f"{ipaddress.IPv4Address(low)}:{port}"
