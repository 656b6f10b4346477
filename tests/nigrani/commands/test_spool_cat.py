from __future__ import annotations

from pathlib import Path

import pytest

from nigrani import cli
from nigrani.stream.spool import Spool, SpoolReader, stat


@pytest.fixture
def bus(tmp_path: Path) -> Path:
    path = tmp_path / "bus"
    with Spool.open(path) as writer:
        for number in range(5):
            writer.publish(b'{"n":%d}\n{"n":%d}\n' % (2 * number, 2 * number + 1), 2)
    reader = SpoolReader(path, "detector")
    reader.poll(3)
    reader.commit(3)
    reader.close()
    return path


def cat(capfdbinary: pytest.CaptureFixture[bytes], *words: str) -> list[bytes]:
    assert cli.main(["spool", "cat", *words]) == 0
    return capfdbinary.readouterr().out.splitlines()


def test_everything(bus: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    before = stat(bus)
    assert cat(capfdbinary, str(bus)) == [b'{"n":%d}' % number for number in range(10)]
    assert stat(bus) == before


def test_what_a_group_has_not_done(bus: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    before = stat(bus)
    assert cat(capfdbinary, str(bus), "--group", "detector") == [b'{"n":%d}' % number for number in range(6, 10)]
    assert stat(bus) == before


def test_a_limit(bus: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert cat(capfdbinary, str(bus), "--limit", "3") == [b'{"n":0}', b'{"n":1}', b'{"n":2}']
    assert cat(capfdbinary, str(bus), "--limit", "0") == []
    assert cli.main(["spool", "cat", str(bus), "--limit", "-1"]) == 2


def test_a_group_that_is_not_there_is_not_made(bus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["spool", "cat", str(bus), "--group", "other"]) == 1
    assert capsys.readouterr().err == f"nigrani: {bus} has no group other: there are detector\n"
    assert set(stat(bus).groups) == {"detector"}


def test_a_group_whose_place_is_damaged_begins_at_the_oldest(bus: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    (bus / "detector.offset").write_bytes(b"?")
    assert len(cat(capfdbinary, str(bus), "--group", "detector")) == 10


def test_a_writer_at_work_is_not_disturbed(bus: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with Spool.open(bus) as writer:
        assert len(cat(capfdbinary, str(bus))) == 10
        writer.publish(b"{}\n", 1)
        assert len(cat(capfdbinary, str(bus))) == 11
