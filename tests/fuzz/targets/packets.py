"""Packets through the meter to events, capture files, and the words of `capture.exclude` to the kernel's program."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from agent.captures.exclusion import parse
from agent.captures.filter import Look, Scope, build
from agent.captures.pcap import PcapFile
from agent.captures.pcapng import PcapngFile
from agent.flow import FlowRecord
from agent.meter import LINKS, Meter
from agent.protocols import identify
from tests.agent.packets import Frame, enhanced, frames, interface, pcap, pcapng, section, talk
from tests.fuzz.target import DATA, Target, event_of, flow_of, scratch, segments, sized

START = 1_790_000_000_000_000
SECOND = 1_000_000
LATEST = (1 << 32) * SECOND - 1
"""What fits into a capture's 32 bits."""
STEPS = (1, 30, 59, 61, 299, 301, 3600, 86_400, 1 << 31, -1, -59, -61, -3600, -86_400, -(1 << 31), 0)
"""Seconds that the clock takes at once."""
CAPACITY = 32
BLOCK_HEADER, PACKET_HEADER = 48, 68
UNSEEN = ("short_packets", "other_packets", "deep_packets")


def run(data: bytes) -> list[object]:
    """What a meter makes of packets under a restless clock; every one of them is in a record or counted."""
    if not data:
        return []
    meter = Meter(identify, CAPACITY, 8)
    link = sorted(LINKS)[data[0] & 15 if data[0] & 15 < len(LINKS) else 1]
    live = data[0] & 16
    when = START
    for flags, packet in segments(data[1:]):
        step = STEPS[flags >> 3 & 15] * SECOND if flags & 128 else (flags & 127) * 1000
        when = min(max(when + step, 0), LATEST)
        if not packet:
            meter.tick(when)
        elif live:
            _feed_block(meter, packet, when, 2 if link == 101 else 1, tagged=flags & 1)
        else:
            _feed(meter, packet, when, link, snapped=flags & 7)
        counters = meter.counters()
        assert counters["active_flows"] <= CAPACITY
    meter.close()
    raw = meter.drain()
    counters = meter.counters()
    seen = sum(one.source[0] + one.destination[0] for one in raw if isinstance(one, FlowRecord))
    assert seen + sum(counters[name] for name in UNSEEN) == counters["packets"], f"{seen} packets in records: {counters}"
    assert not counters["active_flows"]
    return [*(flow_of(one) if isinstance(one, FlowRecord) else event_of(one[1], one[0]) for one in raw), counters]


def _feed(meter: Meter, packet: bytes, when: int, link: int, snapped: int) -> None:
    second, micro = divmod(when, SECOND)
    wire = len(packet) + snapped * 211
    buffer = bytearray(struct.pack("<IIII", second, micro, len(packet), wire) + packet)
    meter.use(buffer)
    assert meter.feed(0, len(buffer), LINKS[link], False, False, 262_144) == len(buffer)


def _feed_block(meter: Meter, packet: bytes, when: int, link: int, tagged: int) -> None:
    """The packet twice, in a block as the kernel lays one out (linux/if_packet.h)."""
    second, micro = divmod(when, SECOND)
    step = (PACKET_HEADER + len(packet) + 15) & ~15
    buffer = bytearray(BLOCK_HEADER + 2 * step)
    struct.pack_into("<IIIII", buffer, 0, 1, BLOCK_HEADER, 1, 2, BLOCK_HEADER)
    for number in range(2):
        at = BLOCK_HEADER + number * step
        following = step if number == 0 else 0
        head = (following, second, micro * 1000, len(packet), len(packet) + 7, tagged << 4, PACKET_HEADER, PACKET_HEADER)
        struct.pack_into("<IIIIIIHHII", buffer, at, *head, 0, 0xF00C)
        buffer[at + PACKET_HEADER : at + PACKET_HEADER + len(packet)] = packet
    meter.use(buffer)
    assert meter.feed_block(0, len(buffer), link) == 2


def _packets(name: str, count: int) -> Iterator[bytes]:
    """The first packets of a capture among the tests' data."""
    content = (DATA / name).read_bytes()
    order = PcapFile.MAGIC[content[:4]][0]
    at = 24
    while at + 16 <= len(content) and count:
        length = struct.unpack_from(order + "I", content, at + 8)[0]
        yield content[at + 16 : at + 16 + length]
        at += 16 + length
        count -= 1


SAMPLES = ("dicom/a06_assoc_abort.pcap", "hl7/hl7_mllp_benign.pcap", "morning/capture.pcap")


def packets() -> Iterator[bytes]:
    """Conversations of the samples, live and from a file, through quiet and through restless time."""
    for name in SAMPLES:
        sample = list(_packets(name, 40))
        for first in (1, 17):
            yield bytes([first]) + b"".join(sized(5, packet) for packet in sample)
    sample = list(_packets(SAMPLES[2], 16))
    for step in range(len(STEPS)):
        yield b"\1" + b"".join(sized(128 | step << 3 if number % 4 == 3 else 9, one) for number, one in enumerate(sample))
    for name in _wrapped():
        yield b"\1" + sized(5, name)


