"""Classic pcap files, microsecond or nanosecond, in either byte order (libpcap's savefile format)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from agent.capture import CHUNK, MAX_RECORD

if TYPE_CHECKING:
    from agent.meter import Meter

DAY = 86_400


class PcapFile:
    """One capture file, read into one reused buffer."""

    MAGIC: ClassVar[dict[bytes, tuple[str, bool]]] = {
        b"\xd4\xc3\xb2\xa1": ("<", False),
        b"\xa1\xb2\xc3\xd4": (">", False),
        b"\x4d\x3c\xb2\xa1": ("<", True),
        b"\xa1\xb2\x3c\x4d": (">", True),
    }
    """First four bytes → byte order, and whether times are in nanoseconds."""

    def __init__(self, path: Path) -> None:
        from agent.meter import LINKS  # noqa: PLC0415 - the table belongs to the meter

        self.path = path
        self.size = path.stat().st_size
        self.faults: dict[str, int] = {}
        with path.open("rb") as file:
            header = file.read(24)
        if len(header) < 24:
            raise ValueError(f"cut inside the file header: {len(header)} bytes of 24")
        self.order, self.nano = self.MAGIC[header[:4]]
        snap, network = struct.unpack(self.order + "II", header[16:24])
        self.most = max(snap, 65_535) if 0 < snap <= MAX_RECORD else MAX_RECORD
        link = network & 0x0FFF_FFFF
        if link not in LINKS:
            raise ValueError(f"link type {link} is not one the meter reads (Ethernet, raw IP, Linux cooked, loopback)")
        self.link = LINKS[link]

    def read(self, meter: Meter) -> Iterator[tuple[int, int]]:
        """Feed the meter chunk by chunk; a broken record is skipped up to the next believable one."""
        buffer = bytearray(CHUNK + MAX_RECORD + 16)
        view = memoryview(buffer)
        held = done = 0
        with self.path.open("rb", buffering=0) as file:
            file.seek(24)
            meter.use(buffer)
            while count := file.readinto(view[held : held + CHUNK]):
                end = held + count
                position = meter.feed(0, end, self.link, self.order == ">", self.nano, self.most)
                while position < 0:
                    position = self._resume(buffer, -1 - position, end, meter.when)
                    if position + 16 > end:
                        break
                    position = meter.feed(position, end, self.link, self.order == ">", self.nano, self.most)
                held = end - position
                view[:held] = bytes(view[position:end])
                done += count
                yield meter.when, done
        if held:
            self.faults["truncated_record"] = 1

    def _resume(self, buffer: bytearray, position: int, end: int, when: int) -> int:
        """The next position at which a believable record header stands; counts the fault once."""
        if self.faults.get("broken_record", 0) == 0 or position > 0:
            self.faults["broken_record"] = self.faults.get("broken_record", 0) + 1
        last = when // 1_000_000
        start = position
        position += 1
        while position + 32 <= end:
            if self._believable(buffer, position, end, last):
                self.faults["skipped_bytes"] = self.faults.get("skipped_bytes", 0) + position - start
                return position
            position += 1
        self.faults["skipped_bytes"] = self.faults.get("skipped_bytes", 0) + position - start
        return position

    def _believable(self, buffer: bytearray, position: int, end: int, last: int) -> bool:
        """A header near in time to the last packet, followed by another such header or the chunk's end."""
        for _ in range(2):
            second, part, held, wire = struct.unpack_from(self.order + "IIII", buffer, position)
            near = last == 0 or last - DAY <= second <= last + DAY
            if not near or part >= (1_000_000_000 if self.nano else 1_000_000) or not 0 < held <= min(wire, self.most):
                return False
            position += 16 + held
            if position + 16 > end:
                return True
        return True
