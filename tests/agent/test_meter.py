from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from itertools import pairwise
from math import isqrt
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scapy.contrib.erspan import ERSPAN_II
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import GRE, ICMP, IP, TCP, UDP, IPOption_Timestamp
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    fragment6,
)
from scapy.layers.l2 import ARP, GRE_PPTP, CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Ether, Loopback
from scapy.layers.ppp import PPP, PPPoE
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from agent import meter as module
from agent.meter import LINKS, Meter
from agent.privacy import _gaps, _sizes
from agent.protocol import DONE, FOREIGN, Parser
from tests.agent.packets import (
    ETHERNET,
    MINUTE,
    RAW,
    SECOND,
    START,
    Frame,
    Row,
    Side,
    Worker,
    answer,
    collect,
    datagram,
    feed,
    frame,
    frames,
    metered,
    nothing,
    read,
    record,
    segment,
    several,
    talk,
)

A, B = "10.0.0.1", "10.0.0.2"
A6, B6 = "2001:db8::1", "2001:db8::2"
LINK = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
MACS = (0x020000000001, 0x020000000002)
HELLO = Raw(b"hello, world")


def udp(source: str = A, destination: str = B) -> Packet:
    network = IPv6 if ":" in source else IP
    return network(src=source, dst=destination) / UDP(sport=40_000, dport=5000) / HELLO


def built(packet: Packet) -> bytes:
    return bytes(packet)


def ends(row: Row) -> tuple[str, int, str, int]:
    return row.source, row.source_port, row.destination, row.destination_port


HOME = (A, 40_000, B, 5000)
HOME6 = (A6, 40_000, B6, 5000)

IP4_SIZE = 20 + 8 + 12
IP6_SIZE = 40 + 8 + 12

ETHERNETS: dict[str, tuple[Packet, tuple[str, int, str, int], int]] = {
    "ipv4": (LINK / udp(), HOME, IP4_SIZE),
    "ipv6": (LINK / udp(A6, B6), HOME6, IP6_SIZE),
    "vlan": (LINK / Dot1Q(vlan=12) / udp(), HOME, IP4_SIZE),
    "vlan ipv6": (LINK / Dot1Q(vlan=12, prio=5) / udp(A6, B6), HOME6, IP6_SIZE),
    "qinq": (LINK / Dot1AD(vlan=12) / Dot1Q(vlan=40) / udp(), HOME, IP4_SIZE),
    "old qinq": (LINK / Dot1Q(vlan=12, type=0x9100) / Dot1Q(vlan=40) / udp(), HOME, IP4_SIZE),
    "mpls": (LINK / MPLS(label=16, s=1) / udp(), HOME, IP4_SIZE),
    "mpls twice": (LINK / MPLS(label=16, s=0) / MPLS(label=17, s=1) / udp(A6, B6), HOME6, IP6_SIZE),
    "mpls pseudowire": (LINK / MPLS(label=16, s=1) / Raw(bytes(4)) / LINK / udp(), HOME, IP4_SIZE),
    "gre": (LINK / IP(src="1.1.1.1", dst="2.2.2.2") / GRE() / udp(), HOME, IP4_SIZE),
    "gre key": (LINK / IP() / GRE(key_present=1, key=7) / udp(), HOME, IP4_SIZE),
    "gre checksum": (LINK / IP() / GRE(chksum_present=1) / udp(A6, B6), HOME6, IP6_SIZE),
    "gre all": (LINK / IP() / GRE(chksum_present=1, key_present=1, seqnum_present=1) / udp(), HOME, IP4_SIZE),
    "gre ethernet": (LINK / IP() / GRE(proto=0x6558) / LINK / udp(), HOME, IP4_SIZE),
    "gre in ipv6": (LINK / IPv6() / GRE() / udp(), HOME, IP4_SIZE),
    "pptp": (LINK / IP() / GRE_PPTP(seqnum_present=1) / PPP(proto=0x21) / udp(), HOME, IP4_SIZE),
    "pptp ipv6": (
        LINK / IP() / GRE_PPTP(seqnum_present=1, acknum_present=1) / Raw(b"\xff\x03\0\x57") / udp(A6, B6),
        HOME6,
        IP6_SIZE,
    ),
    "erspan 1": (LINK / IP() / GRE(proto=0x88BE) / LINK / udp(), HOME, IP4_SIZE),
    "erspan 2": (LINK / IP() / GRE(proto=0x88BE, seqnum_present=1) / ERSPAN_II() / LINK / udp(), HOME, IP4_SIZE),
    "erspan 3": (LINK / IP() / GRE(proto=0x22EB, seqnum_present=1) / Raw(bytes(12)) / LINK / udp(), HOME, IP4_SIZE),
    "erspan 3, platform": (
        LINK / IP() / GRE(proto=0x22EB, seqnum_present=1) / Raw(bytes(11) + b"\1" + bytes(8)) / LINK / udp(),
        HOME,
        IP4_SIZE,
    ),
    "vxlan": (LINK / IP() / UDP(sport=50_000, dport=4789) / VXLAN(flags=8, vni=5) / LINK / udp(), HOME, IP4_SIZE),
    "vxlan, policy": (LINK / IP() / UDP(dport=4789) / VXLAN(flags=0x88, gpid=3) / LINK / udp(), HOME, IP4_SIZE),
    "vxlan vlan": (
        LINK / IPv6() / UDP(sport=50_000, dport=4789) / VXLAN() / LINK / Dot1Q(vlan=12) / udp(A6, B6),
        HOME6,
        IP6_SIZE,
    ),
    "ip in ip": (LINK / IP() / udp(), HOME, IP4_SIZE),
    "6in4": (LINK / IP(proto=41) / udp(A6, B6), HOME6, IP6_SIZE),
    "4in6": (LINK / IPv6(nh=4) / udp(), HOME, IP4_SIZE),
    "pppoe": (LINK / PPPoE() / PPP(proto=0x21) / udp(), HOME, IP4_SIZE),
    "pppoe ipv6": (LINK / PPPoE() / PPP(proto=0x57) / udp(A6, B6), HOME6, IP6_SIZE),
    "options": (
        LINK / IP(src=A, dst=B, options=[IPOption_Timestamp()]) / UDP(sport=40_000, dport=5000) / HELLO,
        HOME,
        IP4_SIZE + 12,
    ),
    "hop by hop": (
        LINK / IPv6(src=A6, dst=B6) / IPv6ExtHdrHopByHop() / UDP(sport=40_000, dport=5000) / HELLO,
        HOME6,
        IP6_SIZE + 8,
    ),
    "all extension headers": (
        LINK
        / IPv6(src=A6, dst=B6)
        / IPv6ExtHdrHopByHop()
        / IPv6ExtHdrDestOpt()
        / IPv6ExtHdrRouting(addresses=["2001:db8::9"])
        / IPv6ExtHdrFragment(m=0, offset=0)
        / IPv6ExtHdrDestOpt()
        / UDP(sport=40_000, dport=5000)
        / HELLO,
        HOME6,
        IP6_SIZE + 8 + 8 + 24 + 8 + 8,
    ),
    "padding": (LINK / udp() / Raw(b""), HOME, IP4_SIZE),
    "offload": (LINK / IP(src=A, dst=B, len=0) / UDP(sport=40_000, dport=5000, len=20) / HELLO, HOME, IP4_SIZE),
    "offload ipv6": (LINK / IPv6(src=A6, dst=B6, plen=0) / UDP(sport=40_000, dport=5000) / HELLO, HOME6, IP6_SIZE),
}


