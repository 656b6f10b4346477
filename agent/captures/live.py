"""Live packets from an interface: AF_PACKET with a TPACKET_V3 ring, read where the kernel writes (packet(7)).

Needs CAP_NET_RAW and nothing else. The kernel cuts each packet to the snap length before it is copied.
"""

from __future__ import annotations

import ctypes
import mmap
import select
import socket
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nigrani.service.errors import Problem

if TYPE_CHECKING:
    from agent.meter import Meter

SOL_PACKET = 263
PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION, PACKET_IGNORE_OUTGOING = 5, 6, 10, 23
TPACKET_V3 = 2
SO_ATTACH_FILTER = 26
ETH_P_ALL = 3
STATUS_USER = 1
BLOCK = 1 << 18
RETIRE_MS = 50
"""A block that is not full is handed over after this long."""
LOOPBACK = 772
RAW_IP = frozenset({65_534, 768, 769, 776, 778})
"""ARPHRD of tunnels without a link header."""


class LiveCapture:
    """One interface."""

    def __init__(self, interface: str, ring_bytes: int = 16 << 20, snap: int = 256) -> None:
        """Open the interface. Raises Problem where it is not there or may not be watched."""
        if sys.byteorder != "little":
            raise Problem("live capture reads the kernel's ring on little-endian machines only")
        self.interface = interface
        self.dropped = 0
        """Packets that the kernel could not put into the ring."""
        kind = Path("/sys/class/net", interface, "type")
        try:
            arphrd = int(kind.read_text())
        except (OSError, ValueError):
            raise Problem(f"interface {interface}: there is none of that name") from None
        self._link = 2 if arphrd in RAW_IP else 1
        self._blocks = max(2, ring_bytes // BLOCK)
        self._next = 0
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError:
            raise Problem(f"interface {interface}: watching it needs CAP_NET_RAW (or root)") from None
        try:
            self._open(snap, outgoing=arphrd != LOOPBACK)
        except OSError as error:
            self._socket.close()
            raise Problem(f"interface {interface}: {error.strerror or error}") from None

    def _open(self, snap: int, *, outgoing: bool) -> None:
        version = struct.pack("I", TPACKET_V3)
        self._socket.setsockopt(SOL_PACKET, PACKET_VERSION, version)
        frames = self._blocks * (BLOCK // 2048)
        ring = struct.pack("7I", BLOCK, self._blocks, 2048, frames, RETIRE_MS, 0, 0)
        self._socket.setsockopt(SOL_PACKET, PACKET_RX_RING, ring)
        if not outgoing:  # on loopback every packet goes out and comes in
            self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        code = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, snap))  # BPF: ret #snap
        program = struct.pack("HxxxxxxP", 1, ctypes.addressof(code))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        access = mmap.PROT_READ | mmap.PROT_WRITE
        self._ring = mmap.mmap(self._socket.fileno(), BLOCK * self._blocks, mmap.MAP_SHARED, access)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN | select.POLLERR)
        self._socket.bind((self.interface, ETH_P_ALL))

    def read(self, meter: Meter, timeout: float) -> int:
        """Meter the blocks that are ready, waiting up to `timeout` seconds for one; returns the number of packets."""
        count = self._ready(meter)
        if not count and self._poll.poll(int(timeout * 1000)):
            count = self._ready(meter)
        return count

    def _ready(self, meter: Meter) -> int:
        meter.use(self._ring)
        count = 0
        for _ in range(self._blocks):
            start = self._next * BLOCK
            if not struct.unpack_from("I", self._ring, start + 8)[0] & STATUS_USER:
                break
            count += meter.feed_block(start, start + BLOCK, self._link)
            struct.pack_into("I", self._ring, start + 8, 0)
            self._next = (self._next + 1) % self._blocks
        return count

    def statistics(self) -> tuple[int, int]:
        """(packets seen, packets dropped) by the kernel since the last call."""
        packets, drops, _ = struct.unpack("III", self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12))
        self.dropped += drops
        return packets, drops

    def close(self) -> None:
        """Stop watching."""
        self._socket.close()
