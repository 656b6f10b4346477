"""Packets, capture files and what the meter makes of them.

Run as a program it is a worker: one JSON request a line on standard input, the records it leads to on standard output.
With NIGRANI_PURE=1 in its environment it answers with the interpreted meter.
"""

from __future__ import annotations

import base64
import json
import struct
import subprocess
import sys
import traceback
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from itertools import repeat
from os import environ
from pathlib import Path
from typing import Any, NamedTuple

from agent.capture import Capture
from agent.flow import FlowRecord
from agent.meter import LINKS, Meter
from agent.protocol import DONE, Fact, Parser

ROOT = Path(__file__).parents[2]
START = 1_700_000_000_000_000
"""Time of the first packet, µs since the epoch."""
SECOND = 1_000_000
MINUTE = 60 * SECOND
ETHERNET, RAW = 1, 101

FLAGS = {letter: 1 << bit for bit, letter in enumerate("FSRPAUEC")}


class Frame(NamedTuple):
    """One captured packet."""

    when: int
    data: bytes
    wire: int


class Side(NamedTuple):
    """What one direction did."""

    packets: int
    bytes: int
    payload: int
    flags: int
    again: int
    smallest: int
    largest: int
    squares: int
    gap_min: int
    gap_max: int
    gap_sum: int
    gap_squares: int


class Row(NamedTuple):
    """A flow record in plain values."""

    source: str
    source_port: int
    destination: str
    destination_port: int
    kind: int
    protocol: int
    vlan: int
    source_mac: int
    destination_mac: int
    number: int
    part: int
    reason: str
    name: str
    state: str
    begin: int
    start: int
    last: int
    first: int
    ours: Side
    theirs: Side
    requests: int
    replies: int
    gratuitous: int


class Metered(NamedTuple):
    """All that came out of a meter."""

    rows: list[Row]
    facts: list[tuple[int, str, int, int, list[object]]]
    counters: dict[str, int]

    @property
    def only(self) -> Row:
        """The one record that is expected."""
        (row,) = self.rows
        return row

    @property
    def packets(self) -> int:
        """Packets of all records."""
        return sum(row.ours.packets + row.theirs.packets for row in self.rows)


def frame(data: object, seconds: float = 0.0, snap: int = 262_144) -> Frame:
    """`data`, bytes or a scapy packet, seen so many seconds after START."""
    whole = bytes(data)  # type: ignore[call-overload]
    return Frame(START + round(seconds * SECOND), whole[:snap], len(whole))


def frames(*packets: object, every: float = 0.01, snap: int = 262_144) -> list[Frame]:
    """The packets at even distances."""
    return [frame(packet, number * every, snap) for number, packet in enumerate(packets)]


def segment(
    sequence: int,
    payload: bytes | int = b"",
    flags: str = "A",
    *,
    back: bool = False,
    client: tuple[str, int] = ("10.0.0.1", 40_000),
    server: tuple[str, int] = ("10.0.0.2", 104),
) -> bytes:
    """A TCP segment over IPv4 over Ethernet; `back`: from the server."""
    content = bytes(payload) if isinstance(payload, int) else payload
    (source, source_port), (destination, destination_port) = (server, client) if back else (client, server)
    bits = sum(FLAGS[letter] for letter in flags)
    tcp = struct.pack(">HHIIBBHHH", source_port, destination_port, sequence & 0xFFFF_FFFF, 0, 0x50, bits, 8192, 0, 0)
    return ipv4(source, destination, 6, tcp + content, back=back)


def datagram(source: tuple[str, int], destination: tuple[str, int], payload: bytes | int = b"") -> bytes:
    """A UDP datagram over IPv4 over Ethernet."""
    content = bytes(payload) if isinstance(payload, int) else payload
    udp = struct.pack(">HHHH", source[1], destination[1], 8 + len(content), 0)
    return ipv4(source[0], destination[0], 17, udp + content)


