from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.capture import CHUNK
from agent.captures.pcapng import MAX_INTERFACES, PcapngFile
from tests.agent.packets import (
    RAW,
    SECOND,
    START,
    block,
    enhanced,
    frame,
    frames,
    interface,
    metered,
    pcapng,
    read_file,
    section,
    segment,
)

PACKETS = frames(*[segment(100 * number, 50 + number % 40) for number in range(60)])


@pytest.mark.parametrize("order", ["<", ">"])
def test_either_byte_order(tmp_path: Path, order: str) -> None:
    found, faults, steps = read_file(tmp_path, pcapng(PACKETS, order=order), PcapngFile)
    assert (found.rows, faults) == (metered(PACKETS).rows, {})
    assert steps[-1] == (PACKETS[-1].when, (tmp_path / "capture").stat().st_size)


def test_interfaces_have_their_own_link_type_and_clock(tmp_path: Path) -> None:
    clocks = [(None, SECOND), (9, 10**9), (3, 1000), (0x80 | 10, 1 << 10), (0x80 | 63, 1 << 63), (6, SECOND)]
    content = section() + b"".join(interface(RAW if number == 2 else 1, code) for number, (code, _) in enumerate(clocks))
    for number, (_, per_second) in enumerate(clocks):
        whole = frame(segment(1, 10, client=("10.0.0.1", 40_000 + number)))
        if number == 2:
            whole = whole._replace(data=whole.data[14:], wire=whole.wire - 14)
        if per_second < 1 << 40:
            content += enhanced(whole, number, per_second)
    found, faults, _ = read_file(tmp_path, content, PcapngFile)
    assert (found.packets, faults) == (5, {})
    assert {row.begin for row in found.rows} == {START}


def test_a_clock_with_an_offset(tmp_path: Path) -> None:
    options = struct.pack("<HHq", 14, 8, 1_000_000_000) + bytes(4)
    one = frame(segment(1, 10))._replace(when=START - 1_000_000_000 * SECOND)
    content = section() + block(1, struct.pack("<HHI", 1, 0, 0) + options) + enhanced(one)
    assert read_file(tmp_path, content, PcapngFile)[0].only.begin == START


def test_sections_begin_anew(tmp_path: Path) -> None:
    content = pcapng(PACKETS[:20]) + pcapng(PACKETS[20:40], order=">") + pcapng(PACKETS[40:])
    found, faults, _ = read_file(tmp_path, content, PcapngFile)
    assert (found.rows, faults) == (metered(PACKETS).rows, {})
    content = pcapng(PACKETS[:20]) + section() + enhanced(PACKETS[20])
    found, faults, _ = read_file(tmp_path, content, PcapngFile)
    assert (found.packets, faults) == (20, {"broken_record": 1})


def test_simple_packets_have_the_time_of_the_one_before(tmp_path: Path) -> None:
    data = segment(1, 11)
    simple = block(3, struct.pack("<I", len(data)) + data)
    cut = block(3, struct.pack("<I", 1000) + segment(12, 946)[:64])
    found, faults, _ = read_file(tmp_path, pcapng(PACKETS[:1]) + simple + cut, PcapngFile)
    assert (found.packets, found.only.last, faults) == (3, START, {})
    assert found.only.ours.bytes == PACKETS[0].wire - 14 + 51 + 986
    found, faults, _ = read_file(tmp_path, section() + simple, PcapngFile)
    assert (found.packets, faults) == (0, {"broken_record": 1})


def test_other_blocks_are_passed_over(tmp_path: Path) -> None:
    other = b"".join(block(kind, bytes(range(20))) for kind in (4, 5, 10, 0x0BAD, 0x8000_0000))
    found, faults, _ = read_file(tmp_path, pcapng(PACKETS[:3]) + other + enhanced(PACKETS[3]), PcapngFile)
    assert (found.packets, faults) == (4, {})


def test_old_packet_blocks(tmp_path: Path) -> None:
    old = struct.pack("<HHIIII", 0, 7, START >> 32, START & 0xFFFF_FFFF, len(PACKETS[0].data), PACKETS[0].wire)
    content = section() + interface() + block(2, old + PACKETS[0].data)
    assert read_file(tmp_path, content, PcapngFile)[0].only.begin == START


