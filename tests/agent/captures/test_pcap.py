from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.capture import CHUNK
from agent.captures.pcap import PcapFile
from agent.meter import Meter
from tests.agent.packets import MINUTE, RAW, SECOND, START, Frame, frame, frames, metered, pcap, read_file, record, segment

PACKETS = frames(*[segment(100 * number, 50 + number % 40) for number in range(60)])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
def test_every_form_reads_the_same(tmp_path: Path, order: str, nano: bool) -> None:
    found, faults, steps = read_file(tmp_path, pcap(PACKETS, order=order, nano=nano), PcapFile)
    assert found.rows == metered(PACKETS).rows
    assert (faults, found.packets) == ({}, 60)
    assert steps[-1] == (PACKETS[-1].when, (tmp_path / "capture").stat().st_size - 24)


def test_many_chunks(tmp_path: Path) -> None:
    packets = [frame(segment(number, 1000 + number % 300), number / 1000) for number in range(800)]
    found, faults, steps = read_file(tmp_path, pcap(packets), PcapFile)
    assert (faults, found.packets) == ({}, 800)
    assert [done for _, done in steps[:3]] == [CHUNK, 2 * CHUNK, 3 * CHUNK]
    assert [when for when, _ in steps] == sorted(when for when, _ in steps)


def test_link_type_with_the_length_of_a_checksum(tmp_path: Path) -> None:
    raw = [one._replace(data=one.data[14:], wire=one.wire - 14) for one in PACKETS]
    assert read_file(tmp_path, pcap(raw, link=RAW | 0x1400_0000), PcapFile)[0].packets == 60


def test_a_wrong_snap_length_in_the_header_refuses_no_packet(tmp_path: Path) -> None:
    for snap in (0, 1, 64, 0x7FFF_FFFF):
        assert read_file(tmp_path, pcap(PACKETS, snap=snap), PcapFile)[0].packets == 60


def broken(at: int, damage: bytes, packets: list[Frame] = PACKETS) -> bytes:
    """A capture with `damage` in the place of the packet's record header."""
    before, after = pcap(packets[:at]), b"".join(map(record, packets[at:]))
    return before + damage + after[len(damage) if len(damage) == 16 else 0 :]


TIME = START // SECOND
HEADERS = {
    "longer than is believed": struct.pack("<IIII", TIME, 0, 0x7FFF_FFFF, 0x7FFF_FFFF),
    "longer than on the wire": struct.pack("<IIII", TIME, 0, 100, 99),
    "beyond the end": struct.pack("<IIII", TIME, 0, 60_000, 60_000),
    "no time": struct.pack("<IIII", TIME, 1_000_000, 60, 60),
    "zeros": bytes(16),
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("at", [0, 30, 58, 59])
def test_a_broken_record_costs_itself(tmp_path: Path, name: str, at: int) -> None:
    found, faults, _ = read_file(tmp_path, broken(at, HEADERS[name]), PcapFile)
    assert found.packets == 59
    assert faults == {
        "truncated_record" if "beyond" in name else "broken_record": 1,
        "skipped_bytes": len(record(PACKETS[at])),
    }


@pytest.mark.parametrize("damage", [b"\xa5" * 500, bytes(1000), b"abc", bytes(range(256)) * 4096])
def test_what_stands_between_records_is_skipped(tmp_path: Path, damage: bytes) -> None:
    found, faults, _ = read_file(tmp_path, broken(30, damage), PcapFile)
    assert found.packets == found.counters["packets"] == 60
    assert faults == {"broken_record": 1, "skipped_bytes": len(damage)}


@pytest.mark.parametrize("shift", range(-40, 41, 5))
def test_damage_at_the_end_of_a_chunk(tmp_path: Path, shift: int) -> None:
    packets = [frame(segment(number, 1000), number / 1000) for number in range(600)]
    one = len(record(packets[0]))
    before = CHUNK // one - 5
    damage = b"\xff" * (CHUNK - before * one + shift)
    found, faults, _ = read_file(tmp_path, broken(before, damage, packets), PcapFile)
    assert found.packets == found.counters["packets"] == 600
    assert faults == {"broken_record": 1, "skipped_bytes": len(damage)}


def test_a_truncated_tail(tmp_path: Path) -> None:
    whole = pcap(PACKETS)
    last = len(record(PACKETS[-1]))
    for cut in range(1, last):
        found, faults, _ = read_file(tmp_path, whole[:-cut], PcapFile)
        assert found.packets == 59
        assert faults["truncated_record"] == 1
    found, faults, _ = read_file(tmp_path, whole[:24], PcapFile)
    assert (found.rows, faults) == ([], {})


def test_no_packets_and_no_bytes(tmp_path: Path) -> None:
    found, faults, steps = read_file(tmp_path, pcap([Frame(START + MINUTE, b"", 60)]), PcapFile)
    assert (found.counters["short_packets"], faults) == (1, {})
    assert steps[-1][0] == START + MINUTE


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=12),
    st.lists(st.tuples(st.integers(24, 5000), st.binary(max_size=40)), max_size=4),
    st.integers(24, 9000),
    st.sampled_from("<>"),
)
@settings(max_examples=200, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_to_their_end(
    tmp_path: Path, changes: list[tuple[int, int]], inserts: list[tuple[int, bytes]], cut: int, order: str
) -> None:
    content = bytearray(pcap(PACKETS[:30], order=order))
    for at, value in changes:
        content[24 + at % (len(content) - 24)] = value
    for at, extra in inserts:
        content[at:at] = extra
    found, faults, steps = read_file(tmp_path, bytes(content[:cut]), PcapFile)
    counted = sum(found.counters[reason] for reason in ("short_packets", "other_packets", "deep_packets"))
    assert found.packets + counted == found.counters["packets"] <= 40
    assert all(count > 0 for count in faults.values())
    assert not steps or steps[-1][1] == len(content[:cut]) - 24


@given(st.binary(max_size=3000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_but_noise(tmp_path: Path, noise: bytes) -> None:
    found, faults, _ = read_file(tmp_path, pcap([]) + noise, PcapFile)
    assert faults or found.counters["packets"] or not noise


def test_the_place_of_a_fault_is_told(tmp_path: Path) -> None:
    """The first of several, as an offset into the file."""
    records = [struct.pack("<IIII", 1_700_000_000 + n, 0, 60, 60) + bytes(60) for n in range(200)]
    data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join(records)
    broken = bytearray(data)
    broken[24 + 76 * 50 : 24 + 76 * 50 + 16] = b"\xff" * 16
    path = tmp_path / "broken.pcap"
    path.write_bytes(broken)
    capture = PcapFile(path)
    meter = Meter(lambda *_: None)
    for _ in capture.read(meter):
        pass
    assert capture.place == f"byte {24 + 76 * 50:,}"
    assert meter.counters()["packets"] == 199