def ipv4(source: str, destination: str, protocol: int, content: bytes, *, back: bool = False) -> bytes:
    """An IPv4 packet over Ethernet."""
    ends = IPv4Address(source).packed + IPv4Address(destination).packed
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(content), 0, 0, 64, protocol, 0) + ends
    client, server = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"
    return (client + server if back else server + client) + b"\x08\0" + head + content


def talk(*steps: str, every: float = 0.01, begin: float = 0.0, **ends: tuple[str, int]) -> list[Frame]:
    """A TCP conversation: steps such as `> S`, `< SA`, `> PA 100`, `+2.5` (a pause, in seconds)."""
    following = {">": 1000, "<": 9000}
    clock = begin
    found: list[Frame] = []
    for step in steps:
        if step.startswith("+"):
            clock += float(step[1:])
            continue
        arrow, flags, *size = step.split()
        length = int(size[0]) if size else 0
        found.append(frame(segment(following[arrow], length, flags.strip("-"), back=arrow == "<", **ends), clock))
        following[arrow] += length + ("S" in flags) + ("F" in flags)
        clock += every
    return found


def pcap(
    packets: Iterable[Frame], *, link: int = ETHERNET, order: str = "<", nano: bool = False, snap: int = 262_144
) -> bytes:
    """A classic capture file."""
    return struct.pack(order + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, snap, link) + b"".join(
        record(packet, order=order, nano=nano) for packet in packets
    )


def record(packet: Frame, *, order: str = "<", nano: bool = False) -> bytes:
    """One record of a classic capture file."""
    second, micro = divmod(packet.when, SECOND)
    head = struct.pack(order + "IIII", second, micro * 1000 if nano else micro, len(packet.data), packet.wire)
    return head + packet.data


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """One pcapng block."""
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def section(order: str = "<") -> bytes:
    """A pcapng section header."""
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link: int = ETHERNET, resolution: int | None = None, order: str = "<", snap: int = 0) -> bytes:
    """A pcapng interface; resolution is if_tsresol's byte."""
    options = b"" if resolution is None else struct.pack(order + "HHB3xI", 9, 1, resolution, 0)
    return block(1, struct.pack(order + "HHI", link, 0, snap) + options, order)


def enhanced(packet: Frame, number: int = 0, per_second: int = SECOND, order: str = "<") -> bytes:
    """A pcapng packet block."""
    ticks = packet.when * per_second // SECOND
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFF_FFFF, len(packet.data), packet.wire)
    return block(6, head + packet.data, order)


def pcapng(packets: Iterable[Frame], *, link: int = ETHERNET, order: str = "<") -> bytes:
    """A pcapng file of one interface."""
    return section(order) + interface(link, order=order) + b"".join(enhanced(one, order=order) for one in packets)


class Scripted(Parser):
    """Does what the first byte of each payload says; whatever it is shown, it tells."""

    __slots__ = ()
    name = "scripted"
    transports = frozenset({"tcp", "udp"})

    def data(self, direction: int, payload: bytes, length: int, when: int) -> int:
        self.note("scripted", when, {"direction": direction, "crc": zlib.crc32(payload), "length": length})
        act = payload[0]
        if act == 255:
            raise ValueError("no more of this")
        return DONE if act == 254 else act if act < 64 else 0

    def gap(self, direction: int) -> None:
        self.note("gap", 0, {"direction": direction})


def scripted(_transport: str, payload: bytes, _source: int, _destination: int) -> Parser | None:
    """Recognises three payloads in four."""
    return Scripted() if payload[0] % 4 else None


Identify = Callable[[str, bytes, int, int], Parser | None]


def nothing(_transport: str, _payload: bytes, _source: int, _destination: int) -> Parser | None:
    """Recognises no protocol."""
    return None


def metered(
    packets: Iterable[Frame],
    *,
    link: int = ETHERNET,
    identify: Identify = nothing,
    capacity: int = 1024,
    max_parsers: int = 64,
) -> Metered:
    """What a meter makes of the packets."""
    return collect(Meter(identify, capacity, max_parsers), packets, link)