@pytest.mark.parametrize("name", ETHERNETS)
def test_what_wraps_a_packet_is_looked_through(name: str) -> None:
    packet, expected, size = ETHERNETS[name]
    row = metered([frame(packet)]).only
    assert (ends(row), row.protocol) == (expected, 17)
    assert row.ours == Side(1, size, 12, 0, 0, size, size, size * size, 0, 0, 0, 0)
    assert row.theirs == Side(*[0] * 12)
    assert (row.source_mac, row.destination_mac) == MACS
    assert row.vlan == (12 if "vlan" in name or "qinq" in name else 0)
    assert (row.kind, row.begin, row.start, row.last, row.first) == (4 if ":" not in expected[0] else 6, *[START] * 4)


@pytest.mark.parametrize("name", ETHERNETS)
def test_a_cut_header_is_never_worse_than_a_counted_packet(name: str) -> None:
    whole = built(ETHERNETS[name][0])
    for snap in range(len(whole)):
        found = metered([frame(whole, snap=snap)])
        counted = sum(found.counters[reason] for reason in ("short_packets", "other_packets", "deep_packets"))
        assert found.packets + counted == found.counters["packets"] == 1


LINKTYPES: dict[str, tuple[int, Callable[[Packet], Packet]]] = {
    "raw": (101, lambda packet: packet),
    "raw, as BSD has it": (12, lambda packet: packet),
    "ipv4": (228, lambda packet: packet),
    "cooked": (113, lambda packet: CookedLinux(proto=proto(packet)) / packet),
    "cooked vlan": (113, lambda packet: CookedLinux(proto=0x8100) / Dot1Q(vlan=12) / packet),
    "cooked 2": (276, lambda packet: CookedLinuxV2(proto=proto(packet)) / packet),
    "null": (0, lambda packet: Loopback(type=2 if proto(packet) == 0x800 else 30) / packet),
    "null, big-endian": (0, lambda packet: Raw(b"\0\0\0\2" if proto(packet) == 0x800 else b"\0\0\0\x1c") / packet),
    "loop": (108, lambda packet: Raw(b"\0\0\0\2" if proto(packet) == 0x800 else b"\0\0\0\x18") / packet),
}


def proto(packet: Packet) -> int:
    return 0x86DD if packet.version == 6 else 0x0800


@pytest.mark.parametrize("name", LINKTYPES)
def test_link_types(name: str) -> None:
    link, wrapped = LINKTYPES[name]
    found = metered(frames(wrapped(udp()), wrapped(udp(A6, B6))), link=link)
    assert [ends(row) for row in found.rows] == [HOME, HOME6]
    assert [row.ours.bytes for row in found.rows] == [IP4_SIZE, IP6_SIZE]
    assert [row.vlan for row in found.rows] == [12 if "vlan" in name else 0] * 2
    for length in range(1, 24):
        assert metered([frame(bytes(length))], link=link).rows == []


def test_what_is_no_ip_is_counted() -> None:
    packets = [LINK / Raw(bytes(60)), Ether(type=0x88CC) / Raw(bytes(30)), LINK / IP(src=A, dst=B, version=5) / HELLO]
    found = metered(frames(*packets))
    assert (found.rows, found.counters["other_packets"]) == ([], 3)


def test_tunnels_in_tunnels_end() -> None:
    packet = udp()
    for _ in range(30):
        packet = IP() / packet
    found = metered([frame(LINK / packet)])
    assert (found.rows, found.counters["deep_packets"]) == ([], 1)
    layers = built(LINK / udp())
    for _ in range(12):
        layers = built(LINK / IP() / GRE(proto=0x6558) / Raw(layers))
    assert metered([frame(layers)]).counters["deep_packets"] == 1