def _wrapped() -> Iterator[bytes]:
    """A datagram in each wrapping that the meter looks through (as the meter's tests build them)."""
    inner = bytes.fromhex("45000020000100004011000a0a0000010a0000029c400035000c0000") + b"abcd"
    six = bytes.fromhex("6000000000203c40" + "20010db8" + "00" * 11 + "01" + "20010db8" + "00" * 11 + "02")
    mac = bytes.fromhex("020000000001020000000002")
    whole = mac + b"\x08\0" + inner
    outer = bytes.fromhex("4500000000010000402f00000101010102020202")
    yield mac + bytes.fromhex("8100000c88a8000d0800") + inner
    yield mac + bytes.fromhex("884700010000" + "00010100") + inner
    yield mac + bytes.fromhex("88470001010000000000") + whole
    yield mac + bytes.fromhex("88641100000000220021") + inner
    yield mac + b"\x08\0" + outer + bytes.fromhex("00000800") + inner
    yield mac + b"\x08\0" + outer + bytes.fromhex("b0006558" + "00" * 12) + whole
    yield mac + b"\x08\0" + outer + bytes.fromhex("100022eb00000001" + "00" * 11 + "01" + "00" * 8) + whole
    yield mac + b"\x08\0" + outer + bytes.fromhex("3001880b00040001" + "0000000100210000") + inner
    yield mac + bytes.fromhex("86dd") + six + bytes.fromhex("1100000000000000") + inner[20:]
    yield mac + bytes.fromhex("0806" + "0001080006040001" + "0200000000010a000001" + "000000000000" + "0a000002")


def capture(reader: type[PcapFile | PcapngFile], data: bytes) -> list[object]:
    """What a capture file's reader makes of the content; its faults, and that its way through the file goes on."""
    path = scratch() / "capture"
    path.write_bytes(data)
    if data[:4] not in reader.MAGIC:
        return ["no capture"]
    try:
        source = reader(path)
    except ValueError:
        return ["refused"]
    meter = Meter(identify, CAPACITY, 8)
    steps = list(source.read(meter))
    assert all(0 <= when <= LATEST for when, _ in steps)
    assert not steps or steps[-1][1] <= source.size
    meter.close()
    raw = meter.drain()
    rows = [flow_of(one) if isinstance(one, FlowRecord) else event_of(one[1], one[0]) for one in raw]
    return [dict(sorted(source.faults.items())), steps, rows, meter.counters()]


def pcaps() -> Iterator[bytes]:
    """Of each order and resolution, whole and broken."""
    sample = [Frame(START + number * 999, packet, len(packet)) for number, packet in enumerate(_packets(SAMPLES[0], 12))]
    for order in "<>":
        for nano in (False, True):
            whole = pcap(sample, order=order, nano=nano)
            yield whole
            yield whole[:60] + bytes(7) + whole[60:]
            yield whole[:-9]
    yield (DATA / SAMPLES[1]).read_bytes()[:4000]


def pcapngs() -> Iterator[bytes]:
    """Of either order, with several interfaces and clocks, whole and broken."""
    sample = talk("> S", "< SA", "> A", "> PA 40", "< A", "+61", "< PA 9", "> FA", "< FA")
    for order in "<>":
        whole = pcapng(sample, order=order)
        yield whole
        yield whole[:100] + bytes(5) + whole[100:-3]
        many = section(order) + b"".join(interface(1, resolution, order) for resolution in (0, 9, 0x8A, 0xFF))
        yield many + b"".join(enhanced(one, number % 5, order=order) for number, one in enumerate(sample))
    yield pcapng(frames(b"\x45" + bytes(40)), link=101)


SCOPES = (Scope(), Scope(cooked=True), Scope(False, True), Scope(True, True))


def exclude(data: bytes) -> object:
    """The program of these entries, a line each, in every scope: where there is one, the kernel takes it."""
    entries = data.decode("utf-8", "surrogateescape").split("\n")
    try:
        exclusions = [parse(entry) for entry in islice(entries, 64)]
        programs = [build(Look(256, 1500, (104, 2575)), exclusions, 4, scope) for scope in SCOPES]
    except ValueError:
        return "refused"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as kernel:
        for program in programs:
            program.attach(kernel)
    return [len(program) for program in programs]


def exclusions() -> Iterable[bytes]:
    """Each kind of term."""
    yield b"host 10.0.0.5 and tcp port 9092"
    yield b"src net 10.9.0.0/16\ndst net 2001:db8::/33\narp\nicmp6"
    yield b"udp dst port 53\nsctp\nip6 and port 53\nhost fe80::1"
    yield b"\n".join(b"net 10.%d.0.0/16" % number for number in range(60))


def _in(reader: type[PcapFile | PcapngFile]) -> Callable[[bytes], object]:
    return lambda data: capture(reader, data)


TARGETS = {
    "meter": Target("meter", run, packets, compiled=True),
    "pcap": Target("pcap", _in(PcapFile), pcaps, compiled=True),
    "pcapng": Target("pcapng", _in(PcapngFile), pcapngs, compiled=True),
    "exclude": Target("exclude", exclude, exclusions, limit=2048),
}
