"""Packets of a capture beside the flows that the meter makes of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from agent.capture import Capture, open_capture
from agent.meter import Meter
from agent.protocols import identify
from agent.sample import Sample
from tests.agent.packets import ROOT

FILES = [path for path in sorted((ROOT / "tests/data").glob("*/*.pcap")) if path.stat().st_size < 1 << 20]


def opened(path: Path) -> Capture:
    capture = open_capture(path)
    assert capture is not None
    return capture


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_packet_and_every_flow_is_the_meters(path: Path) -> None:
    meter = Meter(identify)
    for _ in opened(path).read(meter):
        pass
    meter.close()
    counters = meter.counters()
    packets = list(Sample(opened(path)).packets())
    assert len(packets) == counters["packets"]
    assert [packet.number for packet in packets] == list(range(1, len(packets) + 1))
    assert 0 < len({packet.flow for packet in packets} - {0}) <= counters["flows"]


def test_a_flows_facts() -> None:
    path = ROOT / "tests/data/dicom/b04_cfind_study.pcap"
    sample = Sample(opened(path))
    packets = list(sample.packets())
    (number,) = {packet.flow for packet in packets}
    assert sample.flows(opened(path), set()) == {}
    (flow,) = sample.flows(opened(path), {number}).values()
    assert flow.protocol == "dicom"
    assert flow.packets == len(packets)
    assert "c-find" in {fact.fields["action"] for fact in flow.facts}
    assert packets[0].ends == flow.ends
    assert packets[0].ends.startswith("tcp 127.0.0.1:")


def test_a_broken_file_is_read_as_far_as_the_meter_reads_it(tmp_path: Path) -> None:
    """A record cut out of the middle: whatever the meter makes of what follows, so do we."""
    data = bytearray((ROOT / "tests/data/hl7/hl7_mllp_benign.pcap").read_bytes())
    del data[700:760]
    path = tmp_path / "broken.pcap"
    path.write_bytes(data)
    meter = Meter(identify)
    for _ in opened(path).read(meter):
        pass
    assert len(list(Sample(opened(path)).packets())) == meter.counters()["packets"]


@pytest.mark.skipif(not shutil.which("editcap"), reason="needs editcap to make a pcapng file")
def test_pcapng(tmp_path: Path) -> None:
    path = ROOT / "tests/data/hl7/hl7_mllp_benign.pcap"
    subprocess.run(["editcap", "-F", "pcapng", path, tmp_path / "x"], check=True)
    assert list(Sample(opened(tmp_path / "x")).packets()) == list(Sample(opened(path)).packets())
