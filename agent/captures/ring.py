"""One packet socket with its TPACKET_V3 ring, read where the kernel writes (packet(7), packet_mmap.rst)."""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from agent.captures.bpf import Program
    from agent.meter import Meter

SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP, PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION = 1, 5, 6, 10
PACKET_FANOUT, PACKET_IGNORE_OUTGOING = 18, 23
PACKET_MR_PROMISC = 1
FANOUT = {"hash": 0, "cpu": 2, "queue": 5}
"""PACKET_FANOUT_HASH, _CPU and _QM."""
TPACKET_V3 = 2
ETH_P_ALL = 3
STATUS_USER = 1
BLOCK = 1 << 18
FRAME = 2048
"""Divides the block and means nothing else to TPACKET_V3, whose packets lie one behind the other."""
RETIRE_MS = 50
"""A block that is not full is handed over after this long."""
LINK_ETHERNET, LINK_IP = 1, 2
"""The meter's names for what packets begin with."""

_STATUS = struct.Struct("I")


class Totals(NamedTuple):
    """What the kernel counted since it was last asked."""

    packets: int = 0
    """Those that passed the filter, the dropped ones among them."""
    dropped: int = 0
    freezes: int = 0
    """How often the ring was found full."""


class Ring:
    """The socket is deaf until `listen`, so that no packet comes in past the filter."""

    def __init__(self, size: int, program: Program, *, cooked: bool) -> None:
        """Raises OSError. cooked: packets begin with the network header, whatever their link."""
        self.blocks = max(4, size // BLOCK)
        self._link = LINK_IP if cooked else LINK_ETHERNET
        self._next = 0
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM if cooked else socket.SOCK_RAW, 0)
        try:
            self._socket.setsockopt(SOL_PACKET, PACKET_VERSION, struct.pack("I", TPACKET_V3))
            ring = struct.pack("7I", BLOCK, self.blocks, FRAME, self.blocks * (BLOCK // FRAME), RETIRE_MS, 0, 0)
            self._socket.setsockopt(SOL_PACKET, PACKET_RX_RING, ring)
            program.attach(self._socket)
            access = mmap.PROT_READ | mmap.PROT_WRITE
            self._memory = mmap.mmap(self._socket.fileno(), BLOCK * self.blocks, mmap.MAP_SHARED, access)
        except OSError:
            self._socket.close()
            raise

    def listen(self, name: str, *, incoming_only: bool = False) -> None:
        """Begin, on the interface of this name, or on all where it is empty. Raises OSError."""
        if incoming_only:
            self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        if name:
            self._socket.bind((name, ETH_P_ALL))
        else:
            _bind_to_all(self._socket)

    def take_in_all(self, index: int) -> None:
        """Set the interface to promiscuous mode for as long as the ring is open. Raises OSError."""
        request = struct.pack("iHH8x", index, PACKET_MR_PROMISC, 0)
        self._socket.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, request)

    def join(self, group: int, kind: str) -> None:
        """Share packets with the other rings of the group, which must listen on the same interface. Raises OSError."""
        self._socket.setsockopt(SOL_PACKET, PACKET_FANOUT, group | FANOUT[kind] << 16)

    def filter(self, program: Program) -> None:
        """Change the filter under way; no packet is lost by it. Raises OSError."""
        program.attach(self._socket)

    def fileno(self) -> int:
        """For whoever waits."""
        return self._socket.fileno()

    def holds(self, share: float) -> bool:
        """Whether the kernel has handed over this share of the blocks; one look, for it does so in order."""
        last = max(1, int(self.blocks * share)) - 1
        return bool(_STATUS.unpack_from(self._memory, (self._next + last) % self.blocks * BLOCK + 8)[0] & STATUS_USER)

    def ready(self) -> int:
        """How many blocks the kernel has handed over."""
        count = 0
        at = self._next * BLOCK + 8
        while count < self.blocks and _STATUS.unpack_from(self._memory, at)[0] & STATUS_USER:
            count += 1
            at = (self._next + count) % self.blocks * BLOCK + 8
        return count

    def feed(self, meter: Meter, count: int) -> int:
        """Meter so many ready blocks and give them back; returns the number of packets."""
        packets = 0
        meter.use(self._memory)
        for _ in range(count):
            start = self._next * BLOCK
            packets += meter.feed_block(start, start + BLOCK, self._link)
            _STATUS.pack_into(self._memory, start + 8, 0)
            self._next = (self._next + 1) % self.blocks
        return packets

    def totals(self) -> Totals:
        """Ask the kernel, which then counts from 0."""
        return Totals(*struct.unpack("III", self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12)))

    def error(self) -> int:
        """What befell the socket since it was last asked, as an errno; ENETDOWN where its interface went down."""
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def close(self) -> None:
        """Stop; where the meter still holds the memory, once it reads from elsewhere."""
        self._socket.close()
        with suppress(BufferError):
            self._memory.close()


def _bind_to_all(listening: socket.socket) -> None:
    """Interface 0, which Python's own bind does not take."""
    address = struct.pack("HHiHBB8x", socket.AF_PACKET, socket.htons(ETH_P_ALL), 0, 0, 0, 0)
    if ctypes.CDLL(None, use_errno=True).bind(listening.fileno(), address, len(address)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