def collect(meter: Meter, packets: Iterable[Frame], link: int = ETHERNET) -> Metered:
    """Feed a meter, close it and read what came out."""
    feed(meter, packets, link)
    meter.close()
    return read(meter)


def feed(meter: Meter, packets: Iterable[Frame], link: int = ETHERNET) -> None:
    """Feed a meter with records as they stand in a capture file."""
    buffer = bytearray(b"".join(map(record, packets)))
    meter.use(buffer)
    assert meter.feed(0, len(buffer), LINKS[link], False, False, 262_144) == len(buffer)


def read_file(
    folder: Path, content: bytes, reader: Callable[[Path], Capture]
) -> tuple[Metered, dict[str, int], list[tuple[int, int]]]:
    """What a capture file's reader makes of the content, its faults, and the steps it took."""
    path = folder / "capture"
    path.write_bytes(content)
    capture = reader(path)
    meter = Meter(nothing)
    steps = list(capture.read(meter))
    meter.close()
    return read(meter), capture.faults, steps


def read(meter: Meter) -> Metered:
    """What has come out of a meter."""
    raw = meter.drain()
    return Metered(
        [_row(item) for item in raw if isinstance(item, FlowRecord)],
        [_fact(*item) for item in raw if not isinstance(item, FlowRecord)],
        meter.counters(),
    )


def _row(flow: FlowRecord) -> Row:
    ends = flow.ends
    return Row(
        address(ends.kind, ends.source_hi, ends.source_lo),
        ends.source_port,
        address(ends.kind, ends.destination_hi, ends.destination_lo),
        ends.destination_port,
        ends.kind,
        ends.protocol,
        ends.vlan,
        ends.source_mac,
        ends.destination_mac,
        ends.number,
        flow.part,
        flow.reason,
        flow.protocol,
        flow.state,
        flow.begin,
        flow.start,
        flow.last,
        flow.first,
        Side(*flow.source),
        Side(*flow.destination),
        flow.requests,
        flow.replies,
        flow.gratuitous,
    )


def _fact(ends: Any, fact: Fact) -> tuple[int, str, int, int, list[object]]:
    return ends.number, fact.dataset, fact.when, fact.count, [*fact.fields.items()]


def address(kind: int, high: int, low: int) -> str:
    """An address in text."""
    return str(IPv6Address(high << 64 | low) if kind == 6 else IPv4Address(low))


class Worker:
    """A meter in a process of its own."""

    def __init__(self, **environment: str) -> None:
        # a child that writes little and at once needs no reader of its own
        self._child = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**environ, "PYTHONPATH": str(ROOT), **environment},
        )

    def ask(self, packets: Sequence[Frame], **request: Any) -> Any:
        """The records of these packets, as `answer` gives them."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        request["packets"] = [(when, base64.b64encode(data).decode(), wire) for when, data, wire in packets]
        self._child.stdin.write(json.dumps(request).encode() + b"\n")
        self._child.stdin.flush()
        return json.loads(self._child.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._child.communicate(timeout=10)


def answer(packets: Iterable[Frame], **request: Any) -> Any:
    """All that comes of the packets, in JSON's types, with what the open table held half-way."""
    meter = Meter(scripted, request.get("capacity", 64), request.get("max_parsers", 8))
    found = collect(meter, packets, request.get("link", ETHERNET))
    return json.loads(json.dumps([found.rows, found.facts, found.counters]))


def _requests() -> Iterator[Any]:
    for line in sys.stdin:
        request = json.loads(line)
        packets = [Frame(when, base64.b64decode(data), wire) for when, data, wire in request.pop("packets")]
        try:
            yield answer(packets, **request)
        except Exception:  # noqa: BLE001 - told to the test, which goes on asking
            yield traceback.format_exc()


def several(count: int, packet: bytes, every: float = 1.0, begin: float = 0.0) -> list[Frame]:
    """The same packet again and again."""
    return [frame(one, begin + number * every) for number, one in enumerate(repeat(packet, count))]


if __name__ == "__main__":
    for reply in _requests():
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()
