"""Write a synthetic hospital capture, with the totals that any meter must find in it.

The same options give the same file. Every checksum is right, no packet is lost, no two flows share a key, and no flow is
silent long enough for a meter to end it, so that packets, IP bytes and flows have one exact answer.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from random import Random
from struct import pack
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench import conversations
from bench.conversations import CLIENT, SERVER, Conversation, Message

START = 1_767_600_000
"""A Monday morning, 5 January 2026, 08:00 UTC."""
VARIANTS = 32
"""Conversations of each kind; a flow is one of them between its own ends, at its own time and pace."""
SEGMENT = 1460
CHUNK = 32_768
"""Packets put together at a time."""
RECORD, ETHERNET, IP = 16, 14, 20
FIN, SYN, PUSH, ACK = 1, 2, 8, 16
LEAST_SNAP = RECORD + ETHERNET + IP + 20
FIRST_PORT, PORTS = 15_000, 50_000

Integers = NDArray[np.int64]


class Kind(NamedTuple):
    """One protocol's part of the traffic."""

    talk: Conversation
    transport: int
    """6 or 17."""
    port: int
    share: int
    """Of 20,000 flows."""
    bulk: float
    """Its share of the bytes that make conversations long, a flow."""
    servers: tuple[str, int]
    """Network of the servers, and how many there are."""
    clients: tuple[str, int]
    pace: float = 1
    """How much slower than its script: interfaces that talk all day."""


KINDS = (
    Kind(conversations.tls, 6, 443, 7_202, 1.6, ("93.184", 300), ("10.1", 320)),
    Kind(conversations.dns, 17, 53, 6_075, 0, ("10.9", 2), ("10.1", 360)),
    Kind(conversations.rtp, 17, 10_000, 1_262, 2.1, ("10.5", 60), ("10.4", 60)),
    Kind(conversations.smb2, 6, 445, 1_170, 3.0, ("10.8", 4), ("10.1", 240)),
    Kind(conversations.hl7, 6, 2575, 1_114, 0.2, ("10.7", 3), ("10.6", 24), 40),
    Kind(conversations.fhir, 6, 80, 1_046, 0.8, ("10.7", 4), ("10.1", 120)),
    Kind(conversations.dicom, 6, 11_112, 781, 6.0, ("10.2", 3), ("10.3", 30)),
    Kind(conversations.ntp, 17, 123, 589, 0, ("10.9", 2), ("10.1", 360)),
    Kind(conversations.sip, 17, 5060, 382, 0, ("10.5", 1), ("10.4", 60)),
    Kind(conversations.ssh, 6, 22, 379, 1.0, ("10.8", 8), ("10.1", 12), 40),
)


class Totals(NamedTuple):
    """The right answer."""

    packets: int
    ip_bytes: int
    flows: int