def test_what_cannot_be_metered_is_counted(tmp_path: Path) -> None:
    one = PACKETS[0]
    foreign = section() + interface(147) + enhanced(one) + interface() + enhanced(one, 1)
    found, faults, _ = read_file(tmp_path, foreign, PcapngFile)
    assert (found.packets, faults) == (1, {"unreadable_link_type": 1})
    head = section() + interface()
    for bad in (
        enhanced(one, 1),
        enhanced(one._replace(when=0xFFFF_FFFF * SECOND + 1)),
        enhanced(one._replace(wire=0x7FF_FFFF + 1)),
        block(6, struct.pack("<IIIII", 0, START >> 32, START & 0xFFFF_FFFF, 100, 100) + bytes(60)),
        block(6, bytes(12)),
        block(3, b""),
        block(1, bytes(4)),
    ):
        found, faults, steps = read_file(tmp_path, head + bad + enhanced(PACKETS[1]), PcapngFile)
        assert (found.packets, faults) == (1, {"broken_record": 1})
        assert steps[-1][0] == PACKETS[1].when
    found, faults, _ = read_file(tmp_path, section() + interface() * (MAX_INTERFACES + 5), PcapngFile)
    assert faults == {"broken_record": 5}


def damaged(at: int, damage: bytes, *, instead: bool = False) -> bytes:
    head, blocks = section() + interface(), [enhanced(one) for one in PACKETS]
    if instead:
        blocks[at] = damage + blocks[at][len(damage) :]
    else:
        blocks.insert(at, damage)
    return head + b"".join(blocks)


@pytest.mark.parametrize("at", [0, 30, 58, 59])
@pytest.mark.parametrize("length", [0, 8, 33, 1 << 31, 0xFFFF_FFFC, 32, 100_000])
def test_a_broken_block_costs_itself(tmp_path: Path, at: int, length: int) -> None:
    found, faults, _ = read_file(tmp_path, damaged(at, struct.pack("<II", 6, length), instead=True), PcapngFile)
    assert found.packets == 59
    assert faults["truncated_record" if length == 100_000 else "broken_record"] == 1


@pytest.mark.parametrize("damage", [b"\xa5" * 500, bytes(1000), b"abc", b"\n\r\r\nxxxxxxxxxxxx", bytes(range(256)) * 4096])
def test_what_stands_between_blocks_is_skipped(tmp_path: Path, damage: bytes) -> None:
    found, faults, _ = read_file(tmp_path, damaged(30, damage), PcapngFile)
    assert found.packets == 60
    assert faults == {"broken_record": 1, "skipped_bytes": len(damage)}


@pytest.mark.parametrize("shift", range(-40, 41, 5))
def test_damage_at_the_end_of_a_chunk(tmp_path: Path, shift: int) -> None:
    packets = [frame(segment(number, 1000), number / 1000) for number in range(600)]
    one = len(enhanced(packets[0]))
    before = CHUNK // one - 5
    start = pcapng(packets[:before])
    damage = b"\xff" * (CHUNK - len(start) + shift)
    content = start + damage + b"".join(map(enhanced, packets[before:]))
    found, faults, _ = read_file(tmp_path, content, PcapngFile)
    assert found.packets == 600
    assert faults == {"broken_record": 1, "skipped_bytes": len(damage)}


def test_a_truncated_tail(tmp_path: Path) -> None:
    whole = pcapng(PACKETS)
    for cut in range(1, len(enhanced(PACKETS[-1]))):
        found, faults, _ = read_file(tmp_path, whole[:-cut], PcapngFile)
        assert found.packets == 59
        assert faults["truncated_record"] == 1


@given(
    st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 255)), max_size=12),
    st.lists(st.tuples(st.integers(0, 5000), st.binary(max_size=40)), max_size=4),
    st.integers(28, 9000),
    st.sampled_from("<>"),
)
@settings(max_examples=200, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_to_their_end(
    tmp_path: Path, changes: list[tuple[int, int]], inserts: list[tuple[int, bytes]], cut: int, order: str
) -> None:
    content = bytearray(pcapng(PACKETS[:30], order=order))
    for at, value in changes:
        content[at % len(content)] = value
    for at, extra in inserts:
        content[at:at] = extra
    found, faults, steps = read_file(tmp_path, bytes(content[:cut]), PcapngFile)
    counted = sum(found.counters[reason] for reason in ("short_packets", "other_packets", "deep_packets"))
    assert found.packets + counted == found.counters["packets"] <= 40
    assert all(count > 0 for count in faults.values())
    assert steps[-1][1] == len(content[:cut])


@given(st.binary(max_size=3000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_but_noise(tmp_path: Path, noise: bytes) -> None:
    _, faults, _ = read_file(tmp_path, section() + noise, PcapngFile)
    assert faults or not noise or len(noise) >= 12