def test_echo_and_reply_are_one_flow() -> None:
    for request, reply, protocol in (
        (IP(src=A, dst=B) / ICMP(type=8), IP(src=B, dst=A) / ICMP(type=0), 1),
        (IP(src=B, dst=A) / ICMP(type=13), IP(src=A, dst=B) / ICMP(type=14), 1),
        (IPv6(src=A6, dst=B6) / ICMPv6EchoRequest(), IPv6(src=B6, dst=A6) / ICMPv6EchoReply(), 58),
        (IPv6(src=A6, dst=B6) / ICMPv6ND_NS(tgt=B6), IPv6(src=B6, dst=A6) / ICMPv6ND_NA(tgt=B6), 58),
    ):
        row = metered(frames(LINK / request, LINK / reply, LINK / request)).only
        assert (row.source, row.destination, row.protocol) == (request.src, request.dst, protocol)
        assert (row.ours.packets, row.theirs.packets) == (2, 1)


def test_unrelated_icmp_is_apart() -> None:
    unreachable = IP(src=A, dst=B) / ICMP(type=3, code=1) / IP() / UDP()
    solicit = IPv6(src=A6, dst="ff02::1:ff00:2") / ICMPv6ND_NS(tgt=B6) / ICMPv6NDOptSrcLLAddr()
    found = metered(frames(LINK / unreachable, LINK / IP(src=A, dst=B) / ICMP(), LINK / solicit))
    assert [(row.source_port, row.destination_port) for row in found.rows] == [(3, 1), (8, 0), (135, 136)]


def test_arp() -> None:
    mac = "02:00:00:00:00:07"
    who_has = Ether() / ARP(op=1, hwsrc=mac, psrc=A, pdst=B)
    is_at = Ether() / ARP(op=2, hwsrc=mac, psrc=A, pdst=B)
    mine = Ether() / ARP(op=1, hwsrc=mac, psrc=A, pdst=A)
    found = metered(frames(who_has, who_has, is_at, mine, is_at / Raw(bytes(18))))
    tallies = {(row.requests, row.replies, row.gratuitous): row for row in found.rows}
    assert set(tallies) == {(2, 0, 0), (0, 2, 0), (0, 0, 1)}
    for row in found.rows:
        assert (row.kind, row.source, row.source_mac, row.ours.smallest) == (1, A, 0x020000000007, 28)
        assert (row.source_port, row.destination_port, row.protocol) == (0, 0, 0)
    foreign = built(who_has).replace(bytes([0, 1, 8, 0]), bytes([0, 6, 8, 0]))
    assert metered([frame(foreign), frame(built(who_has)[:40])]).counters == {
        **metered([]).counters,
        "packets": 2,
        "other_packets": 1,
        "short_packets": 1,
    }


def pieces(version: int, size: int = 4000, source: int = 1) -> list[bytes]:
    if version == 4:
        whole = IP(src=f"10.0.0.{source}", dst=B, id=7) / UDP(sport=40_000, dport=5000) / Raw(bytes(size))
        return [built(LINK / one) for one in whole.fragment(fragsize=1480)]
    whole = IPv6(src=A6, dst=B6) / IPv6ExtHdrFragment(id=7) / UDP(sport=40_000, dport=5000) / Raw(bytes(size))
    return [built(LINK / one) for one in fragment6(whole, 1280)]


@pytest.mark.parametrize("version", [4, 6])
def test_fragments_have_the_ports_of_the_first(version: int) -> None:
    parts = pieces(version)
    assert len(parts) > 2
    found = metered(frames(*parts))
    assert ends(found.only) == (HOME if version == 4 else HOME6)
    assert found.only.ours.packets == len(parts)
    assert found.only.ours.payload == 4000
    assert found.counters["orphan_fragments"] == 0


@pytest.mark.parametrize("version", [4, 6])
def test_a_fragment_without_its_first_is_counted(version: int) -> None:
    parts = pieces(version)
    found = metered(frames(*parts[1:]))
    assert found.counters["orphan_fragments"] == len(parts) - 1
    assert (found.only.source_port, found.only.destination_port) == (0, 0)
    late = [frame(parts[0]), frame(parts[1], 31)]
    assert metered(late).counters["orphan_fragments"] == 1


def test_many_datagrams_in_pieces_at_once() -> None:
    every = [pieces(4, source=number) for number in range(60)]
    found = metered(frames(*[one for turn in zip(*every, strict=True) for one in turn]))
    assert (found.counters["orphan_fragments"], len(found.rows)) == (0, 60)


def test_fragments_of_a_protocol_without_ports_are_no_orphans() -> None:
    parts = (IP(src=A, dst=B, proto=50) / Raw(bytes(3000))).fragment(fragsize=1400)
    found = metered(frames(*[LINK / one for one in parts]))
    assert (found.only.protocol, found.only.ours.packets, found.counters["orphan_fragments"]) == (50, 3, 0)


def test_fragments_of_tcp_are_no_retransmissions() -> None:
    tcp = [TCP(sport=40_000, dport=104, seq=5000 + 2000 * number) / Raw(bytes(2000)) for number in (1, 2, 3)]
    sent = [IP(src=A, dst=B, id=number) / whole for number, whole in enumerate(tcp)]
    parts = [LINK / one for whole in sent for one in whole.fragment(fragsize=1000)]
    row = metered(frames(*parts)).only
    assert (row.ours.packets, row.ours.payload, row.ours.again) == (9, 6000, 0)