class Scripts:
    """All variants' packets, one after the other, in flat arrays; addresses, ports and numbers are filled in later."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.columns: list[tuple[int, int, int, int, int]] = []
        """Direction, relative sequence and acknowledgement, sum of the transport's words, µs since the start."""
        self.first = [0]
        """Where each variant's packets begin."""

    def add(self, messages: list[Message], transport: int) -> None:
        """Put one conversation into packets."""
        (self._tcp if transport == 6 else self._udp)(messages)
        self.first.append(len(self.frames))

    def _udp(self, messages: list[Message]) -> None:
        at = 0.0
        for direction, payload, wait in messages:
            at += wait
            header = pack(">HHHH", 0, 0, 8 + len(payload), 0)
            self._packet(17, header + payload, direction, 0, 0, at)

    def _tcp(self, messages: list[Message]) -> None:
        """Open, send in segments with an acknowledgement for every second one, close (RFC 9293)."""
        sent = [0, 0]
        at = 0.0

        def segment(direction: int, flags: int, payload: bytes, wait: float) -> None:
            nonlocal at
            at += wait
            acknowledged = sent[1 - direction] if flags & ACK else 0
            header = pack(">HHIIBBHHH", 0, 0, 0, 0, 5 << 4, flags, 64_240, 0, 0)
            self._packet(6, header + payload, direction, sent[direction], acknowledged, at)
            sent[direction] += len(payload) + (1 if flags & (SYN | FIN) else 0)

        segment(CLIENT, SYN, b"", 0)
        segment(SERVER, SYN | ACK, b"", 0.0004)
        segment(CLIENT, ACK, b"", 0.0003)
        for direction, payload, wait in messages:
            for index, start in enumerate(range(0, len(payload), SEGMENT)):
                last = start + SEGMENT >= len(payload)
                flags = ACK | PUSH if last else ACK
                segment(direction, flags, payload[start : start + SEGMENT], 0.00012 if index else wait)
                if index & 1 or last:
                    segment(1 - direction, ACK, b"", 0.0001)
        segment(CLIENT, FIN | ACK, b"", 0.002)
        segment(SERVER, FIN | ACK, b"", 0.0005)
        segment(CLIENT, ACK, b"", 0.0003)

    def _packet(self, transport: int, data: bytes, direction: int, sequence: int, acknowledged: int, at: float) -> None:
        total = IP + len(data)
        header = bytes(RECORD + 12) + pack(">HBBHHHBBHII", 0x0800, 0x45, 0, total, 0, 0x4000, 64, transport, 0, 0, 0)
        words = np.frombuffer(data if len(data) % 2 == 0 else data + b"\0", dtype=">u2")
        sums = int(words.sum(dtype=np.int64)) + transport + len(data)
        self.frames.append(header + data)
        self.columns.append((direction, sequence, acknowledged, sums, round(at * 1e6)))


def _scripts(seed: int, bulk: float) -> Scripts:
    """Every kind's variants; `bulk` is the mean length that a share of 1 stands for, in bytes."""
    scripts = Scripts()
    for kind in KINDS:
        random = Random(f"{seed} {kind.port}")
        for variant in range(VARIANTS):
            # lengths spread like real ones, but always the same, so that their mean does not depend on the seed
            spread = float(np.exp(1.2 * _NORMAL[variant]))
            scripts.add(kind.talk(random, int(bulk * kind.bulk * spread)), kind.transport)
    return scripts


_NORMAL = [2.0 * (index + 0.5) / VARIANTS * 2 - 2.0 for index in range(VARIANTS)]
"""Evenly spaced between −2 and 2."""


class Flows(NamedTuple):
    """One row a flow."""

    kind: Integers
    variant: Integers
    """Among all kinds' variants."""
    start: Integers
    """µs."""
    pace: NDArray[np.float64]
    ends: NDArray[np.uint32]
    """[n, 2]: the client's and the server's address."""
    ports: NDArray[np.uint16]
    numbers: NDArray[np.uint32]
    """Initial sequence numbers."""


def _flows(seed: int, count: int, seconds: int, durations: Integers) -> Flows:
    random = np.random.default_rng(seed)
    shares = np.array([kind.share for kind in KINDS], dtype=np.float64)
    exact = np.floor(shares / shares.sum() * count).astype(np.int64)
    exact[0] += count - exact.sum()
    kind = np.repeat(np.arange(len(KINDS)), exact)
    random.shuffle(kind)
    variant = kind * VARIANTS + random.integers(0, VARIANTS, count)
    pace = random.uniform(0.8, 1.2, count) * np.array([one.pace for one in KINDS])[kind]
    room = seconds * 1e6 - durations[variant] * pace
    if (room < 0).any():
        raise ValueError(f"a conversation is longer than {seconds} seconds: ask for more seconds or fewer packets a flow")
    start = (random.random(count) * room).astype(np.int64)
    ends = np.empty((count, 2), dtype=np.uint32)
    ports = np.empty((count, 2), dtype=np.uint16)
    for index, one in enumerate(KINDS):
        rows = np.flatnonzero(kind == index)
        ends[rows, 0] = _addresses(random, one.clients, len(rows))
        ends[rows, 1] = _addresses(random, one.servers, len(rows))
        ports[rows, 1] = one.port
    ports[:, 0] = _client_ports(ends[:, 0], count)
    return Flows(kind, variant, start, pace, ends, ports, random.integers(0, 1 << 32, (count, 2), dtype=np.uint32))


