"""What the transport is measured with."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.protocols import identify
from agent.protocols.dicom import Dicom
from bench.transport import alarm, caller, load, road
from bench.transport.percentile import percentile
from nigrani.stream.spool import SpoolReader


@pytest.mark.parametrize(("part", "value"), [(50, 5.0), (99, 10.0), (100, 10.0), (1, 1.0), (90, 9.0)])
def test_a_percentile_is_one_of_the_values(part: float, value: float) -> None:
    assert percentile([float(number) for number in range(10, 0, -1)], part) == value


def test_a_percentile_of_nothing() -> None:
    assert percentile([], 99) == 0.0


def stream(folder: Path, name: str, count: int) -> Path:
    path = folder / name
    path.write_text("".join(f'{{"host.id":"{name}","number":{number}}}\n' for number in range(count)))
    return path


def test_a_load_holds_every_event_twice_in_its_agents_order(tmp_path: Path) -> None:
    streams = [stream(tmp_path, "a", load.TURN + 10), stream(tmp_path, "b", 20)]
    made = load.make(tmp_path / "load", streams)
    keyed = made.keyed.read_bytes().splitlines()
    assert made.count == len(keyed) == load.TURN + 30
    assert {line.split(b"\t")[0] for line in keyed[: load.TURN]} == {b"a"}
    reader = SpoolReader(made.fresh(tmp_path / "copy"), "test")
    lines = [line for batch in reader.poll(1000) for line in batch.lines.splitlines()]
    assert lines == [line.split(b"\t")[1] for line in keyed]
    assert made.bytes == sum(len(line) + 1 for line in lines)
    reader.commit(1)
    reader.close()
    assert SpoolReader(made.fresh(tmp_path / "copy"), "test").position == 0


def test_a_load_may_be_short(tmp_path: Path) -> None:
    assert load.make(tmp_path / "load", [stream(tmp_path, "a", 100)], 7).count == 7


def test_each_event_is_late_by_its_own_batch() -> None:
    published = [(0, 1_000_000), (10, 5_000_000)]
    assert road._late(published, [(0, 3_000_000), (9, 3_000_000), (10, 6_000_000)]) == [2.0, 2.0, 1.0]


def test_the_counter_is_found_among_the_others() -> None:
    text = (
        'nigrani_alerts_total{kind="flood",severity="high",source="rule"} 7.0\n'
        'nigrani_alerts_total{kind="cleartext_leaving_site",severity="high",source="rule"} 3.0\n'
    )
    found = alarm._COUNT.search(text)
    assert found
    assert found[1] == "3.0"


def test_callers_speak_dicom() -> None:
    assert [payload[0] for payload in caller.association()] == [1, 2, 5, 6]
    assert all(isinstance(identify("tcp", payload, 40_000, 104), Dicom) for payload in caller.association())
