"""Where a site's evidence comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.config import Bus, DetectorConfig
from detector.reports.sources import sources
from nigrani.stream.spool import Spool


def test_the_bus_byte_for_byte(tmp_path: Path) -> None:
    with Spool.open(tmp_path / "bus") as spool:
        spool.publish(b'{"event.id":"e1"}\n{"event.id":"e2"}\n', 2)
    found = sources(DetectorConfig(bus=Bus(path=tmp_path / "bus")))
    assert list(found.lines) == [b'{"event.id":"e1"}', b'{"event.id":"e2"}']
    assert len(found.rules) > 100
    assert len(found.fingerprint) == 64
    assert next(iter(sources(DetectorConfig(), bus=tmp_path / "bus").lines)) == b'{"event.id":"e1"}'


def test_files_in_place_of_the_bus(tmp_path: Path) -> None:
    path = tmp_path / "e.ndjson"
    path.write_bytes(b"one\ntwo\n")
    found = sources(DetectorConfig(), events=[path], captures=[path])
    assert list(found.lines) == [b"one\n", b"two\n"]
    assert found.captures == [path]


def test_what_cannot_be_read_is_told_and_the_rest_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.yml").write_text("title: x\n")
    found = sources(DetectorConfig(rules=(str(tmp_path),), bus=Bus(path=tmp_path / "none")))
    assert list(found.lines) == []
    assert found.rules == ()
    told = capsys.readouterr().err
    assert "the rules cannot be read and are left out" in told
    assert "bad.yml" in told
    assert "holds no spool" in told
