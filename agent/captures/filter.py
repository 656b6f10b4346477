"""The program that the kernel runs on each packet: what is left out, what is shed, and how many bytes are kept.

It first finds family, addresses, protocol, ports and TCP flags, behind up to two VLAN tags, and keeps what it found in the
scratch memory; then it asks. A packet too short for what its headers say answers no to every question and is kept: that it
is short is for the meter to count. Written for no libpcap; the tests hold it against programs that tcpdump compiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from agent.captures.bpf import AD_HARDWARE, AD_PACKET_TYPE, AD_PROTOCOL, AD_RANDOM, Assembler, Op, Program
from agent.captures.exclusion import FAMILIES, Exclusion, Is, Net, Port, Term

ETHERNET, LOOPBACK = 1, 772
"""ARPHRD codes of interfaces whose packets begin with an Ethernet header."""
HEADER = 14
TAGS = (0x8100, 0x88A8, 0x9100)
OUTGOING = 4
FIN_SYN_RST, PUSH = 7, 8
TCP, UDP, SCTP, FRAGMENT = 6, 17, 132, 44
TLS_HANDSHAKE, TLS_DATA = 0x1603, 0x1703
"""The first two bytes of a TLS record (RFC 8446 §5.1)."""

FAMILY, PROTOCOL, PORTS, TRANSPORT, SOURCE, TARGET, FLAGS = range(7)
"""Places in the scratch memory; those from TRANSPORT to TARGET are positions in the packet, what is not there is 0."""


class Look(NamedTuple):
    """How much of a packet is kept."""

    snap: int = 256
    long: int = 0
    """Of the messages on `ports`, and of TLS handshakes on any port; 0: no more than of others."""
    ports: tuple[int, ...] = ()


class Scope(NamedTuple):
    """What the packets of a socket look like, and which of all interfaces' packets are its own."""

    cooked: bool = False
    """Packets begin with the network header."""
    everywhere: bool = False
    """The socket sees all interfaces: one that is not cooked takes those with Ethernet headers, a cooked one the others."""


def build(look: Look, exclusions: Sequence[Exclusion] = (), one_in: int = 1, scope: Scope = Scope()) -> Program:  # noqa: B008 - a constant
    """The program. Raises ValueError where it grows beyond what the kernel takes.

    one_in: of TCP segments that neither open, end nor push anything, one in so many is kept.
    """
    code = Assembler()
    if scope.everywhere:
        _only_mine(code, scope)
    long = look.long > look.snap
    if exclusions or one_in > 1 or long:
        _dissect(code, scope)
    for exclusion in exclusions:
        _leave_out(code, exclusion)
    if one_in > 1:
        _shed(code, one_in)
    if long:
        _look_longer(code, look)
    code.put(Op.RET, look.snap)
    return code.program()


def _only_mine(code: Assembler, scope: Scope) -> None:
    """Share the packets of all interfaces between two sockets; on loopback each goes out and comes in."""
    code.put(Op.LDH, AD_HARDWARE)
    if scope.cooked:
        code.jump(Op.JEQ, ETHERNET, yes="not mine")
        code.jump(Op.JEQ, LOOPBACK, yes="not mine", no="mine")
    else:
        code.jump(Op.JEQ, ETHERNET, yes="mine")
        code.jump(Op.JEQ, LOOPBACK, no="not mine")
        code.put(Op.LDB, AD_PACKET_TYPE)
        code.jump(Op.JEQ, OUTGOING, no="mine")
    code.place("not mine")
    code.put(Op.RET, 0)
    code.place("mine")


def _dissect(code: Assembler, scope: Scope) -> None:
    """Fill the scratch memory. X is where the header that is read begins."""
    base = 0 if scope.cooked else HEADER
    code.put(Op.LD_IMM, 0)
    for slot in range(FLAGS + 1):
        code.put(Op.ST, slot)
    code.put(Op.LDX_IMM, base)
    code.put(Op.LDH, AD_PROTOCOL if scope.cooked else HEADER - 2)
    for tag in (base + 4, base + 8):
        for kind in TAGS[:-1]:
            code.jump(Op.JEQ, kind, yes=f"tag {tag}")
        code.jump(Op.JEQ, TAGS[-1], no="kind")
        code.place(f"tag {tag}")
        code.put(Op.LDX_IMM, tag)
        code.has(0, no="found")
        code.put(Op.LDH, tag - 2)
    code.place("kind")
    code.jump(Op.JEQ, 0x0800, yes="ip")
    code.jump(Op.JEQ, 0x86DD, yes="ip6")
    code.jump(Op.JEQ, 0x0806, no="found")
    _network(code, "arp", size=28, source=14, target=24)
    code.go("found")
    code.place("ip")
    _network(code, "ip", size=20, source=12, target=16)
    code.put(Op.LDB_X, 9)
    code.put(Op.ST, PROTOCOL)
    code.put(Op.LDH_X, 6)
    code.jump(Op.JSET, 0x1FFF, yes="found")  # a later fragment has no ports
    code.put(Op.LDB_X, 0)
    code.put(Op.AND, 15)
    code.put(Op.LSH, 2)
    code.go("transport")
    code.place("ip6")
    _network(code, "ip6", size=40, source=8, target=24)
    code.put(Op.LDB_X, 6)
    code.put(Op.ST, PROTOCOL)
    code.jump(Op.JEQ, FRAGMENT, yes="fragment")
    code.put(Op.LD_IMM, 40)
    code.go("transport")
    code.place("fragment")
    code.has(48, no="found")
    code.put(Op.LDB_X, 40)
    code.put(Op.ST, PROTOCOL)
    code.go("found")
    code.place("transport")
    _transport(code)
    code.place("found")


