from __future__ import annotations

from pathlib import Path

import pytest

from nigrani import cli
from nigrani.stream.spool import Spool


@pytest.fixture
def bus(tmp_path: Path) -> Path:
    with Spool.open(tmp_path / "bus") as writer:
        for _ in range(3):
            writer.publish(b"{}\n" * 10, 10)
    return tmp_path / "bus"


def test_a_sound_spool(bus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["spool", "verify", str(bus)]) == 0
    assert capsys.readouterr().out == ""


def test_each_fault_is_a_line(bus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [segment] = bus.glob("*.log")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data[:-3])
    (bus / "detector.offset").write_bytes(b"?")
    assert cli.main(["spool", "verify", str(bus)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(f"{bus}/") for line in lines)
    assert len(lines) == 2
    assert f"{segment}:" in lines[0]
    assert "damaged" in lines[1]
