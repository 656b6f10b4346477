# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True, initializedcheck=False
"""Packets to bidirectional flow records.

One source, two forms: interpreted as it stands, or compiled from Cython's pure Python mode with bounds checks on, because
its input is hostile. Both give identical records. All state is in flat arrays of fixed size: a row a flow, integers only,
so that a flood costs an eviction and a counter, never memory. Snap length: 256 bytes suffice.

The table's rows are reached by a hash chain and watched by a timing wheel of one-second slots, which cuts a long flow's
record every minute and ends an idle flow; a packet touches its own row and nothing else.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Callable
from typing import Any

try:
    import cython
except ModuleNotFoundError:
    from agent import pure as cython

from agent.flow import Ends, FlowRecord
from agent.protocol import Fact, Parser

# A row: the key, the flow's life, the record's counters, then the same for either direction.
ROW = cython.declare(cython.Py_ssize_t, 64)
A_HI = cython.declare(cython.Py_ssize_t, 0)
A_LO = cython.declare(cython.Py_ssize_t, 1)
B_HI = cython.declare(cython.Py_ssize_t, 2)
B_LO = cython.declare(cython.Py_ssize_t, 3)
META = cython.declare(cython.Py_ssize_t, 4)  # port of A << 32 | port of B << 16 | protocol << 8 | kind
CHAIN = cython.declare(cython.Py_ssize_t, 5)  # next row of the bucket
BUCKET = cython.declare(cython.Py_ssize_t, 6)
FLIPPED = cython.declare(cython.Py_ssize_t, 7)  # 1 where B, not A, is the originator
LAST = cython.declare(cython.Py_ssize_t, 8)
BEGIN = cython.declare(cython.Py_ssize_t, 9)  # first packet of the flow
START = cython.declare(cython.Py_ssize_t, 10)  # first packet of the record
LOOK = cython.declare(cython.Py_ssize_t, 11)  # payloads still shown to the recognisers, or ACTIVE, or 0
FIRST = cython.declare(cython.Py_ssize_t, 12)  # first payload, 0 while none
PART = cython.declare(cython.Py_ssize_t, 13)
NUMBER = cython.declare(cython.Py_ssize_t, 14)
RESET = cython.declare(cython.Py_ssize_t, 15)  # 1: the originator sent the first RST, 2: the responder
SLOT = cython.declare(cython.Py_ssize_t, 16)
LATER = cython.declare(cython.Py_ssize_t, 17)  # next row of the wheel's slot
EARLIER = cython.declare(cython.Py_ssize_t, 18)
VLAN = cython.declare(cython.Py_ssize_t, 19)
MAC = cython.declare(cython.Py_ssize_t, 20)  # of the originator, then of the responder
ARP = cython.declare(cython.Py_ssize_t, 22)  # requests, replies, gratuitous
WANTED = cython.declare(cython.Py_ssize_t, 26)  # next sequence number for the parser, plus 1 << 32; then SKIP,
SKIP = cython.declare(cython.Py_ssize_t, 27)  # bytes the parser does not need; then both of the other direction
SIDE = cython.declare(cython.Py_ssize_t, 32)  # where the directions begin: two lines of the cache each
WIDTH = cython.declare(cython.Py_ssize_t, 16)
PACKETS = cython.declare(cython.Py_ssize_t, 0)
BYTES = cython.declare(cython.Py_ssize_t, 1)
PAYLOAD = cython.declare(cython.Py_ssize_t, 2)
FLAGS = cython.declare(cython.Py_ssize_t, 3)
SMALLEST = cython.declare(cython.Py_ssize_t, 4)
LARGEST = cython.declare(cython.Py_ssize_t, 5)
SQUARES = cython.declare(cython.Py_ssize_t, 6)
SEEN = cython.declare(cython.Py_ssize_t, 7)  # last packet of this direction in this record
GAP_MIN = cython.declare(cython.Py_ssize_t, 8)
GAP_MAX = cython.declare(cython.Py_ssize_t, 9)
GAP_SUM = cython.declare(cython.Py_ssize_t, 10)
GAP_SQUARES = cython.declare(cython.Py_ssize_t, 11)
EVER = cython.declare(cython.Py_ssize_t, 12)  # TCP flags of the flow's whole life
NEXT = cython.declare(cython.Py_ssize_t, 13)  # highest sequence number seen, plus 1 << 32 once there is one
AGAIN = cython.declare(cython.Py_ssize_t, 14)  # retransmissions

FIN = cython.declare(cython.ulonglong, 1)
SYN = cython.declare(cython.ulonglong, 2)
RST = cython.declare(cython.ulonglong, 4)
ACK = cython.declare(cython.ulonglong, 16)
TCP = cython.declare(cython.uint, 6)
UDP = cython.declare(cython.uint, 17)

FOREIGN = cython.declare(cython.longlong, -3)  # protocol.FOREIGN
LOOKS = cython.declare(cython.ulonglong, 4)
ACTIVE = cython.declare(cython.ulonglong, 255)

SECOND = cython.declare(cython.ulonglong, 1_000_000)
MINUTE = cython.declare(cython.ulonglong, 60_000_000)
SLOTS = cython.declare(cython.ulonglong, 512)
FRAGMENTS = cython.declare(cython.ulonglong, 256)  # sets of four
MAX_RECORD = cython.declare(cython.uint, 262_144)
DEEP = cython.declare(cython.int, 8)
VLAN_VALID = cython.declare(cython.ulonglong, 0x10)  # TP_STATUS_VLAN_VALID
M31 = cython.declare(cython.ulonglong, 0x7FFFFFFF)
ONE32 = cython.declare(cython.ulonglong, 1 << 32)
HALF = cython.declare(cython.ulonglong, 1 << 31)
M32 = cython.declare(cython.ulonglong, (1 << 32) - 1)
M64 = cython.declare(cython.ulonglong, (1 << 64) - 1)

_BIG16 = struct.Struct(">H").unpack_from
_BIG32 = struct.Struct(">I").unpack_from
_BIG_HEADER = struct.Struct(">IIII").unpack_from
_LITTLE_HEADER = struct.Struct("<IIII").unpack_from
_IP4_HEADER = struct.Struct(">BxHHHxBxxII").unpack_from
_TCP_HEADER = struct.Struct(">IIxxxxBB").unpack_from
_LITTLE32 = struct.Struct("<I").unpack_from

REASONS = ("closed", "idle", "active", "evicted", "end")
CLOSED = cython.declare(cython.int, 0)
IDLE = cython.declare(cython.int, 1)
CUT = cython.declare(cython.int, 2)
EVICTED = cython.declare(cython.int, 3)
END = cython.declare(cython.int, 4)
SILENT = (0,) * 12
"""A direction without a packet."""

LINKS = {0: 4, 1: 1, 12: 2, 14: 2, 101: 2, 108: 4, 113: 3, 228: 2, 229: 2, 276: 5}
"""pcap's LINKTYPE → the way the meter reads it: 1 Ethernet, 2 raw IP, 3 Linux cooked, 4 loopback, 5 Linux cooked v2."""


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _mix(value: cython.ulonglong) -> cython.ulonglong:
    value = (value & M31) * 0x5BD1E995
    return value ^ (value >> 31)


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _big16(head: cython.p_uchar) -> cython.uint:
    """Of bytes that were checked, as are the next two's; adjacent bytes of a pointer make one load."""
    return (cython.cast(cython.uint, head[0]) << 8) | head[1]


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _big32(head: cython.p_uchar) -> cython.uint:
    return (cython.cast(cython.uint, head[0]) << 24) | (head[1] << 16) | (head[2] << 8) | head[3]


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _little32(head: cython.p_uchar) -> cython.uint:
    return (cython.cast(cython.uint, head[3]) << 24) | (head[2] << 16) | (head[1] << 8) | head[0]