def test_what_follows_a_fragment_header_is_read_in_the_first_fragment_only() -> None:
    """Data of a later fragment is no chain of extension headers, whatever it holds."""
    data = bytes([17, 0, 0, 0, 0, 0, 0, 0]) + struct.pack(">HHHH", 1, 2, 16, 0) + bytes(8)
    later = IPv6(src=A6, dst=B6) / IPv6ExtHdrFragment(nh=60, offset=5, m=0, id=9) / Raw(data)
    found = metered([frame(LINK / later)])
    assert (found.only.protocol, found.only.ours.payload) == (60, 24)


@pytest.mark.parametrize("snap", [64, 96, 256])
def test_snap_length_changes_no_count(snap: int) -> None:
    chunks = [
        LINK / IP(src=A, dst=B) / TCP(sport=40_000, dport=104, seq=1000 * n, flags="PA") / Raw(bytes(1000)) for n in range(5)
    ] + [LINK / IPv6(src=A6, dst=B6) / TCP(sport=9, dport=104, seq=1000 * n, flags="A") / Raw(bytes(1000)) for n in range(5)]
    chunks += [LINK / udp() / Raw(bytes(900)), LINK / udp(A6, B6) / Raw(bytes(900)), *map(Ether, pieces(4))]
    whole, cut = metered(frames(*chunks)), metered(frames(*chunks, snap=snap))
    for one, other in zip(whole.rows, cut.rows, strict=True):
        assert ends(one) == ends(other)
        assert one.ours._replace(flags=0) == other.ours._replace(flags=0)


@pytest.mark.parametrize(
    ("state", "steps"),
    {
        "S0": ["> S"],
        "S1": ["> S", "< SA", "> A", "> PA 10", "< PA 10"],
        "SF": ["> S", "< SA", "> A", "> FA", "< FA", "> A"],
        "REJ": ["> S", "< RA"],
        "S2": ["> S", "< SA", "> A", "> FA", "< A"],
        "S3": ["> S", "< SA", "> A", "< FA", "> A"],
        "RSTO": ["> S", "< SA", "> A", "> PA 5", "> RA"],
        "RSTR": ["> S", "< SA", "> A", "< R"],
        "RSTOS0": ["> S", "> R"],
        "RSTRH": ["< SA", "< R"],
        "SH": ["> S", "> FA"],
        "SHR": ["< SA", "< FA"],
        "OTH": ["> PA 10", "< A"],
    }.items(),
)
def test_conn_state_is_zeeks(state: str, steps: list[str]) -> None:
    row = metered(talk(*steps)).only
    assert row.state == state
    assert (row.source, row.destination_port, row.destination_mac) == (A, 104, MACS[1])
    assert row.ours.packets == sum(step[0] == ">" for step in steps)


def test_a_syn_ack_first_tells_who_opened() -> None:
    row = metered(talk("< SA", "> A", "> PA 10", server=(B, 50_000), client=(A, 40_000))).only
    assert (row.source, row.source_port, row.ours.packets, row.theirs.packets) == (A, 40_000, 2, 1)
    assert (row.source_mac, row.destination_mac) == MACS


@pytest.mark.parametrize("first", ["<", ">"])
@pytest.mark.parametrize("client", [A, "10.0.0.9"])
def test_met_in_the_middle_the_well_known_port_is_the_servers(first: str, client: str) -> None:
    second = "<" if first == ">" else ">"
    row = metered(talk(f"{first} PA 10", f"{second} A", client=(client, 40_000))).only
    assert ends(row) == (client, 40_000, B, 104)


def test_ports_used_again_are_a_new_flow() -> None:
    whole = ["> S", "< SA", "> A", "> FA", "< FA", "> A"]
    found = metered(talk(*whole) + talk(*whole, begin=1))
    assert [(row.number, row.state, row.reason, row.ours.packets) for row in found.rows] == [
        (1, "SF", "closed", 4),
        (2, "SF", "end", 4),
    ]
    assert metered(talk("> S", "< RA") * 2).counters["flows"] == 2
    assert metered(talk("> S", "+1", "> S", "+2", "> S")).counters["flows"] == 1


def test_the_same_address_at_both_ends() -> None:
    there, back = datagram((A, 7), (A, 9)), datagram((A, 9), (A, 7))
    row = metered(frames(there, back, there)).only
    assert (ends(row), row.ours.packets, row.theirs.packets) == ((A, 7, A, 9), 2, 1)


def test_retransmissions() -> None:
    sent = [(1000, 100), (1100, 100), (1000, 100), (1200, 100), (1150, 100), (1100, 300)]
    row = metered(frames(*[segment(at, size) for at, size in sent])).only
    assert row.ours.again == 3
    keep_alive = frames(segment(1000, 100), segment(1099, 1), segment(1099, 0), segment(1100, 50))
    assert metered(keep_alive).only.ours.again == 0
    lost = frames(segment(1000, 100), segment(5000, 100), segment(1100, 100))
    assert metered(lost).only.ours.again == 1


def test_sequence_numbers_wrap_around() -> None:
    start = 0xFFFF_FF00
    sent = [segment(start + 100 * number, 100) for number in range(6)]
    assert metered(frames(*sent)).only.ours.again == 0
    assert metered(frames(*sent, *sent)).only.ours.again == 6


def test_first_payload() -> None:
    row = metered(talk("> S", "< SA", "> A", "+1.5", "< PA 10", "> PA 5")).only
    assert (row.first - row.begin, row.begin) == (1_530_000, START)
    assert metered(talk("> S", "< SA")).only.first == 0


