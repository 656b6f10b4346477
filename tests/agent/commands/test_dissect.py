"""`nigrani agent dissect` on real captures and on hostile ones."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from agent.commands import dissect
from tests.agent.packets import ROOT

pytest.importorskip("scapy")

FIND = ROOT / "tests/data/dicom/b04_cfind_study.pcap"
HL7 = ROOT / "tests/data/hl7/hl7_mllp_benign.pcap"


def run(*words: object) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "nigrani.cli", "agent", "dissect", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_a_list_with_the_flow_and_what_the_meter_made_of_it() -> None:
    code, out, error = run(HL7, "--count", 5)
    assert (code, error) == (0, "")
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[:5]] == ["1", "2", "3", "4", "5"]
    assert "flow 1" in lines[0]
    assert "TCP" in lines[0]
    assert lines[5].startswith("flow 1: tcp 127.0.0.1:")
    assert "hl7.message: direction=request, code=ORU" in out


def test_one_packet_with_its_layers_and_bytes() -> None:
    code, out, _ = run(FIND, "--packet", 6, "--bytes", 64)
    assert code == 0
    assert "###[ TCP ]###" in out
    assert "payload, 64 of 192 bytes:" in out
    assert "ORTHANC" in out
    assert "action=c-find" in out


def test_other_packets_of_one_flow(tmp_path: Path) -> None:
    """Three conversations of one capture, which the meter tells apart by their ports."""
    data = FIND.read_bytes()[40:114]
    path = write(tmp_path / "x.pcap", [data[:34] + bytes([port]) + data[35:] for port in (1, 2, 3, 1, 2, 3)])
    _, out, _ = run(path, "--flow", 3, "--count", 4)
    assert [line.split()[:5:4] for line in out.splitlines()[:2]] == [["3", "3"], ["6", "3"]]
    assert run(FIND, "--skip", 10_000)[0] == 1
    assert run(FIND, "--packet", 10_000)[0] == 1


def write(path: Path, packets: list[bytes]) -> Path:
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)
    body = b"".join(struct.pack("<IIII", 1_700_000_000, 0, len(one), len(one)) + one for one in packets)
    path.write_bytes(head + body)
    return path


def test_hostile_bytes_are_shown_and_command_nothing(tmp_path: Path) -> None:
    """Packets cut anywhere, with anything in them; escapes stay text."""
    chance = random.Random(7)
    data = FIND.read_bytes()[40:200]
    packets = [bytes(chance.randbytes(chance.randrange(14, 300))) for _ in range(15)]
    packets += [bytes(data[: chance.randrange(14, 160)]) for _ in range(10)]
    packets += [data[:66] + b"\x1b[2J\x1b]0;owned\x07" * 4]
    path = write(tmp_path / "x.pcap", packets)
    code, out, _ = run(path, "--count", 30)
    assert code == 0
    assert len([line for line in out.splitlines() if " B  " in line]) == len(packets)
    code, more, _ = run(path, "--packet", len(packets))
    assert code == 0
    assert not {letter for letter in out + more if not letter.isprintable() and letter != "\n"}


def test_what_is_no_capture(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no capture")
    for path in (tmp_path / "x", tmp_path / "nowhere", tmp_path):
        code, out, error = run(path)
        assert (code, out) == (1, "")
        assert error.count("\n") == 1
    assert run(FIND, "--count", 0)[0] == 2


def test_a_packet_that_scapy_fails_at_is_counted() -> None:
    scapy = dissect.Scapy()
    assert scapy._guarded(lambda: 1 // 0) == "scapy failed: ZeroDivisionError"
    assert scapy.faults == 1


def test_a_packet_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dissect, "SECONDS", 0.05)
    scapy = dissect.Scapy()

    def endless() -> None:
        while True:
            pass

    assert scapy._guarded(endless) == "scapy failed: TimeoutError"


def test_without_scapy_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scapy.layers.l2", None)
    with pytest.raises(dissect.Problem, match=r"pip install 'nigrani\[dissect\]'"):
        dissect.Scapy()
