"""Classic BPF: an assembler for what the kernel runs on each packet (bpf(4), Linux Documentation/networking/filter.rst)."""

from __future__ import annotations

import ctypes
import socket
import struct
from enum import IntEnum
from typing import NamedTuple

MOST_INSTRUCTIONS = 4096
SO_ATTACH_FILTER = 26

AD_PROTOCOL, AD_PACKET_TYPE, AD_HARDWARE, AD_RANDOM = 0xFFFFF000, 0xFFFFF004, 0xFFFFF01C, 0xFFFFF038
"""Linux's ancillary loads, SKF_AD_OFF plus SKF_AD_PROTOCOL, _PKTTYPE, _HATYPE and _RANDOM (linux/filter.h)."""


class Op(IntEnum):
    """The operations that are used, as bpf(4) codes them: A the accumulator, X the index, M the scratch memory."""

    LD = 0x20  # A = word at k
    LDH = 0x28
    LDB = 0x30
    LD_X = 0x40  # A = word at X + k
    LDH_X = 0x48
    LDB_X = 0x50
    LD_IMM = 0x00
    LD_LEN = 0x80
    LD_MEM = 0x60
    LDX_IMM = 0x01
    LDX_MEM = 0x61
    ST = 0x02
    STX = 0x03
    ADD = 0x04
    ADD_X = 0x0C
    SUB_X = 0x1C
    AND = 0x54
    LSH = 0x64
    RSH = 0x74
    JA = 0x05
    JEQ = 0x15
    JGT = 0x25
    JGE = 0x35
    JGE_X = 0x3D
    JSET = 0x45
    RET = 0x06
    TAX = 0x07
    TXA = 0x87


class Instruction(NamedTuple):
    """struct sock_filter: yes and no are how many instructions a jump passes over."""

    code: int
    yes: int
    no: int
    value: int


class Program(tuple[Instruction, ...]):
    """What a socket's filter runs: 0 leaves the packet out, a number keeps that many of its bytes."""

    __slots__ = ()

    def attach(self, to: socket.socket) -> None:
        """Put the program onto a socket, in the place of any other. Raises OSError."""
        code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in self))
        to.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HxxxxxxP", len(self), ctypes.addressof(code)))


class Assembler:
    """Instructions put down one after another, with names for places further on."""

    def __init__(self) -> None:
        self._lines: list[tuple[Op, int, str, str]] = []
        self._places: dict[str, int] = {}
        self._names = 0

    def put(self, op: Op, value: int = 0) -> None:
        """Add an instruction that does not jump."""
        self._lines.append((op, value, "", ""))

    def jump(self, op: Op, value: int = 0, *, yes: str = "", no: str = "") -> None:
        """Add a test; an empty name is the next instruction."""
        self._lines.append((op, value, yes, no))

    def go(self, place: str) -> None:
        """Add a jump without a test."""
        self._lines.append((Op.JA, 0, place, ""))

    def place(self, name: str) -> None:
        """Give the next instruction a name."""
        self._places[name] = len(self._lines)

    def name(self) -> str:
        """A name that was not yet given."""
        self._names += 1
        return f"#{self._names}"

    def has(self, count: int, *, no: str) -> None:
        """Go on only where the packet has `count` bytes from X on: a load beyond its end would leave the packet out."""
        self.put(Op.LD_LEN)
        self.jump(Op.JGE_X, no=no)
        self.put(Op.SUB_X)
        self.jump(Op.JGE, count, no=no)

    def program(self) -> Program:
        """The finished program. Raises ValueError where it is longer than the kernel takes."""
        if len(self._lines) > MOST_INSTRUCTIONS:
            raise ValueError(f"the filter has {len(self._lines)} instructions, more than the kernel's {MOST_INSTRUCTIONS}")
        return Program(self._instruction(at, *line) for at, line in enumerate(self._lines))

    def _instruction(self, at: int, op: Op, value: int, yes: str, no: str) -> Instruction:
        over = [self._places[name] - at - 1 if name else 0 for name in (yes, no)]
        if op == Op.JA:
            return Instruction(op, 0, 0, over[0])
        if max(over) > 255:
            raise ValueError("the filter's tests lie too far apart")
        return Instruction(op, over[0], over[1], value)
