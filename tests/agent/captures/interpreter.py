"""Classic BPF run in Python (bpf(4)), with Linux's ancillary loads: a second opinion on what a program does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

M32 = 0xFFFFFFFF
LOADS = {0x20: 4, 0x28: 2, 0x30: 1}
INDEXED = {0x40: 4, 0x48: 2, 0x50: 1}


@dataclass(frozen=True)
class Frame:
    """A packet as its socket sees it."""

    data: bytes
    protocol: int = 0
    hardware: int = 1
    kind: int = 0
    chance: int = 0

    def load(self, at: int, size: int) -> int | None:
        ancillary = {0xFFFFF000: self.protocol, 0xFFFFF004: self.kind, 0xFFFFF01C: self.hardware, 0xFFFFF038: self.chance}
        if at in ancillary:
            return ancillary[at]
        return int.from_bytes(self.data[at : at + size], "big") if at + size <= len(self.data) else None


class Machine:
    """A program's state: A, X and the scratch memory."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.a = self.x = 0
        self.memory: dict[int, int] = {}

    def load(self, code: int, k: int) -> bool:
        """Into A, or with MSH into X; False where that lies beyond the packet's end."""
        if code == 0xB1 or code in LOADS or code in INDEXED:
            at = (self.x + k) & M32 if code in INDEXED else k
            value = self.frame.load(at, LOADS.get(code) or INDEXED.get(code, 1))
        else:
            value = {0x00: k, 0x80: len(self.frame.data), 0x60: self.memory.get(k, 0)}[code & 0xF0]
        if code & 7 == 0:
            self.a = value or 0
        else:
            self.x = (value or 0) if code != 0xB1 else ((value or 0) & 15) * 4
        return value is not None

    def step(self, code: int, k: int) -> bool:
        """Do what is neither a jump nor a return; False where the program ends by it."""
        kind = code & 7
        if kind in {0, 1}:
            return self.load(code, k)
        if kind in {2, 3}:
            self.memory[k] = self.a if kind == 2 else self.x
        elif kind == 4:
            self.a = arithmetic(code & 0xF0, self.a, self.x if code & 8 else k)
        elif code == 0x87:
            self.a = self.x
        else:
            self.x = self.a
        return True

    def holds(self, code: int, k: int) -> bool:
        """A jump's test."""
        k = self.x if code & 8 else k
        return {0x10: self.a == k, 0x20: self.a > k, 0x30: self.a >= k, 0x40: bool(self.a & k)}[code & 0xF0]


def run(program: Iterable[tuple[int, int, int, int]], frame: Frame) -> int:
    """What the program returns; 0 too where it loads beyond the packet's end."""
    lines, machine, at = list(program), Machine(frame), 0
    while True:
        code, yes, no, k = lines[at]
        at += 1
        if code & 7 == 6:
            return machine.a if code & 0x10 else k
        if code == 0x05:
            at += k
        elif code & 7 == 5:
            at += yes if machine.holds(code, k) else no
        elif not machine.step(code, k):
            return 0


def arithmetic(operation: int, a: int, k: int) -> int:
    """One of the operations that tcpdump and the agent use."""
    results = {0x00: a + k, 0x10: a - k, 0x20: a * k, 0x40: a | k, 0x50: a & k, 0x60: a << (k & 31), 0x70: a >> (k & 31)}
    return results[operation] & M32