def _addresses(random: np.random.Generator, pool: tuple[str, int], count: int) -> NDArray[np.uint32]:
    """Hosts .x.10 and up; the first are busier than the last."""
    network, hosts = pool
    first, second = map(int, network.split("."))
    chosen = (random.random(count) ** 1.5 * hosts).astype(np.uint32)
    return (np.uint32(first << 24 | second << 16) + (chosen // 200 << 8) + chosen % 200 + 10).astype(np.uint32)


def _client_ports(clients: NDArray[np.uint32], count: int) -> Integers:
    """Each client counts its own ports up, so that no two flows share a key."""
    order = np.argsort(clients, kind="stable")
    begins = np.flatnonzero(np.diff(clients[order], prepend=0))
    rank = np.empty(count, dtype=np.int64)
    rank[order] = np.arange(count) - np.repeat(begins, np.diff(begins, append=count))
    if count and int(rank.max()) >= PORTS:
        raise ValueError(f"a client has more than {PORTS} flows: ask for fewer")
    return FIRST_PORT + rank


def write(
    path: Path,
    *,
    packets: int = 1_000_000,
    flows: int = 20_000,
    seed: int = 7,
    snap: int = 0,
    seconds: int = 600,
) -> Totals:
    """Write the capture; `packets` is met within a few per cent, the rest exactly. Raises ValueError for a bad size."""
    if flows < 1 or packets < flows or (snap and snap < LEAST_SNAP):
        raise ValueError(f"flows must be 1 or more, packets no fewer, and a snap length at least {LEAST_SNAP}")
    scripts = _scripts(seed, _bulk(seed, packets / flows))
    table = np.array(scripts.columns, dtype=np.int64)
    first = np.array(scripts.first)
    one = _flows(seed, flows, seconds, table[first[1:] - 1, 4])
    flow, script, when = _schedule(one, first, table[:, 4])
    with path.open("wb") as file:
        file.write(pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, snap or 65_535, 1))
        for begin in range(0, len(flow), CHUNK):
            part = slice(begin, begin + CHUNK)
            _write_chunk(file, scripts.frames, table, one, flow[part], script[part], when[part], snap)
    sizes = np.array([len(frame) for frame in scripts.frames], dtype=np.int64)
    return Totals(len(flow), int((sizes[script] - RECORD - ETHERNET).sum()), flows)


def _bulk(seed: int, wanted: float) -> float:
    """The bulk with which a flow has on average so many packets."""
    shares = np.array([kind.share for kind in KINDS])

    def mean(bulk: float) -> float:
        counts = np.diff(_scripts(seed, bulk).first).reshape(len(KINDS), VARIANTS).mean(axis=1)
        return float((counts * shares).sum() / shares.sum())

    small, large = mean(0), mean(10_000)
    return max(0.0, (wanted - small) / (large - small) * 10_000)


def _schedule(one: Flows, first: Integers, offsets: Integers) -> tuple[Integers, Integers, Integers]:
    """Every packet's flow, script row and time in µs, in the order of time."""
    counts = np.diff(first)[one.variant]
    flow = np.repeat(np.arange(len(counts)), counts)
    begins = np.cumsum(counts) - counts
    script = np.arange(len(flow)) - np.repeat(begins - first[one.variant], counts)
    when = one.start[flow] + (offsets[script] * one.pace[flow]).astype(np.int64)
    order = np.argsort(when, kind="stable")
    return flow[order], script[order], when[order]


def _write_chunk(
    file: BinaryIO,
    frames: list[bytes],
    table: Integers,
    one: Flows,
    flow: Integers,
    script: Integers,
    when: Integers,
    snap: int,
) -> None:
    """Put the packets together and fill in what is each flow's own."""
    taken = [frames[row][: RECORD + snap] if snap else frames[row] for row in script]
    held = np.array([len(frame) for frame in taken], dtype=np.int64)
    wire = np.array([len(frames[row]) for row in script], dtype=np.int64)
    at = np.cumsum(held) - held
    data = np.frombuffer(bytearray(b"".join(taken)), dtype=np.uint8)
    direction = table[script, 0]
    rows = np.arange(len(flow))
    source, target = one.ends[flow[rows], direction], one.ends[flow, 1 - direction]
    ports = np.stack([one.ports[flow, direction], one.ports[flow, 1 - direction]], axis=1)
    stamp = np.stack([START + when // 1_000_000, when % 1_000_000, held - RECORD, wire - RECORD], axis=1)
    _fill(data, at, stamp.astype("<u4"))
    _fill(data, at + RECORD, _hardware(target))
    _fill(data, at + RECORD + 6, _hardware(source))
    words = _words(source) + _words(target)
    _fill(data, at + RECORD + ETHERNET + 10, _checksum(0x4500 + 0x4000 + 0x4000 + _IS[one.kind[flow]] + wire - 30 + words))
    _fill(data, at + RECORD + ETHERNET + 12, np.stack([source, target], axis=1).astype(">u4"))
    _fill(data, at + RECORD + ETHERNET + IP, ports.astype(">u2"))
    sums = table[script, 3] + words + ports.sum(axis=1, dtype=np.int64)
    transport = at + RECORD + ETHERNET + IP
    tcp = np.flatnonzero(_IS[one.kind[flow]] == 6)
    sequence = (table[script, 1] + one.numbers[flow, direction])[tcp]
    # an acknowledgement of 0 stands in the first SYN alone
    acknowledged = (table[script, 2] + np.where(table[script, 2] > 0, one.numbers[flow, 1 - direction], 0))[tcp]
    numbers = np.stack([sequence, acknowledged], axis=1).astype(np.uint32)
    _fill(data, transport[tcp] + 4, numbers.astype(">u4"))
    sums[tcp] += _words(numbers[:, 0]) + _words(numbers[:, 1])
    check = _checksum(sums)
    _fill(data, transport[tcp] + 16, check[tcp])
    udp = np.flatnonzero(_IS[one.kind[flow]] == 17)
    _fill(data, transport[udp] + 6, np.where(check[udp] == 0, 0xFFFF, check[udp]).astype(">u2"))
    file.write(data.data)


_IS = np.array([kind.transport for kind in KINDS], dtype=np.int64)


def _fill(data: NDArray[np.uint8], at: Integers, values: NDArray[np.generic]) -> None:
    """Write one row of `values` at each place."""
    rows = np.ascontiguousarray(values).view(np.uint8).reshape(len(at), -1)
    data[at[:, np.newaxis] + np.arange(rows.shape[1])] = rows


def _hardware(addresses: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """02:00 and the address: locally administered."""
    own = np.ascontiguousarray(addresses.astype(">u4")).view(np.uint8).reshape(-1, 4)
    return np.concatenate([np.tile(np.array([2, 0], dtype=np.uint8), (len(own), 1)), own], axis=1)


def _words(values: NDArray[np.uint32]) -> Integers:
    """The sum of either half."""
    wide = values.astype(np.int64)
    return (wide >> 16) + (wide & 0xFFFF)


def _checksum(sums: Integers) -> NDArray[np.generic]:
    """RFC 1071."""
    folded = (sums & 0xFFFF) + (sums >> 16)
    folded = (folded & 0xFFFF) + (folded >> 16)
    return (0xFFFF - folded).astype(">u2")


def main(words: list[str] | None = None) -> int:
    """Write one capture and print its totals as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.traffic", description=__doc__)
    parser.add_argument("out", metavar="OUT", type=Path)
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--flows", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--snap", type=int, default=0, help="bytes kept of each packet; 0: all")
    parser.add_argument("--seconds", type=int, default=600)
    options = parser.parse_args(words)
    try:
        totals = write(
            options.out,
            packets=options.packets,
            flows=options.flows,
            seed=options.seed,
            snap=options.snap,
            seconds=options.seconds,
        )
    except ValueError as error:
        parser.error(str(error))
    print(json.dumps(totals._asdict()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
