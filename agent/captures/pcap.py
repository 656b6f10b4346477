"""Classic pcap files, microsecond or nanosecond, in either byte order (libpcap's savefile format)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from agent.capture import CHUNK, MAX_RECORD, Until, forever

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
        self._lost = False
        """Whether the next record is being looked for, after a broken one."""
        self._last = 0
        """Time of the last packet, in µs; 0 while there is none."""
        self._base = 0
        """Where in the file the buffer begins."""
        self.place = ""
        with path.open("rb") as file:
            header = file.read(24)
        if len(header) < 24:
            raise ValueError(f"cut inside the file header: {len(header)} bytes of 24")
        self.order, self.nano = self.MAGIC[header[:4]]
        snap, network = struct.unpack(self.order + "II", header[16:24])
        self.most = max(snap, 65_535) if 0 < snap <= MAX_RECORD else MAX_RECORD
        link = network & 0x03FF_FFFF  # above it the length of a frame check sequence
        if link not in LINKS:
            raise ValueError(f"link type {link} is not one the meter reads (Ethernet, raw IP, Linux cooked, loopback)")
        self.link = LINKS[link]

    def read(self, meter: Meter, until: Until = forever) -> Iterator[tuple[int, int]]:
        """Feed the meter chunk by chunk; a broken record is skipped up to the next believable one."""
        buffer = bytearray(CHUNK + MAX_RECORD + 16)
        view = memoryview(buffer)
        held = done = 0
        with self.path.open("rb", buffering=0) as file:
            file.seek(24)
            meter.use(buffer)
            while count := file.readinto(view[held : held + CHUNK]):
                end = held + count
                done += count
                self._base = 24 + done - end
                position = self._feed(meter, buffer, 0, end, until())
                while ahead := self._ahead(buffer, position, end):
                    yield ahead, done
                    meter.use(buffer)
                    position = self._feed(meter, buffer, position, end, until())
                held = end - position
                view[:held] = bytes(view[position:end])
                yield self._last, done
                meter.use(buffer)
        self._base = 24 + done - held
        position = 0
        while held - position >= 16 and not self._lost:  # cut off, or of a broken length: look for others in it
            self._lose("truncated_record", position)
            position = self._feed(meter, buffer, position + 1, held, forever())
        if self._lost:
            self.faults["skipped_bytes"] += held - position
        elif held > position:
            self.place = self.place or f"byte {self._base + position:,}"
            self.faults["truncated_record"] = self.faults.get("truncated_record", 0) + 1
        if done:
            yield self._last, done

    def _ahead(self, buffer: bytearray, position: int, end: int) -> int:
        """The time of the record that was left because it is later than it may be, in µs; 0 where none was."""
        if self._lost or position + 16 > end:
            return 0
        second, part, held, _ = struct.unpack_from(self.order + "IIII", buffer, position)
        whole = position + 16 + held <= end
        return int(second * 1_000_000 + (part // 1000 if self.nano else part)) if whole else 0

    def _feed(self, meter: Meter, buffer: bytearray, position: int, end: int, until: int) -> int:
        """Feed the records before `end`; returns where the first incomplete or later one begins, or might."""
        while True:
            if self._lost:
                position = self._find(buffer, position, end)
                if self._lost:
                    return position
            start = position
            position = meter.feed(start, end, self.link, self.order == ">", self.nano, self.most, until)
            if position not in {start, -1 - start}:
                self._last = meter.when
            if position >= 0:
                return position
            position = -position  # the byte after the one where it was to begin
            self._lose("broken_record", position - 1)

    def _lose(self, fault: str, position: int) -> None:
        self._lost = True
        self.place = self.place or f"byte {self._base + position:,}"
        self.faults[fault] = self.faults.get(fault, 0) + 1
        self.faults["skipped_bytes"] = self.faults.get("skipped_bytes", 0) + 1

    def _find(self, buffer: bytearray, start: int, end: int) -> int:
        """The next position at which a believable record header stands, or might begin."""
        position = start
        while position + 16 <= end and self._lost:
            if self._believable(buffer, position, end):
                self._lost = False
            else:
                position += 1
        self.faults["skipped_bytes"] += position - start
        return position

    def _believable(self, buffer: bytearray, position: int, end: int) -> bool:
        """A header near in time to the last packet, followed by another such header or the chunk's end.

        Before the first packet four headers near to each other are asked for, or as many as there are.
        """
        last = self._last // 1_000_000
        for _ in range(2 if last else 4):
            second, part, held, wire = struct.unpack_from(self.order + "IIII", buffer, position)
            last = last or second
            near = last - DAY <= second <= last + DAY
            if not near or part >= (1_000_000_000 if self.nano else 1_000_000) or not 0 < held <= min(wire, self.most):
                return False
            position += 16 + held
            if position + 16 > end:
                return self._last != 0 or position == end
        return True