Script = list[tuple[bool, int, int]]
"""(from the server, µs since the packet before, payload bytes) a packet"""
scripts = st.lists(st.tuples(st.booleans(), st.integers(0, 800_000), st.integers(0, 1400)), min_size=1, max_size=40)


def play(script: Script) -> list[Frame]:
    found = []
    when = START
    for back, pause, size in script:
        when += pause
        data = datagram((B, 5000), (A, 40_000), size) if back else datagram((A, 40_000), (B, 5000), size)
        found.append(Frame(when, data, len(data)))
    return found


def reference(script: Script, back: bool) -> tuple[list[int], list[int], Side]:
    """Sizes, gaps and totals of one direction, by the textbook."""
    when, times, sizes = 0, [], []
    for direction, pause, size in script:
        when += pause
        if direction == back:
            times.append(when)
            sizes.append(size + 28)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    side = Side(
        len(sizes),
        sum(sizes),
        sum(sizes) - 28 * len(sizes),
        0,
        0,
        min(sizes, default=0),
        max(sizes, default=0),
        sum(size * size for size in sizes),
        min(gaps, default=0),
        max(gaps, default=0),
        sum(gaps),
        sum(gap * gap for gap in gaps),
    )
    return summary(sizes), summary(gaps), side


def summary(values: list[int]) -> list[int]:
    """Minimum, mean, maximum, standard deviation, rounded down."""
    if not values:
        return []
    count, total = len(values), sum(values)
    spread = sum((count * value - total) ** 2 for value in values) // count
    return [min(values), total // count, max(values), isqrt(spread) // count]


@given(scripts)
@example([(False, 0, 10)] * 5)
def test_sizes_and_gaps(script: Script) -> None:
    row = metered(play(script)).only
    for back, side in ((script[0][0], row.ours), (not script[0][0], row.theirs)):
        sizes, gaps, expected = reference(script, back)
        assert side == expected
        assert (_sizes(tuple(side)), _gaps(tuple(side))) == (sizes, gaps)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 29_000_000), st.integers(0, 100)), min_size=1, max_size=40))
def test_partial_records_add_up(script: Script) -> None:
    found = metered(play(script))
    assert {row.number for row in found.rows} == {1}
    assert [row.part for row in found.rows] == sorted({row.part for row in found.rows})
    for back in (False, True):
        sides = [row.ours if back == script[0][0] else row.theirs for row in found.rows]
        expected = reference(script, back)[2]
        assert tuple(map(sum, zip(*(side[:3] for side in sides), strict=True))) == expected[:3]
        assert sum(side.squares for side in sides) == expected.squares
    for row in found.rows:
        assert START <= row.begin <= row.start <= row.last
        assert row.last - row.start <= 61 * SECOND


def test_a_long_flow_is_cut_every_minute() -> None:
    steps = ["> S", "< SA", "> A"] + ["+1", "> PA 100", "< PA 50"] * 300
    found = metered(talk(*steps, every=0.0001))
    assert 5 <= len(found.rows) <= 6
    assert [row.part for row in found.rows] == list(range(len(found.rows)))
    assert {(row.number, row.begin) for row in found.rows} == {(1, START)}
    assert {row.reason for row in found.rows[:-1]} == {"active"}
    assert (found.packets, sum(row.ours.payload for row in found.rows)) == (603, 30_000)
    assert [row.state for row in found.rows] == ["S1"] * len(found.rows)
    assert [row.ours.flags & 2 for row in found.rows] == [2, *[0] * (len(found.rows) - 1)]


def when_out(packets: list[Frame], seconds: int) -> dict[int, Row]:
    """For each record, how many seconds after START it came out while time went on."""
    meter = Meter(nothing)
    feed(meter, packets)
    found = {}
    for second in range(seconds):
        meter.tick(START + second * SECOND)
        for row in read(meter).rows:
            found[second] = row
    return found


@pytest.mark.parametrize(
    ("packets", "patience", "reason"),
    [
        (talk("> S", "< SA", "> A", "> FA", "< FA", "> A"), 2, "closed"),
        (talk("> S", "< RA"), 2, "closed"),
        (talk("> S"), 10, "idle"),
        (talk("> PA 100"), 60, "idle"),
        (frames(datagram((A, 1), (B, 2))), 30, "idle"),
        (frames(LINK / IP(src=A, dst=B) / ICMP()), 10, "idle"),
        (frames(LINK / ARP()), 10, "idle"),
    ],
)
def test_a_flow_that_is_over_comes_out(packets: list[Frame], patience: int, reason: str) -> None:
    ((second, row),) = when_out(packets, 700).items()
    assert (row.reason, row.ours.packets + row.theirs.packets) == (reason, len(packets))
    assert patience <= second <= patience + 2


def test_an_established_silent_flow_waits_five_minutes() -> None:
    found = when_out(talk("> S", "< SA", "> A"), 400)
    assert [row.reason for row in found.values()] == ["active"]
    meter = Meter(nothing)
    feed(meter, talk("> S", "< SA", "> A", "+295", "> PA 5"))
    assert [row.part for row in read(meter).rows] == [0]
    assert meter.counters()["active_flows"] == 1
    meter.tick(START + 700 * SECOND)
    assert [row.part for row in read(meter).rows] == [1]
    assert meter.counters()["active_flows"] == 0


