"""The kernel's program: against tcpdump's on the same packets, and what is kept of which."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from struct import pack

import pytest

from agent.captures.bpf import Program
from agent.captures.exclusion import parse
from agent.captures.filter import Look, Scope, build
from tests.agent.captures.interpreter import Frame, run

ADDRESSES = ("10.0.0.5", "10.9.3.4", "192.168.1.1")
ADDRESSES6 = ("2001:db8::5", "2001:db8:8000::7", "fe80::1")
PORTS = (53, 443, 9092, 104, 50_000)
EXCLUSIONS = (
    "host 10.0.0.5", "src host 10.0.0.5", "dst host 10.9.3.4", "net 10.9.0.0/16", "src net 10.0.0.0/8", "net 0.0.0.0/0",
    "host 2001:db8::5", "net 2001:db8::/32", "dst net 2001:db8:8000::/33", "port 9092", "src port 9092", "dst port 53",
    "tcp port 9092", "udp dst port 53", "sctp port 104", "tcp", "udp", "sctp", "icmp", "icmp6", "arp", "ip", "ip6",
    "host 10.0.0.5 and port 9092", "tcp and src net 10.0.0.0/8 and dst port 443", "ip6 and port 53",
)  # fmt: skip


def transport(choose: random.Random, protocol: int) -> bytes:
    if protocol == 6:
        flags = choose.choice((0x02, 0x12, 0x10, 0x18, 0x11, 0x04))
        return pack(">HHIIBBHHH", choose.choice(PORTS), choose.choice(PORTS), 1, 1, 0x50, flags, 0, 0, 0) + bytes(
            choose.randrange(40)
        )
    return pack(">HHHH", choose.choice(PORTS), choose.choice(PORTS), 8, 0) + bytes(choose.randrange(20))


def network(choose: random.Random) -> tuple[int, bytes]:
    kind = choose.choice((0x0800, 0x0800, 0x86DD, 0x86DD, 0x0806, 0x88CC))
    protocol = choose.choice((6, 6, 17, 17, 132, 1, 58, 47))
    inside = transport(choose, protocol)
    if kind == 0x0800:
        source, target = (ip_address(choose.choice(ADDRESSES)).packed for _ in range(2))
        options = bytes(choose.choice((0, 0, 4, 12)))
        piece = choose.choice((0, 0, 0, 0x4000, 0x2000, 0x00B9))
        first = 0x45 + len(options) // 4
        return kind, pack(
            ">BBHHHBBH", first, 0, 20 + len(inside), 1, piece, 64, protocol, 0
        ) + source + target + options + inside
    if kind == 0x86DD:
        source, target = (ip_address(choose.choice(ADDRESSES6)).packed for _ in range(2))
        if choose.random() < 0.2:
            inside = pack(">BBHI", protocol, 0, choose.choice((0, 1, 185 << 3)), 7) + inside
            protocol = 44
        return kind, pack(">IHBB", 6 << 28, len(inside), protocol, 64) + source + target + inside
    if kind == 0x0806:
        sender, asked = (ip_address(choose.choice(ADDRESSES)).packed for _ in range(2))
        return kind, pack(">HHBBH", 1, 0x0800, 6, 4, 1) + bytes(6) + sender + bytes(6) + asked
    return kind, bytes(30)


def packets(count: int, seed: int) -> Iterator[tuple[int, bytes]]:
    choose = random.Random(seed)
    for _ in range(count):
        yield network(choose)


def framed(kind: int, data: bytes, *tags: int) -> bytes:
    return bytes(12) + b"".join(pack(">HH", tag, 7) for tag in tags) + pack(">H", kind) + data


def of_tcpdump(text: str) -> list[tuple[int, int, int, int]]:
    command = ["tcpdump", "-ddd", "-y", "EN10MB", text]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    lines = [tuple(map(int, line.split())) for line in done.stdout.splitlines()[1:]]
    return [(code, yes, no, value) for code, yes, no, value in lines]


@pytest.mark.skipif(not shutil.which("tcpdump"), reason="tcpdump is not installed")
@pytest.mark.parametrize("text", EXCLUSIONS)
def test_it_leaves_out_what_tcpdump_would_match(text: str) -> None:
    theirs, ours = of_tcpdump(text), build(Look(256), [parse(text)])
    matched = 0
    for kind, data in packets(1500, 1):
        frame = Frame(framed(kind, data))
        wanted = run(theirs, frame) > 0
        matched += wanted
        assert run(ours, frame) == (0 if wanted else 256), (text, frame.data.hex())
    assert 0 < matched < 1500


@pytest.mark.parametrize("text", EXCLUSIONS)
def test_it_sees_through_vlan_tags_and_below_cooked_headers(text: str) -> None:
    plain = build(Look(256), [parse(text)])
    cooked = build(Look(256), [parse(text)], scope=Scope(cooked=True))
    for kind, data in packets(300, 2):
        wanted = run(plain, Frame(framed(kind, data)))
        assert run(plain, Frame(framed(kind, data, 0x8100))) == wanted
        assert run(plain, Frame(framed(kind, data, 0x88A8, 0x8100))) == wanted
        assert run(cooked, Frame(data, protocol=kind)) == wanted
        assert run(cooked, Frame(pack(">HH", 7, kind) + data, protocol=0x8100)) == wanted


def everything() -> Program:
    exclusions = [parse(text) for text in ("host 10.0.0.5 and port 9092", "net 2001:db8::/32 and udp port 53")]
    return build(Look(256, 2048, PORTS), exclusions, 4)


def test_a_cut_packet_is_never_left_out_for_being_short() -> None:
    """What a filter cannot read must reach the meter, which counts it."""
    program = everything()
    for kind, data in packets(200, 3):
        whole = framed(kind, data)
        if run(program, Frame(whole)):
            assert all(run(program, Frame(whole[:length])) for length in range(14, len(whole)))


def test_random_bytes_end_in_an_answer() -> None:
    choose, program = random.Random(4), everything()
    kinds = (b"\x08\0", b"\x86\xdd", b"\x08\x06", b"\x81\0", b"\x88\xa8")
    for _ in range(3000):
        data = choose.randbytes(12) + choose.choice(kinds) + choose.randbytes(choose.randrange(80))
        assert run(program, Frame(data, chance=choose.getrandbits(32))) in {0, 256, 2048}


def tcp(port: int, flags: int, payload: bytes) -> bytes:
    ports = pack(">HHIIBBHHH", 50_000, port, 1, 1, 0x50, flags, 0, 0, 0)
    head = pack(">BBHHHBBH4x4x", 0x45, 0, 40 + len(payload), 1, 0, 64, 6, 0)
    return framed(0x0800, head + ports + payload)


def udp(port: int) -> bytes:
    head = pack(">BBHHHBBH4x4x", 0x45, 0, 28, 1, 0, 64, 17, 0)
    return framed(0x0800, head + pack(">HHHH", port, 50_000, 8, 0))


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (udp(53), 2048), (udp(5000), 256), (tcp(104, 0x18, b"\1\0"), 2048), (tcp(104, 0x10, b"\1\0"), 256),
        (tcp(105, 0x18, b"\1\0"), 256), (tcp(4443, 0x10, b"\x16\3\1\2\0"), 2048), (tcp(443, 0x18, b"\x17\3\3\2\0"), 256),
        (tcp(443, 0x18, b"the hello's second segment"), 2048), (tcp(443, 0x02, b""), 256), (framed(0x0806, bytes(28)), 256),
    ],
)  # fmt: skip
def test_how_much_is_kept(data: bytes, kept: int) -> None:
    assert run(build(Look(256, 2048, (53, 104, 443))), Frame(data)) == kept


@pytest.mark.parametrize("flags", [0x01, 0x02, 0x04, 0x08, 0x12, 0x19])
def test_what_opens_ends_or_pushes_is_never_shed(flags: int) -> None:
    assert run(build(Look(256), one_in=256), Frame(tcp(80, flags, b""), chance=0xFFFFFFFF)) == 256


def test_other_segments_are_shed_by_chance() -> None:
    program = build(Look(256), one_in=4)
    segment = tcp(80, 0x10, bytes(1400))
    assert [run(program, Frame(segment, chance=part << 30)) for part in range(4)] == [256, 0, 0, 0]
    assert run(program, Frame(udp(53), chance=0xFFFFFFFF)) == 256


@pytest.mark.parametrize(
    ("hardware", "kind", "takers"),
    [(1, 0, "frames"), (1, 4, "frames"), (772, 0, "frames"), (772, 4, ""), (65_534, 4, "cooked")],
)
def test_two_sockets_share_all_interfaces(hardware: int, kind: int, takers: str) -> None:
    frames = build(Look(256), scope=Scope(everywhere=True))
    cooked = build(Look(256), scope=Scope(cooked=True, everywhere=True))
    frame = Frame(bytes(60), hardware=hardware, kind=kind)
    assert [name for name, program in (("frames", frames), ("cooked", cooked)) if run(program, frame)] == (
        [takers] if takers else []
    )


def every_scope() -> Sequence[Scope]:
    return [Scope(cooked, everywhere) for cooked in (False, True) for everywhere in (False, True)]


@pytest.mark.parametrize("scope", every_scope())
def test_the_kernel_takes_it(scope: Scope) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        build(Look(256, 2048, PORTS), [parse(text) for text in EXCLUSIONS], 16, scope).attach(any_socket)
        build(Look(256), scope=scope).attach(any_socket)
