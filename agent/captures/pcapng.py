"""pcapng files (draft-ietf-opsawg-pcapng): sections, interfaces with their own link type and clock, packet blocks."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from agent.capture import CHUNK, MAX_RECORD, Until, forever

if TYPE_CHECKING:
    from agent.meter import Meter

SECTION, INTERFACE, PACKET, SIMPLE, ENHANCED = 0x0A0D0D0A, 1, 2, 3, 6
MAX_BLOCK = MAX_RECORD + 65_536
MAX_INTERFACES = 1024


class PcapngFile:
    """One capture file of one or several sections."""

    MAGIC: ClassVar[frozenset[bytes]] = frozenset({b"\x0a\x0d\x0d\x0a"})

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self.faults: dict[str, int] = {}
        self.place = ""
        self._order = "<"
        self._interfaces: list[tuple[int, int, int]] = []
        """Link type, ticks a second, seconds to add."""
        self._when = 0
        self._lost = False
        """Whether the next block is being looked for, after a broken one."""
        self._until = self._ahead = 0
        """How far in time to read, and the time of the packet that was left because it is later."""
        self._over = False
        """Whether nothing more comes."""
        if self.size < 28:
            raise ValueError(f"cut inside the section header: {self.size} bytes of 28")

    def read(self, meter: Meter, until: Until = forever) -> Iterator[tuple[int, int]]:
        """Feed the meter block by block; a broken block is skipped up to the next believable one."""
        buffer = bytearray(CHUNK + MAX_BLOCK)
        view = memoryview(buffer)
        held = done = 0
        meter.use(buffer)
        with self.path.open("rb", buffering=0) as file:
            while count := file.readinto(view[held : held + CHUNK]):
                end = held + count
                done += count
                position = self._blocks(meter, buffer, 0, end, until())
                while self._ahead:
                    yield self._ahead, done
                    meter.use(buffer)
                    position = self._blocks(meter, buffer, position, end, until())
                held = end - position
                view[:held] = bytes(view[position:end])
                yield self._when, done
                meter.use(buffer)
        position = 0
        self._over = True
        while held - position >= 12 and not self._lost:  # cut off, or of a broken length: look for others in it
            self._lose("truncated_record")
            position = self._blocks(meter, buffer, position + 1, held, forever())
        if self._lost:
            self._fault("skipped_bytes", held - position)
        elif held > position:
            self._fault("truncated_record")
        yield self._when, done

    def _fault(self, name: str, amount: int = 1) -> None:
        self.faults[name] = self.faults.get(name, 0) + amount

    def _lose(self, name: str) -> None:
        self._lost = True
        self._fault(name)
        self._fault("skipped_bytes")

    def _blocks(self, meter: Meter, buffer: bytearray, position: int, end: int, until: int) -> int:
        """Read the whole blocks before `end`; returns where the first incomplete or later one begins, or might."""
        self._until = until
        self._ahead = 0
        while position + 12 <= end:
            if self._lost:
                position = self._find(buffer, position, end)
                if self._lost:
                    break
            length = self._length(buffer, position, end)
            if length == 0:
                self._lose("broken_record")
                position += 1
                continue
            if position + length > end:
                break
            kind = struct.unpack_from(self._order + "I", buffer, position)[0]
            self._block(meter, buffer, kind, position + 8, position + length - 4)
            if self._ahead:
                break
            position += length
        return position

    def _length(self, buffer: bytearray, position: int, end: int) -> int:
        """The length of the block that begins here, as far as it can be seen; 0 where none can."""
        kind, length = struct.unpack_from(self._order + "II", buffer, position)
        if kind == SECTION:
            if not self._section(buffer, position):
                return 0
            length = struct.unpack_from(self._order + "I", buffer, position + 4)[0]
        if length < 12 or length % 4 or length > MAX_BLOCK:
            return 0
        if position + length <= end and struct.unpack_from(self._order + "I", buffer, position + length - 4)[0] != length:
            return 0
        return int(length)

    def _section(self, buffer: bytearray, position: int) -> bool:
        magic = bytes(buffer[position + 8 : position + 12])
        if magic == b"\x4d\x3c\x2b\x1a":
            self._order = "<"
        elif magic == b"\x1a\x2b\x3c\x4d":
            self._order = ">"
        else:
            return False
        self._interfaces = []
        return True

    def _block(self, meter: Meter, buffer: bytearray, kind: int, start: int, end: int) -> None:
        if kind == INTERFACE and end - start >= 8:
            self._interface(buffer, start, end)
        elif kind in {ENHANCED, PACKET} and end - start >= 20:
            number, high, low, held, wire = struct.unpack_from(self._order + "IIIII", buffer, start)
            if kind == PACKET:  # the obsolete form: a drop counter stands beside the interface's number
                number = struct.unpack_from(self._order + "H", buffer, start)[0]
            if number >= len(self._interfaces) or start + 20 + held > end:
                self._fault("broken_record")
                return
            link, per_second, offset = self._interfaces[number]
            when = ((high << 32) | low) * 1_000_000 // per_second + offset * 1_000_000
            self._packet(meter, start + 20, held, wire, when, link)
        elif kind == SIMPLE and end - start >= 4 and self._interfaces:
            wire = struct.unpack_from(self._order + "I", buffer, start)[0]
            self._packet(meter, start + 4, min(wire, end - start - 4), wire, self._when, self._interfaces[0][0])
        elif kind in {INTERFACE, PACKET, SIMPLE, ENHANCED}:
            self._fault("broken_record")

    def _packet(self, meter: Meter, start: int, held: int, wire: int, when: int, link: int) -> None:
        if not link:
            self._fault("unreadable_link_type")
        elif not 0 <= when <= 0xFFFF_FFFF * 1_000_000 or not 0 < wire <= 0x7FFFFFF:
            self._fault("broken_record")
        elif when > self._until:
            self._ahead = when
        else:
            self._when = when
            meter.packet(start, start + held, max(wire, held), when, link)

    def _interface(self, buffer: bytearray, start: int, end: int) -> None:
        from agent.meter import LINKS  # noqa: PLC0415 - the table belongs to the meter

        if len(self._interfaces) >= MAX_INTERFACES:
            self._fault("broken_record")
            return
        network = struct.unpack_from(self._order + "H", buffer, start)[0]
        per_second = 1_000_000
        offset = 0
        position = start + 8
        while position + 4 <= end:
            code, length = struct.unpack_from(self._order + "HH", buffer, position)
            if code == 0 or position + 4 + length > end:
                break
            if code == 9 and length >= 1:  # if_tsresol
                value = buffer[position + 4]
                per_second = 1 << min(value & 0x7F, 63) if value & 0x80 else 10 ** min(value, 18)
            elif code == 14 and length >= 8:  # if_tsoffset
                offset = struct.unpack_from(self._order + "q", buffer, position + 4)[0]
            position += 4 + (length + 3 & ~3)
        self._interfaces.append((LINKS.get(network, 0), per_second, offset))

    def _find(self, buffer: bytearray, start: int, end: int) -> int:
        """The next position at which a well-formed packet block stands, or might once more of it is there."""
        wanted = struct.pack(self._order + "I", ENHANCED)
        position = buffer.find(wanted, start, end)
        while position >= 0 and position + 12 <= end:
            length = struct.unpack_from(self._order + "I", buffer, position + 4)[0]
            if 32 <= length <= MAX_BLOCK and length % 4 == 0:
                last = position + length - 4
                if last + 4 > end and not self._over:
                    break
                if last + 4 <= end and struct.unpack_from(self._order + "I", buffer, last)[0] == length:
                    self._lost = False
                    break
            position = buffer.find(wanted, position + 1, end)
        if position < 0:
            position = max(start, end - 11)
        self._fault("skipped_bytes", position - start)
        return position