def test_the_table_has_a_cap() -> None:
    packets = [frame(datagram((A, 1000 + number), (B, 5000)), number / 1000) for number in range(100)]
    packets += [frame(datagram((A, 1000), (B, 5000)), 0.2)]
    found = metered(packets, capacity=32)
    assert found.packets == found.counters["packets"] == 101
    evicted = [row for row in found.rows if row.reason == "evicted"]
    assert len(evicted) == found.counters["evicted_flows"] == 70
    assert [row.number for row in evicted] == list(range(1, 71))
    with pytest.raises(ValueError, match="at least 16"):
        Meter(nothing, 15)


def test_those_silent_longest_go_first() -> None:
    """Whenever they were opened: what spoke last stays, and of those that spoke at once the older goes."""
    opened = [frame(datagram((A, 1000 + number), (B, 5000)), number / 100) for number in range(32)]
    spoke = [frame(datagram((A, 1000 + number), (B, 5000)), 1) for number in (0, 3, 31, 30)]
    found = metered([*opened, *spoke, frame(datagram((A, 2000), (B, 5000)), 2)], capacity=32)
    assert [row.number for row in found.rows if row.reason == "evicted"] == [2, 3]
    at_once = [frame(datagram((A, 1000 + number), (B, 5000)), 1) for number in range(33)]
    assert [row.number for row in metered(at_once, capacity=32).rows if row.reason == "evicted"] == [1, 2]


def test_what_waits_has_a_cap() -> None:
    """Flows that are due wait in the table for room; what must go is counted, not told; the rest comes out in order."""
    meter = Meter(nothing, 64)
    meter.room = 10
    feed(meter, [frame(datagram((A, 1000 + number), (B, 5000)), 0) for number in range(60)])
    meter.tick(START + 100 * SECOND)
    assert (meter.waiting(), meter.counters()["active_flows"]) == (10, 50)
    feed(meter, [frame(datagram((A, 3000 + number), (B, 5000)), 100) for number in range(20)])
    counters = meter.counters()
    assert (meter.waiting(), counters["evicted_flows"], counters["untold_records"]) == (10, 8, 8)
    assert [len(meter.drain(6)), len(meter.drain(6)), meter.waiting()] == [6, 4, 0]
    meter.tick(START + 102 * SECOND)
    assert meter.waiting() == 10
    meter.close()
    assert meter.waiting() == 62
    numbers = [row.ends.number for row in [*meter.drain(9), *meter.drain()]]
    assert len(set(numbers)) == 62


@given(st.integers(16, 40), st.integers(0, 2**32))
@settings(max_examples=30)
def test_packets_in_are_packets_out(capacity: int, seed: int) -> None:
    chance = random.Random(seed)
    packets = []
    clock = 0.0
    for _ in range(400):
        clock += chance.choice([0, 0.001, 0.5, 20])
        client = (A, chance.randrange(40_000, 40_060))
        flags = chance.choice(["S", "SA", "A", "PA", "FA", "R"])
        packets.append(frame(segment(chance.randrange(5000), 10, flags, back=chance.random() < 0.4, client=client), clock))
    found = metered(packets, capacity=capacity)
    assert found.packets == 400
    assert {row.number for row in found.rows} == set(range(1, found.counters["flows"] + 1))
    assert found.counters["active_flows"] == 0


@pytest.mark.parametrize("step", [-200.0, -3600.0, -86_400.0, 3600.0, 86_400.0, 86_400 * 400.0])
def test_a_clock_that_is_set_loses_no_packet(step: float) -> None:
    packet = datagram((A, 1), (B, 2))
    before, after = several(100, packet, 1), several(100, packet, 1, begin=100 + step)
    found = metered(before + after)
    assert found.packets == 200
    assert found.counters["clock_steps"] == (1 if step < 0 else 0)
    assert len(found.rows) <= 7
    for row in found.rows:
        assert row.last - row.start <= 61 * SECOND
        assert row.ours.gap_max <= SECOND


def test_a_conversation_that_outlives_a_clock_set_back_is_told_of_meanwhile() -> None:
    meter = Meter(nothing)
    feed(meter, talk("> S", "< SA", "> A"))
    for minute in range(30):
        ask, reply = segment(1001 + minute, 1), segment(1, back=True)
        feed(meter, [frame(ask, 60 * minute - 20_000), frame(reply, 60 * minute - 19_990)])
    rows = read(meter).rows
    assert len(rows) >= 18
    assert {row.number for row in rows} == {1}
    assert sum(row.ours.packets + row.theirs.packets for row in rows) >= 40
    meter.tick(START - 10_000 * SECOND)
    assert meter.counters()["active_flows"] == 0


def test_a_little_disorder_is_no_clock_set_back() -> None:
    packets = several(100, datagram((A, 1), (B, 2)), 1)
    found = metered([packets[number ^ 3] for number in range(100)])
    assert (found.packets, found.counters["clock_steps"]) == (100, 0)
    assert {row.number for row in found.rows} == {1}


def test_packets_at_the_same_time() -> None:
    row = metered(several(3, segment(1, 10), 0) + several(2, segment(1, 0, back=True), 0)).only
    assert (row.ours[8:], row.theirs[8:], row.start, row.last) == ((0,) * 4, (0,) * 4, START, START)


def test_records_in_either_byte_order_and_resolution_say_the_same() -> None:
    packets = [Frame(START + 1_234_567 * number, segment(number, 10), 0) for number in range(20)]
    packets = [one._replace(wire=len(one.data)) for one in packets]
    expected = metered(packets)
    for order in "<>":
        for nano in (False, True):
            data = bytearray(b"".join(record(one, order=order, nano=nano) for one in packets))
            meter = Meter(nothing)
            meter.use(data)
            assert meter.feed(0, len(data), LINKS[ETHERNET], order == ">", nano, 65_535) == len(data)
            meter.close()
            assert read(meter).rows == expected.rows


