"""What live capture is measured with: the wire, the sender, the tables."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.live import soak, table
from bench.live.receivers import SURICATA
from bench.live.table import BUSY, FAST, LONG, OURS, RATE, Row
from bench.live.wire import INTERFACE, Tree, Wire

ROOT = Path(__file__).parents[2]


def row(name: str = OURS, rate: int = RATE, traffic: str = BUSY, **more: object) -> Row:
    return Row(name, rate, traffic, **{"sent": 100_000, "seconds": 2.0, "cpu": 0.05, "packets": 100_000, **more})  # type: ignore[arg-type]


def test_a_row_says_what_was_lost_and_what_it_cost() -> None:
    one = row(packets=99_990)
    assert (one.core, one.lost) == (2.5, 10)
    assert row(packets=None).lost is None
    assert Row.read(json.loads(json.dumps(one.told()))) == one


def test_rates_and_traffic_have_a_table_each_and_what_is_missing_is_said() -> None:
    rows = [row(), row("tcpdump", missing="not installed: tcpdump"), row(traffic=LONG), row(rate=0, packets=None)]
    first, second, third = table.text(rows).split("\n\n")
    assert first.splitlines()[0] == "50,000 packets/s, 50 packets a flow"
    assert first.splitlines()[-1] == "tcpdump: not installed: tcpdump"
    assert first.splitlines()[2].split()[-6:] == ["50,000", "2.5", "500", "0.0", "0", "–"]
    assert second.splitlines()[0] == "50,000 packets/s, 255 packets a flow"
    assert third.splitlines()[0] == "As fast as the sender goes, 50 packets a flow"


def test_targets_are_of_what_was_measured() -> None:
    assert table.targets([]) == []
    assert table.targets([row("softflowd")]) == []
    rows = [row(megabytes=40.0), row(rate=FAST, packets=99_000), row(traffic=LONG, cpu=0.1)]
    verdicts = [(target.measured, target.met) for target in table.targets(rows)]
    assert verdicts == [(2.5, True), (40.0, False), (5.0, False), (0.0, True), (0.0, True), (1000.0, False)]


def test_a_process_and_its_children_are_weighed_together() -> None:
    burn = "import time; end = time.process_time() + 0.2\nwhile time.process_time() < end: pass\ntime.sleep(30)"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    with subprocess.Popen([sys.executable, "-c", script], start_new_session=True) as parent:
        tree = Tree(parent.pid)
        deadline = time.monotonic() + 10
        while tree.cpu() < 0.2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert 0.2 <= tree.cpu() < 2.0
        pss, rss = tree.memory()
        assert 0 < pss <= rss
        os.killpg(parent.pid, 9)


def test_memory_is_drawn_over_time() -> None:
    drawn = soak.plot([(0.0, 30.0, 40.0), (30.0, 31.0, 40.0), (60.0, 31.0, 40.0)])
    assert drawn.count("<polyline") == 2
    assert "1 min" in drawn
    assert drawn.endswith("</svg>\n")


def test_suricata_is_told_the_interface() -> None:
    assert f"interface: {INTERFACE}," in SURICATA


def pcap(path: Path, packets: int) -> Path:
    frame = (
        bytes(12) + b"\x08\0" + struct.pack(">BBHHHBBHII", 0x45, 0, 46, 0, 0, 64, 17, 0, 0x0A000001, 0x0A000002) + bytes(26)
    )
    record = struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame
    path.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1) + record * packets)
    return path


@pytest.mark.skipif(bool(Wire.missing()), reason="needs root, namespaces and a C compiler")
def test_what_is_sent_comes_out_of_the_other_end_at_its_rate(tmp_path: Path) -> None:
    """And the addresses move on in each round, so that flows are new."""
    capture = pcap(tmp_path / "small.pcap", 500)
    code = (
        "from agent.captures.live import LiveCapture; from agent.meter import Meter; import time, sys\n"
        f"capture, meter = LiveCapture({INTERFACE!r}), Meter(lambda *_: None)\n"
        "print('ready', flush=True)\n"
        "end = time.monotonic() + 1.5\n"
        "while time.monotonic() < end: capture.read(meter, 0.1)\n"
        "print(meter.counters()['packets'], meter.counters()['flows'])"
    )
    with Wire(tmp_path) as wire:
        command = [str(word) for word in wire.receiving([sys.executable, "-c", code])]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as receiver:
            assert receiver.stdout is not None
            assert receiver.stdout.readline() == "ready\n"
            sent = wire.sent(wire.sender(capture, 5_000, 0.5))
            packets, flows = map(int, receiver.stdout.readline().split())
    assert packets == sent.packets
    assert 500 < packets <= 2_600
    assert flows == -(-packets // 500)