def _network(code: Assembler, family: str, *, size: int, source: int, target: int) -> None:
    code.has(size, no="found")
    code.put(Op.LD_IMM, FAMILIES[family])
    code.put(Op.ST, FAMILY)
    code.put(Op.TXA)
    code.put(Op.ADD, source)
    code.put(Op.ST, SOURCE)
    code.put(Op.ADD, target - source)
    code.put(Op.ST, TARGET)


def _transport(code: Assembler) -> None:
    """Ports and flags; A is the network header's size."""
    code.put(Op.ADD_X)
    code.put(Op.TAX)
    code.put(Op.LD_MEM, PROTOCOL)
    code.jump(Op.JEQ, TCP, yes="ports")
    code.jump(Op.JEQ, UDP, yes="ports")
    code.jump(Op.JEQ, SCTP, no="found")
    code.place("ports")
    code.has(4, no="found")
    code.put(Op.LD_X, 0)
    code.put(Op.ST, PORTS)
    code.put(Op.STX, TRANSPORT)
    code.put(Op.LD_MEM, PROTOCOL)
    code.jump(Op.JEQ, TCP, no="found")
    code.has(14, no="found")
    code.put(Op.LDB_X, 13)
    code.put(Op.ST, FLAGS)


def _leave_out(code: Assembler, exclusion: Exclusion) -> None:
    """One entry: a packet for which every term is true ends here."""
    kept = code.name()
    for term in exclusion:
        _ask(code, term, no=kept)
    code.put(Op.RET, 0)
    code.place(kept)


def _ask(code: Assembler, term: Term, no: str) -> None:
    if isinstance(term, Is):
        code.put(Op.LD_MEM, FAMILY)
        code.jump(Op.JSET, term.families, no=no)
        if term.protocol:
            code.put(Op.LD_MEM, PROTOCOL)
            code.jump(Op.JEQ, term.protocol, no=no)
        return
    if isinstance(term, Net):
        code.put(Op.LD_MEM, FAMILY)
        code.jump(Op.JSET, FAMILIES["ip"] | FAMILIES["arp"] if term.network.version == 4 else FAMILIES["ip6"], no=no)
    yes = code.name()
    if term.source and term.target:
        other = code.name()
        _ask_side(code, term, source=True, no=other)
        code.go(yes)
        code.place(other)
        _ask_side(code, term, source=False, no=no)
    else:
        _ask_side(code, term, source=term.source, no=no)
    code.place(yes)


def _ask_side(code: Assembler, term: Port | Net, *, source: bool, no: str) -> None:
    if isinstance(term, Port):
        code.put(Op.LD_MEM, PORTS)
        code.put(Op.RSH if source else Op.AND, 16 if source else 0xFFFF)
        code.jump(Op.JEQ, term.number, no=no)
        return
    address, mask = term.network.network_address.packed, term.network.netmask.packed
    code.put(Op.LDX_MEM, SOURCE if source else TARGET)
    for at in range(0, len(mask), 4):
        care = int.from_bytes(mask[at : at + 4], "big")
        if care:
            code.put(Op.LD_X, at)
            code.put(Op.AND, care)
            code.jump(Op.JEQ, int.from_bytes(address[at : at + 4], "big"), no=no)


def _shed(code: Assembler, one_in: int) -> None:
    """Leave out most TCP segments that only carry on: those of long flows, far more often than any other."""
    code.put(Op.LD_MEM, TRANSPORT)
    code.jump(Op.JEQ, 0, yes="carry")
    code.put(Op.LD_MEM, PROTOCOL)
    code.jump(Op.JEQ, TCP, no="carry")
    code.put(Op.LD_MEM, FLAGS)
    code.jump(Op.JSET, FIN_SYN_RST | PUSH, yes="carry")
    code.put(Op.LD, AD_RANDOM)
    code.jump(Op.JGE, (1 << 32) // one_in, no="carry")
    code.put(Op.RET, 0)
    code.place("carry")


def _look_longer(code: Assembler, look: Look) -> None:
    """Keep more of TLS handshakes, and on `ports` of datagrams and of the segments that end a message (PSH)."""
    code.put(Op.LD_MEM, PORTS)
    code.jump(Op.JEQ, 0, yes="short")
    code.put(Op.LD_MEM, PROTOCOL)
    code.jump(Op.JEQ, TCP, no="by port")
    code.put(Op.LDX_MEM, TRANSPORT)
    code.has(20, no="short")
    code.put(Op.LDB_X, 12)
    code.put(Op.AND, 0xF0)
    code.put(Op.RSH, 2)
    code.put(Op.ADD_X)
    code.put(Op.TAX)
    code.has(2, no="short")
    code.put(Op.LDH_X, 0)
    code.jump(Op.JEQ, TLS_HANDSHAKE, yes="long")
    code.jump(Op.JEQ, TLS_DATA, yes="short")
    code.put(Op.LD_MEM, FLAGS)
    code.jump(Op.JSET, PUSH, no="short")
    code.place("by port")
    for op, value in ((Op.RSH, 16), (Op.AND, 0xFFFF)):
        code.put(Op.LD_MEM, PORTS)
        code.put(op, value)
        for port in look.ports:
            code.jump(Op.JEQ, port, yes="long")
    code.go("short")
    code.place("long")
    code.put(Op.RET, look.long)
    code.place("short")