@cython.final
@cython.cclass
class Meter:
    """The flow table.

    `out` collects, in order, each FlowRecord that ended or was cut and each `(Ends, Fact)` that a parser told; the caller
    drains it. `room` bounds it: beyond so many a flow that is due stays in the table for another second, and one that must
    go, or a fact beyond twice as many, is counted and not told. `identify(transport, payload, source port, destination port)` gives a new Parser or None.
    """

    table: cython.ulonglong[::1]
    heads: cython.uint[::1]
    wheel: cython.uint[::1]
    pieces: cython.ulonglong[::1]
    buf: cython.uchar[::1]
    view: memoryview
    swapped: cython.bint  # whether the current packet's sender is the row's B
    out: list[Any]
    parsers: list[Parser | None]
    ends: list[Ends | None]
    parsing: cython.Py_ssize_t
    free: list[int]
    identify: Callable[[str, bytes, int, int], Parser | None]
    rows: cython.Py_ssize_t
    used: cython.Py_ssize_t
    top: cython.Py_ssize_t
    mask: cython.ulonglong
    seed: cython.ulonglong
    second: cython.ulonglong
    number: cython.ulonglong
    max_parsers: cython.Py_ssize_t
    vlan: cython.ulonglong
    tag: cython.ulonglong  # of the VLAN that the kernel has taken out of the packet, 0 for none
    frame: cython.Py_ssize_t  # where the innermost Ethernet header begins, −1 where there is none
    a_hi: cython.ulonglong
    a_lo: cython.ulonglong
    b_hi: cython.ulonglong
    b_lo: cython.ulonglong
    size: cython.uint
    when = cython.declare(cython.ulonglong, visibility="readonly")
    packets: cython.ulonglong
    flows: cython.ulonglong
    evicted: cython.ulonglong
    short: cython.ulonglong
    foreign: cython.ulonglong
    orphans: cython.ulonglong
    deep: cython.ulonglong
    gave_up: cython.ulonglong
    unparsed: cython.ulonglong
    overflow: cython.ulonglong
    steps: cython.ulonglong
    untold: cython.ulonglong
    room = cython.declare(cython.Py_ssize_t, visibility="public")
    quiet: cython.ulonglong[::1]

    def __init__(
        self,
        identify: Callable[[str, bytes, int, int], Parser | None],
        capacity: int = 65_536,
        max_parsers: int = 16_384,
    ) -> None:
        if capacity < 16:
            raise ValueError("a flow table holds at least 16 flows")
        buckets = 1 << (capacity * 2 - 1).bit_length()
        self.rows = capacity
        self.used = self.top = 0
        # anonymous pages cost memory only once touched, and rows are handed out from the first on
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        if cython.compiled:
            self.table = memoryview(mmap.mmap(-1, (capacity + 1) * 64 * 8, private)).cast("Q")
        else:
            self.table = [0] * 64  # grows by rows up to the same bound
        self.heads = memoryview(mmap.mmap(-1, buckets * 4, private)).cast("I")
        self.quiet = memoryview(mmap.mmap(-1, capacity * 8, private)).cast("Q")
        self.wheel = memoryview(bytearray(512 * 4)).cast("I")
        self.pieces = memoryview(bytearray(1024 * 3 * 8)).cast("Q")
        self.mask = buckets - 1
        self.seed = int.from_bytes(os.urandom(4), "little") >> 1
        self.free = []
        self.out = []
        self.parsers = [None]  # of each row, as far as rows were handed out
        self.ends = [None]
        self.parsing = 0
        self.identify = identify
        self.max_parsers = max_parsers
        self.second = self.number = 0
        self.packets = self.flows = self.evicted = self.short = self.foreign = self.orphans = 0
        self.deep = self.gave_up = self.unparsed = self.overflow = self.steps = self.untold = 0
        self.tag = 0
        self.room = 1 << 40

    def counters(self) -> dict[str, int]:
        """What was seen and what was not kept, by reason."""
        return {
            "packets": self.packets,
            "flows": self.flows,
            "active_flows": self.used,
            "evicted_flows": self.evicted,
            "short_packets": self.short,
            "other_packets": self.foreign,
            "orphan_fragments": self.orphans,
            "deep_packets": self.deep,
            "abandoned_conversations": self.gave_up,
            "unparsed_conversations": self.unparsed,
            "facts_over_cap": self.overflow,
            "clock_steps": self.steps,
            "untold_records": self.untold,
        }

    def drain(self, most: cython.Py_ssize_t = 1 << 40) -> list[Any]:
        """The oldest of what has come out and was not drained yet, so many at most."""
        out = self.out
        if len(out) <= most:
            self.out = []
            return out
        self.out = out[most:]
        del out[most:]
        return out

    def waiting(self) -> int:
        """How many records and facts are to be drained."""
        return len(self.out)

    def use(self, buffer: bytearray | mmap.mmap) -> None:
        """Read the packets of the following calls from this writable buffer."""
        self.buf = self.view = memoryview(buffer)

    def feed(
        self,
        start: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        link: cython.int,
        big: cython.bint,
        nano: cython.bint,
        most: cython.uint,
        until: cython.ulonglong = 1 << 62,
    ) -> int:
        """Meter the pcap records of the buffer's bytes start…end up to the time `until`.

        Returns where the first record begins that is incomplete or later. `most` is the longest record believed (the file's
        snap length); a longer one makes it return −1 − its position.
        """
        position: cython.Py_ssize_t = start
        at: cython.Py_ssize_t
        sec: cython.ulonglong
        sub: cython.ulonglong
        held: cython.uint
        wire: cython.uint
        when: cython.ulonglong
        head: cython.p_uchar
        while position + 16 <= end:
            if not cython.compiled:
                sec, sub, held, wire = (_BIG_HEADER if big else _LITTLE_HEADER)(self.buf, position)
            else:
                self._check(position, 16)
                head = cython.address(self.buf[position])
                sec = _big32(head) if big else _little32(head)
                sub = _big32(head + 4) if big else _little32(head + 4)
                held = _big32(head + 8) if big else _little32(head + 8)
                wire = _big32(head + 12) if big else _little32(head + 12)
            if (
                held > most
                or held > wire
                or wire == 0
                or wire > 0x7FFFFFF
                or (sub >= 1_000_000 and (not nano or sub >= 1_000_000_000))
            ):
                return -1 - position
            at = position + 16
            when = sec * SECOND + (sub // 1000 if nano else sub)
            if at + held > end or when > until:
                break
            position = at + held
            self._packet(at, position, wire, when, link)
        return position

    def feed_block(self, start: cython.Py_ssize_t, end: cython.Py_ssize_t, link: cython.int) -> int:
        """Meter one block of a TPACKET_V3 ring, the buffer's bytes start…end; returns how many packets it held.

        Layout: struct tpacket_block_desc and tpacket3_hdr of linux/if_packet.h, on a little-endian machine.
        """
        count: cython.ulonglong = self._l32(start + 12)
        at: cython.Py_ssize_t = start + self._l32(start + 16)
        left: cython.ulonglong = count
        first: cython.Py_ssize_t
        held: cython.Py_ssize_t
        wire: cython.uint
        step: cython.Py_ssize_t
        while left > 0 and at + 48 <= end:
            self.tag = self._l32(at + 32) & 0x0FFF if self._l32(at + 20) & VLAN_VALID else 0
            held = self._l32(at + 12)
            wire = self._l32(at + 16)
            first = at + self.buf[at + 24] + self.buf[at + 25] * 256
            if first + held > end:
                break
            self._packet(first, first + held, wire, self._l32(at + 4) * SECOND + self._l32(at + 8) // 1000, link)
            step = self._l32(at)
            left -= 1
            if step == 0:
                break
            at += step
        self.tag = 0
        return count - left

    def packet(
        self, start: cython.Py_ssize_t, end: cython.Py_ssize_t, wire: cython.uint, when: cython.ulonglong, link: cython.int
    ) -> None:
        """Meter one packet, the buffer's bytes start…end; `wire` its full length, `when` in µs since the epoch."""
        self._packet(start, end, wire, when, link)

    def tick(self, when: cython.ulonglong) -> None:
        """Let time pass, or go back, where no packet says so."""
        if when // SECOND != self.second:
            self._advance(when // SECOND)

    def close(self) -> None:
        """End every flow: the input is over."""
        row: cython.Py_ssize_t
        index: cython.Py_ssize_t
        live: list[tuple[int, int]] = []
        self.room = 1 << 40
        for index in range(1, self.top + 1):
            row = index * ROW
            if self.table[row + META] != 0:
                live.append((self.table[row + NUMBER], row))
        live.sort()
        for _, at in live:
            self._emit(at, END)
            self._remove(at)

    @cython.cfunc
    @cython.inline
    @cython.exceptval(-1, check=True)
    def _check(self, at: cython.Py_ssize_t, width: cython.Py_ssize_t) -> cython.int:
        """One look at the bounds for a whole number: four would be half of a packet's cost."""
        if at < 0 or at > self.buf.shape[0] - width:
            raise IndexError("outside the buffer")
        return 0

    @cython.cfunc
    @cython.inline
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=True)
    def _u16(self, at: cython.Py_ssize_t) -> cython.uint:
        if not cython.compiled:
            return _BIG16(self.buf, at)[0]
        self._check(at, 2)
        return _big16(cython.address(self.buf[at]))

    @cython.cfunc
    @cython.inline
    @cython.boundscheck(False)
    @cython.exceptval(0, check=True)
    def _u32(self, at: cython.Py_ssize_t) -> cython.ulonglong:
        if not cython.compiled:
            return _BIG32(self.buf, at)[0]
        self._check(at, 4)
        return _big32(cython.address(self.buf[at]))

    @cython.cfunc
    @cython.inline
    @cython.boundscheck(False)
    @cython.exceptval(0, check=True)
    def _l32(self, at: cython.Py_ssize_t) -> cython.ulonglong:
        if not cython.compiled:
            return _LITTLE32(self.buf, at)[0]
        self._check(at, 4)
        return _little32(cython.address(self.buf[at]))

    @cython.cfunc
    @cython.inline
    @cython.exceptval(-1, check=True)
    def _fits(self, row: cython.Py_ssize_t) -> cython.int:
        """One look at the bounds for a whole row."""
        if row < 0 or row > self.table.shape[0] - ROW:
            raise IndexError("outside the table")
        return 0

    @cython.cfunc
    @cython.inline
    @cython.exceptval(0, check=True)
    def _u48(self, at: cython.Py_ssize_t) -> cython.ulonglong:
        return (self._u32(at) << 16) | self._u16(at + 4)

    @cython.cfunc
    @cython.inline
    @cython.exceptval(0, check=True)
    def _u64(self, at: cython.Py_ssize_t) -> cython.ulonglong:
        return (self._u32(at) << 32) | self._u32(at + 4)

    @cython.cfunc
    @cython.inline
    def _bytes(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> bytes:
        """Copy the bytes at…end − 1, at least one."""
        first: cython.p_uchar
        if not cython.compiled:
            return bytes(self.view[at:end])
        self._check(at, end - at)
        first = cython.address(self.buf[at])
        return first[: end - at]

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _packet(
        self, at: cython.Py_ssize_t, end: cython.Py_ssize_t, wire: cython.uint, when: cython.ulonglong, link: cython.int
    ) -> cython.int:
        """Peel the link layer and set out for the network layer."""
        second: cython.ulonglong = when // SECOND
        kind: cython.uint = 0
        self.packets += 1
        self.when = when
        if second != self.second:
            self._advance(second)
        self.vlan = self.tag
        self.frame = -1
        if link == 1:
            if (
                at + 34 <= end
                and self.buf[at + 12] == 0x08
                and self.buf[at + 13] == 0x00
                and self.buf[at + 14] >> 4 == 4
                and wire > 14
            ):
                self.frame = at
                return self._ip4(at + 14, end, wire - 14, DEEP)  # by far the most frequent, straight on
            return self._ethernet(at, end, wire, DEEP)
        if link == 2:
            return self._ip(at, end, wire, DEEP)
        if link == 3:
            if at + 16 <= end:
                return self._ethertype(self._u16(at + 14), at + 16, end, wire - 16, DEEP)
        elif link == 4:
            if at + 4 <= end:  # the address family in either byte order
                kind = self._l32(at) if self.buf[at] != 0 else self._u32(at)
                return self._ethertype(
                    0x0800 if kind == 2 else 0x86DD if kind in {10, 24, 28, 30} else 0, at + 4, end, wire - 4, DEEP
                )
        elif link == 5 and at + 20 <= end:
            return self._ethertype(self._u16(at), at + 20, end, wire - 20, DEEP)
        self.short += 1
        return 0

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _ethernet(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t, wire: cython.uint, depth: cython.int) -> cython.int:
        kind: cython.uint
        if at + 14 > end:
            self.short += 1
            return 0
        self.frame = at
        kind = self._u16(at + 12)
        return self._ethertype(kind, at + 14, end, wire - 14 if wire > 14 else 0, depth)

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _ethertype(
        self, kind: cython.uint, at: cython.Py_ssize_t, end: cython.Py_ssize_t, wire: cython.uint, depth: cython.int
    ) -> cython.int:
        """Look through VLAN and QinQ tags, PPPoE and MPLS labels (IEEE 802.1Q, RFC 2516, RFC 3032)."""
        label: cython.ulonglong
        if kind in {0x0800, 0x86DD}:
            return self._ip(at, end, wire, depth)
        while kind in {0x8100, 0x88A8, 0x9100}:
            if at + 4 > end:
                self.short += 1
                return 0
            if self.vlan == 0:
                self.vlan = self._u16(at) & 0x0FFF
            kind = self._u16(at + 2)
            at += 4
            wire = wire - 4 if wire > 4 else 0
        if kind in {0x0800, 0x86DD}:
            return self._ip(at, end, wire, depth)
        if kind == 0x0806:
            return self._arp(at, end)
        if kind == 0x8864:
            if at + 8 <= end:
                kind = self._u16(at + 6)
                if kind in {0x0021, 0x0057}:
                    return self._ip(at + 8, end, wire - 8, depth)
        elif kind in {0x8847, 0x8848}:
            while at + 4 <= end:
                label = self._u32(at)
                at += 4
                wire = wire - 4 if wire > 4 else 0
                if label & 0x100:
                    if at < end and self.buf[at] >> 4 in {4, 6}:
                        return self._ip(at, end, wire, depth)
                    if at + 4 < end and self.buf[at] == 0:  # a pseudowire's control word before an Ethernet frame
                        return self._ethernet(at + 4, end, wire, depth - 1) if depth > 0 else 0
                    break
        self.foreign += 1
        return 0

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _arp(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
        """ARP for IPv4 over Ethernet (RFC 826), one way only: the key holds the claimed hardware address."""
        act: cython.ulonglong
        row: cython.Py_ssize_t
        if at + 28 > end:
            self.short += 1
            return 0
        if self._u16(at) != 1 or self._u16(at + 2) != 0x0800 or self._u16(at + 4) != 0x0604:
            self.foreign += 1
            return 0
        act = self._u16(at + 6)
        self.a_hi = self._u48(at + 8)
        self.a_lo = self._u32(at + 14)
        self.b_hi = 0
        self.b_lo = self._u32(at + 24)
        self.size = 28
        row = self._row((act << 32) | 1, 0, 0)
        self._count(row, 0, 0, 0)
        if self.a_lo == self.b_lo:
            self.table[row + ARP + 2] += 1
        else:
            self.table[row + ARP + (1 if act == 2 else 0)] += 1
        return 0

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _ip(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t, wire: cython.uint, depth: cython.int) -> cython.int:
        version: cython.uint
        if at >= end:
            self.short += 1
            return 0
        if depth <= 0:
            self.deep += 1
            return 0
        version = self.buf[at] >> 4
        if version == 4:
            return self._ip4(at, end, wire, depth)
        if version == 6:
            return self._ip6(at, end, wire, depth)
        self.foreign += 1
        return 0

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _ip4(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t, wire: cython.uint, depth: cython.int) -> cython.int:
        """IPv4 with options and fragments (RFC 791)."""
        header: cython.uint
        total: cython.uint
        label: cython.uint
        piece: cython.uint
        protocol: cython.uint
        head: cython.p_uchar
        if at + 20 > end:
            self.short += 1
            return 0
        if cython.compiled:
            self._check(at, 20)
            head = cython.address(self.buf[at])
            header = head[0]
            total = _big16(head + 2)
            label = _big16(head + 4)
            piece = _big16(head + 6)
            protocol = head[9]
            self.a_lo = _big32(head + 12)
            self.b_lo = _big32(head + 16)
        else:
            header, total, label, piece, protocol, self.a_lo, self.b_lo = _IP4_HEADER(self.buf, at)
        header = (header & 15) * 4
        if total == 0:  # left to the network card by segmentation offload
            total = wire
        if header < 20 or total < header:
            self.foreign += 1
            return 0
        self.a_hi = self.b_hi = 0
        self.size = total
        if at + total < end:
            end = at + total  # what follows is the link's padding
        piece &= 0x3FFF
        if protocol == TCP:
            return self._transport(protocol, at + header, end, total - header, 4, piece, label if piece else 0)
        return self._inner(protocol, at + header, end, total - header, 4, piece, label if piece else 0, depth)

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _ip6(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t, wire: cython.uint, depth: cython.int) -> cython.int:
        """IPv6 and its extension headers (RFC 8200 §4)."""
        protocol: cython.uint
        left: cython.uint
        width: cython.uint
        piece: cython.uint = 0
        label: cython.ulonglong = 0
        turns: cython.int = 0
        if at + 40 > end:
            self.short += 1
            return 0
        left = self._u16(at + 4)
        if left == 0:  # a jumbogram or segmentation offload
            left = wire - 40 if wire > 40 else 0
        protocol = self.buf[at + 6]
        self.a_hi = self._u64(at + 8)
        self.a_lo = self._u64(at + 16)
        self.b_hi = self._u64(at + 24)
        self.b_lo = self._u64(at + 32)
        self.size = left + 40
        if at + 40 + left < end:
            end = at + 40 + left
        at += 40
        while protocol in {0, 43, 44, 51, 60, 135} and turns < 8 and piece & 0x1FFF == 0:
            turns += 1
            if at + 8 > end:
                self.short += 1
                return 0
            if protocol == 44:
                width = 8
                piece = ((self._u16(at + 2) & 0xFFF8) >> 3) | (0x2000 if self.buf[at + 3] & 1 else 0)
                label = self._u32(at + 4)
            elif protocol == 51:
                width = (self.buf[at + 1] + 2) * 4
            else:
                width = (self.buf[at + 1] + 1) * 8
            protocol = self.buf[at]
            if width > left:
                self.foreign += 1
                return 0
            at += width
            left -= width
        return self._inner(protocol, at, end, left, 6, piece, label, depth)

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _inner(
        self,
        protocol: cython.uint,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        left: cython.uint,
        kind: cython.uint,
        piece: cython.uint,
        label: cython.ulonglong,
        depth: cython.int,
    ) -> cython.int:
        """Tunnels (RFC 2003, 2784, 4213, 7348) are looked through, everything else is a packet of a flow."""
        if piece & 0x1FFF == 0:
            if protocol == 47:
                return self._gre(at, end, left, depth)
            if protocol in {4, 41} and at < end:
                return self._ip(at, end, left, depth - 1)
            if (
                protocol == UDP
                and left > 16
                and at + 16 < end
                and self._u16(at + 2) == 4789
                and (self.buf[at + 8] & 12 == 8 or (self.buf[at + 8] & 12 == 12 and self.buf[at + 11] == 3))
            ):  # with the protocol extension, Ethernet is 3
                return self._ethernet(at + 16, end, left - 16, depth - 1)
        return self._transport(protocol, at, end, left, kind, piece, label)

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _gre(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t, left: cython.uint, depth: cython.int) -> cython.int:
        """GRE, RFC 2784 and 2890, with PPTP's version 1 and ERSPAN's headers."""
        flags: cython.uint
        kind: cython.uint
        inside: cython.uint
        width: cython.uint = 4
        if at + 4 > end:
            self.short += 1
            return 0
        flags = self._u16(at)
        kind = self._u16(at + 2)
        width += 4 if flags & 0xC000 else 0
        width += 4 if flags & 0x2000 else 0
        width += 4 if flags & 0x1000 else 0
        width += 4 if flags & 0x0087 == 0x0081 else 0
        if kind == 0x880B:
            width += 4 if at + width + 1 < end and self.buf[at + width] == 0xFF else 2
            inside = self.buf[at + width - 1] if at + width <= end else 0
            kind = 0x0800 if inside == 0x21 else 0x86DD if inside == 0x57 else 0
        elif kind == 0x88BE:
            width += 8 if flags & 0x1000 else 0
            kind = 0x6558
        elif kind == 0x22EB:
            width += 12
            if at + width <= end and self.buf[at + width - 1] & 1:  # the platform's own subheader
                width += 8
            kind = 0x6558
        if width > left or at + width > end:
            self.short += 1
            return 0
        if kind == 0x6558:
            if depth <= 0:
                self.deep += 1
                return 0
            return self._ethernet(at + width, end, left - width, depth - 1)
        return self._ethertype(kind, at + width, end, left - width, depth - 1)

    @cython.cfunc
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=True)
    def _transport(
        self,
        protocol: cython.uint,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        left: cython.uint,
        kind: cython.uint,
        piece: cython.uint,
        label: cython.ulonglong,
    ) -> cython.int:
        """Find ports, flags and payload; find the row; count; show the payload to its parser."""
        ports: cython.ulonglong = 0
        flags: cython.uint = 0
        header: cython.uint = 0
        row: cython.Py_ssize_t
        side: cython.ulonglong
        sequence: cython.ulonglong = 0
        numbered: cython.bint = False
        head: cython.p_uchar
        if piece & 0x1FFF:
            ports = self._piece_ports(protocol, label)
            self.orphans += 1 if ports == 0 and protocol in {1, 6, 17, 58, 132} else 0
        elif protocol in {6, 17, 132}:
            if at + 4 > end:
                self.short += 1
                return 0
            if protocol == TCP and at + 14 <= end:
                if cython.compiled:
                    self._check(at, 14)
                    head = cython.address(self.buf[at])
                    ports = _big32(head)
                    sequence = _big32(head + 4)
                    header = head[12]
                    flags = head[13]
                else:
                    ports, sequence, header, flags = _TCP_HEADER(self.buf, at)
                header = max((header >> 4) * 4, 20)
                numbered = True
            else:
                ports = self._u32(at)
                header = 8 if protocol == UDP else 20 if protocol == TCP else 12
        elif protocol in {1, 58}:
            if at + 2 > end:
                self.short += 1
                return 0
            header = 8
            ports = self._icmp_ports(protocol, self._u16(at))
        header = min(header, left)
        if piece == 0x2000:  # the first of several fragments: the others have no ports of their own
            self._keep_ports(protocol, label, ports)
        row = self._row(((ports >> 16) << 32) | ((ports & 0xFFFF) << 16) | (protocol << 8) | kind, flags, protocol)
        side = self.swapped ^ self.table[row + FLIPPED]
        self._count(row, side, flags, left - header)
        if numbered:
            self._sequence(row, side, sequence, left - header, flags)
        if left > header and self.table[row + LOOK] != 0 and piece & 0x1FFF == 0:
            at += header
            if at < end:
                self._show(row, side, at, end, left - header, sequence, protocol)
            elif protocol == TCP and self.table[row + LOOK] == ACTIVE:
                self.table[row + 2 * side + WANTED] = 0
        return 0

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def _icmp_ports(self, protocol: cython.uint, both: cython.uint) -> cython.ulonglong:
        """Type and code in the place of ports; a request and its reply make one flow, as in Zeek."""
        kind: cython.uint = both >> 8
        other: cython.uint = both & 0xFF
        first: cython.ulonglong = kind
        if protocol == 1:
            if kind == 8:
                other = 0
            elif kind == 0:
                other = 8
            elif kind in {13, 15, 17}:
                other = kind + 1
            elif kind in {14, 16, 18}:
                other = kind - 1
        elif kind in {128, 133, 135}:
            other = kind + 1
        elif kind in {129, 134, 136}:
            other = kind - 1
        return (first << 16) | other

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def _piece_key(self, protocol: cython.uint, label: cython.ulonglong) -> cython.ulonglong:
        value: cython.ulonglong = _mix(self.seed ^ self.a_lo ^ (self.a_hi >> 32))
        value = _mix(value ^ self.b_lo ^ (self.a_lo >> 32))
        value = _mix(value ^ self.a_hi ^ (self.b_hi >> 32))
        value = _mix(value ^ self.b_hi ^ (self.b_lo >> 32))
        return _mix(_mix(value ^ label) ^ protocol)

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _keep_ports(self, protocol: cython.uint, label: cython.ulonglong, ports: cython.ulonglong) -> cython.int:
        key: cython.ulonglong = self._piece_key(protocol, label)
        slot: cython.Py_ssize_t = ((key >> 8) % FRAGMENTS) * 12
        at: cython.Py_ssize_t
        for at in range(slot, slot + 12, 3):  # its own place, or else that of the oldest of four
            if self.pieces[at] == key:
                slot = at
                break
            if self.pieces[at + 2] < self.pieces[slot + 2]:
                slot = at
        self.pieces[slot] = key
        self.pieces[slot + 1] = ports
        self.pieces[slot + 2] = self.when
        return 0

    @cython.cfunc
    @cython.exceptval(0, check=True)
    def _piece_ports(self, protocol: cython.uint, label: cython.ulonglong) -> cython.ulonglong:
        key: cython.ulonglong = self._piece_key(protocol, label)
        slot: cython.Py_ssize_t = ((key >> 8) % FRAGMENTS) * 12
        at: cython.Py_ssize_t
        for at in range(slot, slot + 12, 3):
            if self.pieces[at] == key and self.when < self.pieces[at + 2] + 30 * SECOND:
                return self.pieces[at + 1]
        return 0

    @cython.cfunc
    @cython.inline
    @cython.exceptval(-1, check=True)
    def _bucket(
        self,
        a_hi: cython.ulonglong,
        a_lo: cython.ulonglong,
        b_hi: cython.ulonglong,
        b_lo: cython.ulonglong,
        meta: cython.ulonglong,
    ) -> cython.Py_ssize_t:
        """A seeded hash of the key; the order of a chain never shows in the records."""
        hash_: cython.ulonglong
        if not cython.compiled:
            return hash((self.seed, a_hi, a_lo, b_hi, b_lo, meta)) & self.mask
        hash_ = _mix(self.seed ^ a_lo)
        hash_ = _mix(hash_ ^ b_lo)
        if a_hi | b_hi:
            hash_ = _mix(hash_ ^ (a_lo >> 32))
            hash_ = _mix(hash_ ^ (b_lo >> 32))
            hash_ = _mix(hash_ ^ (a_hi >> 32))
            hash_ = _mix(hash_ ^ (b_hi >> 32))
            hash_ = _mix(hash_ ^ a_hi)
            hash_ = _mix(hash_ ^ b_hi)
        hash_ = _mix(hash_ ^ (meta >> 32))
        hash_ = _mix(hash_ ^ meta)
        return hash_ & self.mask

    @cython.cfunc
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=True)
    def _row(self, meta: cython.ulonglong, flags: cython.ulonglong, protocol: cython.uint) -> cython.Py_ssize_t:
        """The row of the current addresses and these ports, made where there is none."""
        swapped: cython.bint = False
        row: cython.Py_ssize_t
        bucket: cython.Py_ssize_t
        a_hi: cython.ulonglong = self.a_hi
        a_lo: cython.ulonglong = self.a_lo
        b_hi: cython.ulonglong = self.b_hi
        b_lo: cython.ulonglong = self.b_lo
        if meta & 0xFF != 1 and (
            a_hi > b_hi or (a_hi == b_hi and (a_lo > b_lo or (a_lo == b_lo and (meta >> 32) > ((meta >> 16) & 0xFFFF))))
        ):
            swapped = True
            a_hi, a_lo, b_hi, b_lo = b_hi, b_lo, a_hi, a_lo
            meta = (((meta >> 16) & 0xFFFF) << 32) | ((meta >> 32) << 16) | (meta & 0xFFFF)
        self.swapped = swapped
        bucket = self._bucket(a_hi, a_lo, b_hi, b_lo, meta)  # masked by the number of heads
        row = self.heads[bucket]
        while row != 0:
            row *= ROW
            if cython.compiled:
                self._fits(row)
            if (
                self.table[row + A_LO] == a_lo
                and self.table[row + B_LO] == b_lo
                and self.table[row + META] == meta
                and self.table[row + A_HI] == a_hi
                and self.table[row + B_HI] == b_hi
            ):
                if protocol == TCP and flags & SYN and not flags & ACK and self._over(row):
                    self._emit(row, CLOSED)  # the ports are used again
                    self._remove(row)
                    break
                return row
            row = self.table[row + CHAIN]
        return self._open(bucket, a_hi, a_lo, b_hi, b_lo, meta, swapped, flags, protocol)

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _open(
        self,
        bucket: cython.Py_ssize_t,
        a_hi: cython.ulonglong,
        a_lo: cython.ulonglong,
        b_hi: cython.ulonglong,
        b_lo: cython.ulonglong,
        meta: cython.ulonglong,
        swapped: cython.bint,
        flags: cython.ulonglong,
        protocol: cython.uint,
    ) -> cython.Py_ssize_t:
        index: cython.Py_ssize_t
        row: cython.Py_ssize_t
        column: cython.Py_ssize_t
        mine: cython.ulonglong
        theirs: cython.ulonglong
        backwards: cython.bint = False
        if not self.free and self.used >= self.rows:
            self._evict()
        if self.free:
            index = self.free.pop()
        else:
            index = self.used + 1
            self.top = index
            self.parsers.append(None)
            self.ends.append(None)
            if not cython.compiled:
                self.table.extend([0] * 64)
        self.used += 1
        self.flows += 1
        self.number += 1
        row = index * ROW
        for column in range(ROW):
            self.table[row + column] = 0
        mine = (meta >> 16) & 0xFFFF if swapped else meta >> 32
        theirs = meta >> 32 if swapped else (meta >> 16) & 0xFFFF
        if protocol == TCP and flags & SYN:
            backwards = flags & ACK != 0
        elif protocol in {6, 17}:
            backwards = mine < 1024 <= theirs  # met in the middle: the server answers from a well-known port
        self.table[row + A_HI] = a_hi
        self.table[row + A_LO] = a_lo
        self.table[row + B_HI] = b_hi
        self.table[row + B_LO] = b_lo
        self.table[row + META] = meta
        self.table[row + BUCKET] = bucket
        self.table[row + CHAIN] = self.heads[bucket]
        self.heads[bucket] = index
        self.table[row + FLIPPED] = 1 if swapped != backwards else 0
        self.table[row + BEGIN] = self.table[row + START] = self.table[row + LAST] = self.when
        self.table[row + NUMBER] = self.number
        self.table[row + VLAN] = self.vlan
        if self.frame >= 0:
            self.table[row + MAC] = self._u48(self.frame if backwards else self.frame + 6)
            self.table[row + MAC + 1] = self._u48(self.frame + 6 if backwards else self.frame)
        if meta & 0xFF == 1:
            self.table[row + MAC] = a_hi  # what the packet claims, whoever sent it
        self.table[row + LOOK] = LOOKS if meta & 0xFF != 1 else 0
        self._schedule(row, self.when + (10 if protocol == TCP else 5) * SECOND)
        return row

    @cython.cfunc
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=True)
    def _count(
        self, row: cython.Py_ssize_t, side: cython.ulonglong, flags: cython.ulonglong, payload: cython.ulonglong
    ) -> cython.int:
        """Add one packet to its direction, 0 or 1, of a row that `_row` found within bounds."""
        base: cython.Py_ssize_t = row + SIDE + side * WIDTH
        size: cython.ulonglong = self.size
        when: cython.ulonglong = self.when
        gap: cython.ulonglong
        packets: cython.ulonglong = self.table[base + PACKETS]
        self.table[base + PACKETS] = packets + 1
        self.table[base + BYTES] += size
        self.table[base + SQUARES] += size * size
        if packets == 0:
            self.table[base + SMALLEST] = self.table[base + LARGEST] = size
        else:
            if size < self.table[base + SMALLEST]:
                self.table[base + SMALLEST] = size
            if size > self.table[base + LARGEST]:
                self.table[base + LARGEST] = size
            gap = when - self.table[base + SEEN] if when > self.table[base + SEEN] else 0
            if packets == 1 or gap < self.table[base + GAP_MIN]:
                self.table[base + GAP_MIN] = gap
            if gap > self.table[base + GAP_MAX]:
                self.table[base + GAP_MAX] = gap
            self.table[base + GAP_SUM] += gap
            self.table[base + GAP_SQUARES] += gap * gap
        self.table[base + SEEN] = when
        if flags:
            self.table[base + FLAGS] |= flags
            self.table[base + EVER] |= flags
            if flags & RST and self.table[row + RESET] == 0:
                self.table[row + RESET] = side + 1
        if payload:
            self.table[base + PAYLOAD] += payload
            if self.table[row + FIRST] == 0:
                self.table[row + FIRST] = when
        if self.table[row + START] == 0:  # a fresh record begins now, even where the clock was set back since the last one
            self.table[row + START] = self.table[row + LAST] = when
        elif when > self.table[row + LAST]:
            self.table[row + LAST] = when
        if flags & (FIN | RST) and self._over(row):
            self._unschedule(row)
            self._schedule(row, self.table[row + LAST] + 2 * SECOND)
        return 0

    @cython.cfunc
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=True)
    def _sequence(
        self,
        row: cython.Py_ssize_t,
        side: cython.ulonglong,
        sequence: cython.ulonglong,
        payload: cython.ulonglong,
        flags: cython.ulonglong,
    ) -> cython.int:
        """Tell a retransmission: bytes below the highest sequence number seen (a keep-alive's one byte apart)."""
        base: cython.Py_ssize_t = row + SIDE + side * WIDTH
        length: cython.ulonglong = payload + (1 if flags & (SYN | FIN) else 0)
        ahead: cython.ulonglong
        if length == 0:
            return 0
        if self.table[base + NEXT] != 0:
            ahead = (sequence - self.table[base + NEXT]) & M32
            if ahead >= HALF:
                if payload != 0 and not (payload == 1 and ahead == M32):
                    self.table[base + AGAIN] += 1
                if ((sequence + length - self.table[base + NEXT]) & M32) >= HALF:
                    return 0
        self.table[base + NEXT] = ((sequence + length) & M32) | ONE32
        return 0

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _show(
        self,
        row: cython.Py_ssize_t,
        side: cython.ulonglong,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        length: cython.ulonglong,
        sequence: cython.ulonglong,
        protocol: cython.uint,
    ) -> cython.int:
        """Give the payload to the flow's parser, in stream order, or ask whose it is."""
        base: cython.Py_ssize_t = row + 2 * side
        ahead: cython.ulonglong
        skip: cython.ulonglong
        parser: Parser | None
        if self.table[row + LOOK] != ACTIVE and not self._recognise(row, side, at, end, protocol):
            return 0
        parser = self.parsers[row // ROW]
        if parser is None:
            return 0
        if protocol == TCP:
            skip = self.table[base + SKIP]
            if self.table[base + WANTED] != 0:
                ahead = (sequence - self.table[base + WANTED]) & M32
                if ahead >= HALF:
                    ahead = (ONE32 - ahead) & M32
                    if ahead >= length:
                        return 0
                    at += ahead
                    length -= ahead
                    sequence += ahead
                elif ahead != 0:
                    if skip >= ahead:
                        skip -= ahead
                    else:
                        skip = 0
                        parser.gap(side)
            self.table[base + WANTED] = ((sequence + length) & M32) | ONE32
            if skip >= length:
                self.table[base + SKIP] = skip - length
                return 0
            self.table[base + SKIP] = 0
            at += skip
            length -= skip
            if at >= end:
                parser.gap(side)
                return 0
        return self._parse(row, base, side, parser, self._bytes(at, end), length)

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _parse(
        self,
        row: cython.Py_ssize_t,
        base: cython.Py_ssize_t,
        side: cython.ulonglong,
        parser: Parser,
        payload: bytes,
        length: cython.ulonglong,
    ) -> cython.int:
        skip: cython.longlong
        try:
            skip = parser.data(side, payload, length, self.when)
        except ValueError:
            skip = -1
            self.gave_up += 1
        if parser.fresh:
            self._tell(row, parser.fresh)
            parser.fresh = []
        if skip < 0:
            if skip == FOREIGN:
                self.gave_up += 1
            self.table[row + LOOK] = 0
        else:
            self.table[base + SKIP] = skip
        return 0

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _recognise(
        self,
        row: cython.Py_ssize_t,
        side: cython.ulonglong,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        protocol: cython.uint,
    ) -> cython.bint:
        """Ask the protocols whose payload this is; the first few payloads of a minute are shown."""
        meta: cython.ulonglong = self.table[row + META]
        left: cython.ulonglong = self.table[row + LOOK] - 1
        mine: cython.ulonglong
        theirs: cython.ulonglong
        self.table[row + LOOK] = left
        if protocol not in {6, 17}:
            self.table[row + LOOK] = 0
            return False
        if self.parsing >= self.max_parsers:
            self.unparsed += 1
            self.table[row + LOOK] = 0
            return False
        mine = meta >> 32
        theirs = (meta >> 16) & 0xFFFF
        if side ^ self.table[row + FLIPPED]:
            mine, theirs = theirs, mine
        parser = self.identify("tcp" if protocol == TCP else "udp", self._bytes(at, end), mine, theirs)
        if parser is None:
            return False
        self.parsers[row // ROW] = parser
        self.parsing += 1
        self.table[row + LOOK] = ACTIVE
        return True

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _tell(self, row: cython.Py_ssize_t, facts: list[Fact]) -> cython.int:
        ends: Ends = self._ends(row)
        if len(self.out) >= 2 * self.room:
            self.untold += len(facts)
            return 0
        for fact in facts:
            self.out.append((ends, fact))
        return 0

    @cython.cfunc
    def _ends(self, row: cython.Py_ssize_t) -> Ends:
        """The flow's identity, made once a flow."""
        ends: Ends | None = self.ends[row // ROW]
        if ends is None:
            ends = self._make_ends(row)
            self.ends[row // ROW] = ends
        return ends

    @cython.cfunc
    def _make_ends(self, row: cython.Py_ssize_t) -> Ends:
        ends: Ends
        meta: cython.ulonglong = self.table[row + META]
        kind: cython.ulonglong = meta & 0xFF
        a: cython.Py_ssize_t = A_HI
        b: cython.Py_ssize_t = B_HI
        mine: cython.ulonglong = meta >> 32
        theirs: cython.ulonglong = (meta >> 16) & 0xFFFF
        if self.table[row + FLIPPED]:
            a, b = b, a
            mine, theirs = theirs, mine
        if kind == 1:
            mine = theirs = 0
        ends = Ends.__new__(Ends)
        ends.number = self.table[row + NUMBER]
        ends.kind = kind
        ends.protocol = (meta >> 8) & 0xFF
        ends.source_hi = 0 if kind == 1 else self.table[row + a]
        ends.source_lo = self.table[row + a + 1]
        ends.destination_hi = self.table[row + b]
        ends.destination_lo = self.table[row + b + 1]
        ends.source_port = mine
        ends.destination_port = theirs
        ends.vlan = self.table[row + VLAN]
        ends.source_mac = self.table[row + MAC]
        ends.destination_mac = self.table[row + MAC + 1]
        ends.private = None
        return ends

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _emit(self, row: cython.Py_ssize_t, reason: cython.int) -> cython.int:
        """Put out the record so far, and what its parser counted."""
        base: cython.Py_ssize_t = row + SIDE
        parser: Parser | None = self.parsers[row // ROW]
        record: FlowRecord
        if parser is not None:
            if parser.overflow:
                self.overflow += parser.overflow
                parser.overflow = 0
            repeats = parser.cut()
            if repeats:
                self._tell(row, repeats)
        if self.table[base + PACKETS] == 0 and self.table[base + WIDTH + PACKETS] == 0:
            return 0
        if len(self.out) >= self.room:
            self.untold += 1
            return 0
        record = FlowRecord.__new__(FlowRecord)  # filled in place: its call with fourteen arguments costs more than the rest
        record.ends = self._ends(row)
        record.reason = REASONS[reason]
        record.protocol = "" if parser is None else parser.name
        record.part = self.table[row + PART]
        record.begin = self.table[row + BEGIN]
        record.start = self.table[row + START]
        record.last = self.table[row + LAST]
        record.first = self.table[row + FIRST]
        record.state = self._state(row) if (self.table[row + META] >> 8) & 0xFF == TCP else ""
        record.source = self._side(base)
        record.destination = self._side(base + WIDTH)
        record.requests = self.table[row + ARP]
        record.replies = self.table[row + ARP + 1]
        record.gratuitous = self.table[row + ARP + 2]
        self.out.append(record)
        return 0

    @cython.cfunc
    def _side(self, base: cython.Py_ssize_t) -> tuple[int, ...]:
        if self.table[base + PACKETS] == 0:
            return SILENT
        return (
            self.table[base + PACKETS],
            self.table[base + BYTES],
            self.table[base + PAYLOAD],
            self.table[base + FLAGS],
            self.table[base + AGAIN],
            self.table[base + SMALLEST],
            self.table[base + LARGEST],
            self.table[base + SQUARES] & M64,
            self.table[base + GAP_MIN],
            self.table[base + GAP_MAX],
            self.table[base + GAP_SUM],
            self.table[base + GAP_SQUARES] & M64,  # absurd times overflow, in either form alike
        )

    @cython.cfunc
    def _state(self, row: cython.Py_ssize_t) -> str:
        """Zeek's conn_state of the flow so far."""
        ours: cython.ulonglong = self.table[row + SIDE + EVER]
        answer: cython.ulonglong = self.table[row + SIDE + WIDTH + EVER]
        opened: cython.bint = ours & SYN != 0
        accepted: cython.bint = answer & SYN != 0
        if self.table[row + RESET] == 1:
            return ("RSTO" if accepted else "RSTOS0") if opened else "OTH"
        if self.table[row + RESET] == 2:
            return ("RSTR" if accepted else "REJ") if opened else ("RSTRH" if accepted else "OTH")
        if opened and accepted:
            if ours & FIN and answer & FIN:
                return "SF"
            return "S2" if ours & FIN else "S3" if answer & FIN else "S1"
        if opened:
            return "SH" if ours & FIN else "S0"
        return ("SHR" if answer & FIN else "OTH") if accepted else "OTH"

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _over(self, row: cython.Py_ssize_t) -> cython.bint:
        """Both ends have closed, or one has reset."""
        return (
            self.table[row + RESET] != 0
            or (self.table[row + SIDE + EVER] & self.table[row + SIDE + WIDTH + EVER] & FIN) != 0
        )

    @cython.cfunc
    @cython.exceptval(0, check=True)
    def _patience(self, row: cython.Py_ssize_t) -> cython.ulonglong:
        """How long the flow may be silent, µs: a little after its end, five minutes once it is established."""
        protocol: cython.ulonglong = (self.table[row + META] >> 8) & 0xFF
        if protocol == TCP:
            if self._over(row):
                return 2 * SECOND
            if self.table[row + SIDE + PACKETS] != 0 and self.table[row + SIDE + WIDTH + PACKETS] != 0:
                return 5 * MINUTE
            if self.table[row + PART] != 0 or self.table[row + FIRST] != 0:
                return MINUTE
            return 10 * SECOND
        if protocol == UDP:
            return (
                5 * SECOND if self.table[row + LOOK] == ACTIVE and self.table[row + SIDE + WIDTH + PACKETS] else 30 * SECOND
            )
        return 10 * SECOND

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _advance(self, second: cython.ulonglong) -> cython.int:
        """Visit the slots of the seconds that have passed."""
        turns: cython.ulonglong
        now: cython.ulonglong
        if second < self.second:
            if self.second - second > 60:  # the clock was set back: go on from the new time, with every flow
                self.steps += 1
                self.second = second
                for now in range(SLOTS):
                    self._visit(now, second * SECOND)
            return 0
        turns = second - self.second
        if turns > SLOTS:
            turns = SLOTS
        now = second - turns
        while now < second:
            now += 1
            self._visit(now % SLOTS, second * SECOND)
        self.second = second
        return 0

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _visit(self, slot: cython.ulonglong, now: cython.ulonglong) -> cython.int:
        row: cython.Py_ssize_t = self.wheel[slot]
        later: cython.Py_ssize_t
        self.wheel[slot] = 0
        while row != 0:
            row *= ROW
            later = self.table[row + LATER]
            self.table[row + SLOT] = SLOTS  # in no slot
            self._due(row, now)
            row = later
        return 0

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _due(self, row: cython.Py_ssize_t, now: cython.ulonglong) -> cython.int:
        """End the flow if it has been silent too long, cut its record if it is a minute old, and look again later."""
        deadline: cython.ulonglong
        if self.table[row + LAST] > now + MINUTE:  # the clock was set back since: what was begun before is over
            if self.table[row + START] != 0:
                self._emit(row, CUT)
                self._renew(row)
            self.table[row + LAST] = now
        deadline = self.table[row + LAST] + self._patience(row)
        if len(self.out) >= self.room and (deadline <= now or self.table[row + START] != 0):
            self._schedule(row, now + SECOND)
            return 0
        if deadline <= now:
            self._emit(row, CLOSED if (self.table[row + META] >> 8) & 0xFF == TCP and self._over(row) else IDLE)
            self._remove(row)
            return 0
        if self.table[row + START] != 0:
            if self.table[row + START] + MINUTE <= now:
                self._emit(row, CUT)
                self._renew(row)
                deadline = min(deadline, now + MINUTE)
            else:
                deadline = min(deadline, self.table[row + START] + MINUTE)
        else:
            deadline = min(deadline, now + MINUTE)
        self._schedule(row, deadline)
        return 0

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _renew(self, row: cython.Py_ssize_t) -> cython.int:
        """A fresh record for the same flow: counters go, sequence numbers and the flow's life stay."""
        side: cython.Py_ssize_t
        column: cython.Py_ssize_t
        for side in range(2):
            for column in range(12):
                self.table[row + SIDE + side * WIDTH + column] = 0
            self.table[row + SIDE + side * WIDTH + AGAIN] = 0
        self.table[row + ARP] = self.table[row + ARP + 1] = self.table[row + ARP + 2] = 0
        self.table[row + PART] += 1
        self.table[row + START] = 0
        if self.table[row + LOOK] != ACTIVE and self.parsers[row // ROW] is None:
            self.table[row + LOOK] = LOOKS
        return 0

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _schedule(self, row: cython.Py_ssize_t, deadline: cython.ulonglong) -> cython.int:
        second: cython.ulonglong = deadline // SECOND + 1
        slot: cython.ulonglong
        head: cython.Py_ssize_t
        if second <= self.second:
            second = self.second + 1
        elif second >= self.second + SLOTS:
            second = self.second + SLOTS - 1
        slot = second % SLOTS
        head = self.wheel[slot]
        self.table[row + SLOT] = slot
        self.table[row + LATER] = head
        self.table[row + EARLIER] = 0
        if head != 0:
            self.table[head * ROW + EARLIER] = row // ROW
        self.wheel[slot] = row // ROW
        return 0

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _unschedule(self, row: cython.Py_ssize_t) -> cython.int:
        earlier: cython.Py_ssize_t = self.table[row + EARLIER]
        later: cython.Py_ssize_t = self.table[row + LATER]
        if self.table[row + SLOT] >= SLOTS:
            return 0
        if earlier != 0:
            self.table[earlier * ROW + LATER] = later
        else:
            self.wheel[self.table[row + SLOT]] = later
        if later != 0:
            self.table[later * ROW + EARLIER] = earlier
        self.table[row + SLOT] = SLOTS
        return 0

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _remove(self, row: cython.Py_ssize_t) -> cython.int:
        """Take the row out of its chain and its slot, and free it."""
        index: cython.Py_ssize_t = row // ROW
        bucket: cython.Py_ssize_t = self.table[row + BUCKET]
        walk: cython.Py_ssize_t = self.heads[bucket]
        if walk == index:
            self.heads[bucket] = self.table[row + CHAIN]
        else:
            while self.table[walk * ROW + CHAIN] != index:
                walk = self.table[walk * ROW + CHAIN]
            self.table[walk * ROW + CHAIN] = self.table[row + CHAIN]
        self._unschedule(row)
        self.table[row + META] = 0
        if self.parsers[index] is not None:
            self.parsing -= 1
            self.parsers[index] = None
        self.ends[index] = None
        self.used -= 1
        self.free.append(index)
        return 0

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _evict(self) -> cython.int:
        """The table is full: put out the sixteenth of it that has been silent longest."""
        index: cython.Py_ssize_t
        row: cython.Py_ssize_t
        some: cython.Py_ssize_t = max(1, self.rows // 16)
        since: cython.ulonglong
        silent: list[tuple[int, int, int]] = []
        for index in range(self.rows):
            self.quiet[index] = self.table[(index + 1) * ROW + LAST]
        since = self._quietest(some)
        for index in range(self.rows):
            if self.quiet[index] <= since:
                row = (index + 1) * ROW
                silent.append((self.quiet[index], self.table[row + NUMBER], row))
        silent.sort()
        for _, _, at in silent[:some]:
            self._emit(at, EVICTED)
            self._remove(at)
            self.evicted += 1
        return 0

    @cython.cfunc
    @cython.boundscheck(False)
    @cython.exceptval(0, check=True)
    def _quietest(self, some: cython.Py_ssize_t) -> cython.ulonglong:
        """The `some`th smallest time of `quiet`, by halving: to sort all rows would take longer than the flood leaves."""
        low: cython.ulonglong = 0
        high: cython.ulonglong = M64 >> 1
        middle: cython.ulonglong
        found: cython.Py_ssize_t
        index: cython.Py_ssize_t
        if not cython.compiled:
            return sorted(self.quiet)[some - 1]
        while low < high:
            middle = low + (high - low) // 2
            found = 0
            for index in range(self.rows):
                found += self.quiet[index] <= middle
            if found >= some:
                high = middle
            else:
                low = middle + 1
        return low