def test_an_incomplete_record_waits_and_a_broken_one_is_told() -> None:
    good = record(frame(segment(1, 10)))
    for cut in range(1, len(good)):
        meter = Meter(nothing)
        meter.use(bytearray(good + good))
        assert meter.feed(0, len(good) + cut, 1, False, False, 65_535) == len(good) + (len(good) if cut == len(good) else 0)
    for second, micro, held, wire in [(1, 0, 70_000, 70_000), (1, 0, 60, 59), (1, 1_000_000, 60, 60), (1, 0, 0, 0)]:
        meter = Meter(nothing)
        broken = struct.pack("<IIII", second, micro, held, wire)
        meter.use(bytearray(good + broken + bytes(100_000)))
        assert meter.feed(0, len(good) + 100_016, 1, False, False, 65_535) == -1 - len(good)


class Talkative(Parser):
    """Another fact with each payload."""

    __slots__ = ("told",)
    name = "talk"

    def __init__(self) -> None:
        super().__init__()
        self.told = 0

    def data(self, direction: int, payload: bytes, length: int, when: int) -> int:
        self.told += 1
        self.note("network.session", when, {"protocol": str(self.told)})
        return 0


def test_facts_have_twice_the_room() -> None:
    meter = Meter(lambda *_: Talkative(), 64)
    meter.room = 2
    feed(meter, frames(*[datagram((A, 1), (B, 2), b"x")] * 9))
    assert (meter.waiting(), meter.counters()["untold_records"]) == (4, 5)
    meter.close()
    assert len(meter.drain()) == 5  # the flow's record too


class Tape(Parser):
    """Keeps what it is shown, and answers as it is told to."""

    __slots__ = ("answers", "gaps", "shown")
    name = "tape"

    def __init__(self, *answers: int | Exception) -> None:
        super().__init__()
        self.answers = list(answers)
        self.shown: list[tuple[int, bytes, int]] = []
        self.gaps: list[int] = []

    def data(self, direction: int, payload: bytes, length: int, when: int) -> int:
        self.shown.append((direction, payload, length))
        reply = self.answers.pop(0) if self.answers else 0
        if isinstance(reply, Exception):
            raise reply
        self.note("tape", when, {"size": length})
        return reply

    def gap(self, direction: int) -> None:
        self.gaps.append(direction)


def recorded(packets: list[Frame], *answers: int | Exception) -> tuple[Tape, dict[str, int]]:
    tape = Tape(*answers)
    found = metered(packets, identify=lambda *_: tape)
    assert found.only.name == "tape"
    return tape, found.counters


ALPHABET = bytes(range(97, 123))


def letters(*spans: tuple[int, int]) -> list[Frame]:
    return frames(*[segment(1000 + start, ALPHABET[start:end]) for start, end in spans])


def test_a_parser_sees_the_stream_in_order() -> None:
    tape, _ = recorded(letters((0, 5), (5, 9), (0, 5), (3, 12), (6, 10), (12, 26)))
    assert b"".join(payload for _, payload, _ in tape.shown) == ALPHABET
    assert tape.gaps == []


def test_a_parser_is_told_of_a_loss() -> None:
    tape, _ = recorded(letters((0, 5), (9, 12)))
    assert ([payload for _, payload, _ in tape.shown], tape.gaps) == ([b"abcde", b"jkl"], [0])


def test_what_a_parser_skips_is_not_shown() -> None:
    tape, _ = recorded(letters((0, 3), (3, 8), (8, 15), (15, 20)), 10)
    assert ([payload for _, payload, _ in tape.shown], tape.gaps) == ([b"abc", b"no", b"pqrst"], [])
    tape, _ = recorded(letters((0, 3), (8, 15)), 10)  # what was lost was to be skipped
    assert ([payload for _, payload, _ in tape.shown], tape.gaps) == ([b"abc", b"no"], [])
    tape, _ = recorded(letters((0, 3), (16, 20)), 10)  # more was lost
    assert ([payload for _, payload, _ in tape.shown], tape.gaps) == ([b"abc", b"qrst"], [0])


def test_a_parser_sees_what_was_captured() -> None:
    packets = [one._replace(data=one.data[: 54 + 4]) for one in letters((0, 10), (10, 20), (20, 22))]
    tape, _ = recorded(packets)
    assert tape.shown == [(0, b"abcd", 10), (0, b"klmn", 10), (0, b"uv", 2)]
    tape, _ = recorded([*packets[:1], packets[1]._replace(data=packets[1].data[:54]), packets[2]])
    assert tape.shown == [(0, b"abcd", 10), (0, b"uv", 2)]
    tape, _ = recorded(packets[:2], 8)  # what it wants next was not captured
    assert (tape.shown, tape.gaps) == ([(0, b"abcd", 10)], [0])


def test_both_directions_have_their_own_place() -> None:
    tape, _ = recorded(
        frames(
            segment(10, b"one"), segment(900, b"two", back=True), segment(13, b"three"), segment(903, b"four", back=True)
        ),
        1,
    )
    assert tape.shown == [(0, b"one", 3), (1, b"two", 3), (0, b"hree", 4), (1, b"four", 4)]


