from __future__ import annotations

import json
from pathlib import Path

import pytest

from nigrani import cli
from nigrani.stream.spool import Spool, SpoolReader


@pytest.fixture
def bus(tmp_path: Path) -> Path:
    with Spool.open(tmp_path / "bus") as writer:
        for number in range(3):
            writer.publish(b"{}\n{}\n", 2)
            if number == 0:
                SpoolReader(tmp_path / "bus", "slow").close()
                reader = SpoolReader(tmp_path / "bus", "quick")
        reader.poll(2)
        reader.commit(2)
        reader.close()
    return tmp_path / "bus"


def test_a_table(bus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.name for path in bus.iterdir())
    assert cli.main(["spool", "stat", str(bus)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("6 events in 3 batches, ")
    assert lines[0].endswith(" bytes in 1 segments")
    assert lines[1] == "0 events in 0 batches dropped since the spool began"
    assert " ".join(lines[3].split()) == "group next batch batches behind events behind batches missed events missed"
    assert [line.split() for line in lines[4:]] == [["quick", "2", "1", "2", "0", "0"], ["slow", "0", "3", "6", "0", "0"]]
    assert sorted(path.name for path in bus.iterdir()) == before


def test_json(bus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["spool", "stat", str(bus), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["events"], told["next_offset"], told["segments"]) == (6, 3, 1)
    assert told["groups"]["quick"] == {
        "offset": 2,
        "lag_records": 1,
        "lag_events": 2,
        "missed_records": 0,
        "missed_events": 0,
    }


def test_what_is_no_spool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["spool", "stat", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"nigrani: {tmp_path} holds no spool: check the path\n"
