"""A disk that is really full: events are lost counted, one word at the start and one at the end, and kept again."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent import sink as module
from agent.sink import BusSink
from nigrani.stream.events import AgentStatus
from nigrani.stream.spool import Spool, SpoolReader
from tests.e2e.disks import small

BATCH = 100


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    yield from small(tmp_path / "disk", "1m")


def events(first: int) -> list[AgentStatus]:
    return [
        AgentStatus(timestamp=datetime(2026, 3, 2, tzinfo=UTC), id=f"{number:026x}", sequence=number, agent="a", host="ip:1")
        for number in range(first, first + BATCH)
    ]


def test_a_full_disk_under_the_spool(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "QUIET", 0.0)
    caplog.set_level(logging.WARNING)
    filler = small_disk / "filler"
    spool = Spool.open(small_disk / "bus", max_bytes=8 << 20, segment_bytes=128 << 10)
    sink = BusSink(spool)
    offered = 0

    def offer(batches: int) -> None:
        nonlocal offered
        for _ in range(batches):
            sink.write(list(events(offered)))
            sink.flush()
            offered += BATCH

    offer(10)
    filler.write_bytes(bytes(1 << 19))
    offer(60)
    assert sink.lost == 0, "the oldest segments make room"
    dropped = spool.dropped_events
    assert dropped > 0
    with filler.open("ab") as file:  # whatever the spool frees is taken at once, but for what it needs to stand
        fill(file.fileno())
    while not sink.lost:
        offer(1)
        with filler.open("ab") as file:
            fill(file.fileno())
    assert caplog.text.count("events are being lost") == 1
    assert "No space" in caplog.text or "no room" in caplog.text
    offer(5)
    filler.unlink()
    offer(20)
    assert caplog.text.count("events are being lost") == 1
    assert caplog.text.count("events are kept again") == 1
    spool.close()
    reader = SpoolReader(small_disk / "bus", "late")
    kept = 0
    while batches := reader.poll(100):
        kept += sum(batch.count for batch in batches)
    assert kept + sink.lost + spool.dropped_events == offered
    reader.close()


def fill(fd: int) -> None:
    """Take all room there is."""
    for size in (65_536, 4096):
        try:
            while os.write(fd, bytes(size)) == size:
                pass
        except OSError:
            continue