def test_done_and_bad_bytes_end_a_conversation() -> None:
    tape, counters = recorded(letters((0, 3), (3, 8), (8, 15)), DONE)
    assert (len(tape.shown), counters["abandoned_conversations"]) == (1, 0)
    tape, counters = recorded(letters((0, 3), (3, 8), (8, 15)), 0, ValueError("what is this"))
    assert (len(tape.shown), counters["abandoned_conversations"]) == (2, 1)
    tape, counters = recorded(letters((0, 3), (3, 8), (8, 15)), 0, FOREIGN)
    assert (len(tape.shown), counters["abandoned_conversations"]) == (2, 1)


def test_conversations_over_the_cap_are_counted_and_still_metered() -> None:
    packets = [frame(segment(1, b"x", client=(A, 40_000 + number)), number / 100) for number in range(10)]
    found = metered(packets, identify=lambda *_: Tape(), max_parsers=4)
    assert [row.name for row in found.rows] == ["tape"] * 4 + [""] * 6
    assert (found.packets, found.counters["unparsed_conversations"]) == (10, 6)


def test_only_the_first_payloads_of_a_minute_are_offered() -> None:
    asked: list[tuple[str, bytes, int, int]] = []

    def ask(*offer: Any) -> None:
        asked.append(offer)

    metered([*several(100, segment(1, b"x"), 1), frame(LINK / IP(src=A, dst=B) / ICMP() / HELLO, 100)], identify=ask)
    assert asked == [("tcp", b"x", 40_000, 104)] * 8


def test_facts_come_before_the_record_they_belong_to() -> None:
    meter = Meter(lambda *_: Tape())
    feed(meter, talk("> S", "< SA", "> PA 10", "> PA 10", "< PA 10"))
    meter.close()
    found = read(meter)
    assert [(count, fields) for _, _, _, count, fields in found.facts] == [(1, [("size", 10)]), (2, [("size", 10)])]
    assert {number for number, *_ in found.facts} == {found.only.number}


def test_facts_of_a_minute_over_the_cap_are_counted() -> None:
    packets = frames(*[segment(1 + size * (size - 1) // 2, size) for size in range(1, 101)])
    found = metered(packets, identify=lambda *_: Tape())
    assert (len(found.facts), found.counters["facts_over_cap"]) == (64, 36)


@pytest.fixture(scope="module")
def interpreted() -> Iterator[Worker]:
    if str(module.__file__).endswith(".py"):
        pytest.skip("agent.meter is not compiled here: there is one form only")
    worker = Worker(NIGRANI_PURE="1")
    yield worker
    worker.close()


REAL = [built(packet) for packet, _, _ in ETHERNETS.values()] + pieces(4) + pieces(6)
CHATTER = talk(
    "> S", "< SA", "> A", "> PA 100", "< PA 300", "> PA 100", "+61", "> PA 10", "< A", "> FA", "< FA", "> A", "+4", "> S"
)


def test_both_forms_say_the_same_of_ordinary_packets(interpreted: Worker) -> None:
    packets = [*frames(*REAL), *[frame(one.data, 100 + number) for number, one in enumerate(CHATTER)]]
    for capacity in (16, 64):
        assert interpreted.ask(packets, capacity=capacity) == answer(packets, capacity=capacity)
    for link, wrapped in LINKTYPES.values():
        packets = frames(wrapped(udp()), wrapped(udp(A6, B6)))
        assert interpreted.ask(packets, link=link) == answer(packets, link=link)


times = st.one_of(
    st.integers(START, START + 5 * SECOND),
    st.sampled_from([0, 1, START - 3600 * SECOND, START + MINUTE, START + 400 * SECOND, 0xFFFF_FFFF * SECOND]),
    st.integers(START - 4000 * SECOND, START + 4000 * SECOND),
)


@st.composite
def hostile(draw: st.DrawFn) -> Frame:
    """Random bytes, and real packets with some bytes changed, cut, or claimed longer than they are."""
    data = bytearray(draw(st.binary(max_size=120) | st.sampled_from([*REAL, *(one.data for one in CHATTER)])))
    for at, value in draw(st.lists(st.tuples(st.integers(0, 130), st.integers(0, 255)), max_size=6)):
        if data:
            data[at % len(data)] = value
    cut = draw(st.integers(0, len(data)) | st.just(len(data)))
    return Frame(draw(times), bytes(data[:cut]), draw(st.sampled_from([len(data), cut, len(data) + 1400, 0x7FFFFFF])))


@given(
    st.lists(hostile(), max_size=40),
    st.sampled_from([*LINKS]),
    st.sampled_from([16, 64]),
    st.sampled_from([2, 64]),
)
@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
def test_both_forms_say_the_same_of_hostile_packets(
    interpreted: Worker, packets: list[Frame], link: int, capacity: int, max_parsers: int
) -> None:
    packets = [one._replace(wire=max(one.wire, len(one.data), 1)) for one in packets]
    request = {"link": link, "capacity": capacity, "max_parsers": max_parsers}
    expected = answer(packets, **request)
    assert interpreted.ask(packets, **request) == expected
    counters = expected[2]
    assert (
        counters["packets"]
        == len(packets)
        == sum(row[18][0] + row[19][0] for row in expected[0])
        + sum(counters[reason] for reason in ("short_packets", "other_packets", "deep_packets"))
    )


def test_both_forms_say_the_same_of_squares_that_overflow(interpreted: Worker) -> None:
    packet = datagram((A, 1), (B, 2))
    packets = [frame(packet, -3600.0 * (number % 2)) for number in range(20)]
    assert interpreted.ask(packets) == answer(packets)


def test_collect_reads_raw_ip() -> None:
    assert collect(Meter(nothing), frames(udp()), RAW).packets == 1
