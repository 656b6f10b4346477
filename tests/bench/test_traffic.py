"""The synthetic capture: the same every time, and exactly what it says it is."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from struct import iter_unpack, unpack_from

import pytest

from agent.capture import forever, open_capture
from agent.flow import FlowRecord
from agent.meter import Meter
from agent.protocols import identify
from bench import pieces, traffic

SMALL = {"packets": 8_000, "flows": 400, "seconds": 120}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, traffic.Totals]:
    path = tmp_path_factory.mktemp("traffic") / "small.pcap"
    return path, traffic.write(path, **SMALL)


def frames(path: Path) -> list[tuple[float, bytes, int]]:
    data = path.read_bytes()
    found, at = [], 24
    while at < len(data):
        second, part, held, wire = unpack_from("<IIII", data, at)
        found.append((second + part / 1e6, data[at + 16 : at + 16 + held], wire))
        at += 16 + held
    return found


def ones_sum(data: bytes) -> int:
    total = sum(word for (word,) in iter_unpack(">H", data + b"\0" * (len(data) & 1)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_same_options_same_file(made: tuple[Path, traffic.Totals], tmp_path: Path) -> None:
    again = tmp_path / "again.pcap"
    assert traffic.write(again, **SMALL) == made[1]
    assert again.read_bytes() == made[0].read_bytes()


def test_another_seed_another_file(made: tuple[Path, traffic.Totals], tmp_path: Path) -> None:
    traffic.write(tmp_path / "other.pcap", seed=8, **SMALL)
    assert (tmp_path / "other.pcap").read_bytes() != made[0].read_bytes()


def test_totals_are_those_of_a_plain_count(made: tuple[Path, traffic.Totals], tmp_path: Path) -> None:
    path, totals = made
    assert pieces.cut(path, tmp_path / "all.pcap", 1 << 30, ours=True) == totals._asdict()
    assert pieces.count(path) == {"packets": totals.packets}
    assert totals.flows == 400
    assert totals.packets == pytest.approx(8_000, rel=0.1)


def test_times_ascend_within_the_span(made: tuple[Path, traffic.Totals]) -> None:
    times = [when for when, _, _ in frames(made[0])]
    assert times == sorted(times)
    assert times[0] >= traffic.START
    assert times[-1] < traffic.START + 120


def test_every_checksum_is_right(made: tuple[Path, traffic.Totals]) -> None:
    for _, frame, _ in frames(made[0]):
        ip = frame[14:]
        assert ones_sum(ip[:20]) == 0xFFFF
        pseudo = ip[12:20] + bytes([0, ip[9]]) + (len(ip) - 20).to_bytes(2)
        assert ones_sum(pseudo + ip[20:]) == 0xFFFF


def test_meter_finds_exactly_the_totals_and_every_protocol(made: tuple[Path, traffic.Totals]) -> None:
    path, totals = made
    meter = Meter(identify)
    capture = open_capture(path)
    assert capture is not None
    for _ in capture.read(meter, forever):
        pass
    meter.close()
    records = [item for item in meter.drain() if isinstance(item, FlowRecord)]
    assert sum(record.source[0] + record.destination[0] for record in records) == totals.packets
    assert sum(record.source[1] + record.destination[1] for record in records) == totals.ip_bytes
    protocols = Counter({record.ends.number: record.protocol for record in records}.values())
    assert sum(protocols.values()) == totals.flows
    assert set(protocols) - {""} == {"tls", "dns", "smb2", "hl7", "fhir", "dicom", "sip", "ssh", "rtp"}
    assert meter.counters()["abandoned_conversations"] == 0


def test_snap_cuts_what_is_kept_and_not_what_was_sent(made: tuple[Path, traffic.Totals], tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    assert traffic.write(path, snap=128, **SMALL) == made[1]
    whole, cut = frames(made[0]), frames(path)
    assert [(when, frame[:128], wire) for when, frame, wire in whole] == cut


@pytest.mark.parametrize("wrong", [{"flows": 0}, {"packets": 10}, {"snap": 20}])
def test_bad_sizes_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="flows must be"):
        traffic.write(tmp_path / "x.pcap", **{**SMALL, **wrong})


def test_command_prints_the_totals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert traffic.main([str(tmp_path / "x.pcap"), "--packets", "2000", "--flows", "100", "--seconds", "60"]) == 0
    assert json.loads(capsys.readouterr().out)["flows"] == 100
