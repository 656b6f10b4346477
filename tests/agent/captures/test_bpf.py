"""The assembler, and the kernel's own opinion of what it makes."""

from __future__ import annotations

import socket

import pytest

from agent.captures.bpf import MOST_INSTRUCTIONS, Assembler, Op, Program
from tests.agent.captures.interpreter import Frame, run


def starts_with(byte: int) -> Program:
    code = Assembler()
    code.put(Op.LDX_IMM, 0)
    code.has(1, no="other")
    code.put(Op.LDB_X, 0)
    code.jump(Op.JEQ, byte, no="other")
    code.put(Op.RET, 0xFFFF)
    code.place("other")
    code.put(Op.RET, 0)
    return code.program()


def test_jumps_find_their_places() -> None:
    assert run(starts_with(7), Frame(b"\7")) == 0xFFFF
    assert run(starts_with(7), Frame(b"\6")) == 0


def test_the_kernel_runs_it() -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with left, right:
        starts_with(7).attach(right)
        right.settimeout(5)
        for data in (b"\6no", b"", b"\7yes"):
            left.send(data)
        assert right.recv(10) == b"\7yes"


@pytest.mark.parametrize(
    ("at", "length", "enough"), [(0, 4, True), (0, 3, False), (5, 4, False), (4, 4, False), (2, 6, True)]
)
def test_whether_bytes_are_there(at: int, length: int, enough: bool) -> None:
    """Also where the place itself lies beyond the end: lengths have no sign."""
    code = Assembler()
    code.put(Op.LDX_IMM, at)
    code.has(4, no="short")
    code.put(Op.RET, 1)
    code.place("short")
    code.put(Op.RET, 0)
    assert run(code.program(), Frame(bytes(length))) == enough


def test_more_than_the_kernel_takes_is_refused() -> None:
    code = Assembler()
    for _ in range(MOST_INSTRUCTIONS + 1):
        code.put(Op.RET, 0)
    with pytest.raises(ValueError, match="4097 instructions, more than the kernel's 4096"):
        code.program()


def test_a_test_reaches_255_instructions_far_and_a_jump_any() -> None:
    code = Assembler()
    code.jump(Op.JEQ, 0, yes="far")
    for _ in range(256):
        code.put(Op.TAX)
    code.place("far")
    code.put(Op.RET, 0)
    with pytest.raises(ValueError, match="too far apart"):
        code.program()


def test_names_are_never_given_twice() -> None:
    code = Assembler()
    assert code.name() != code.name()
