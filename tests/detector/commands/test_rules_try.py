"""`nigrani rules try`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nigrani import cli
from nigrani.stream.codec import encode_lines
from tests.detector.rule_files import counting, rule, write

if TYPE_CHECKING:
    from tests.detector.conftest import Maker

MANY = {"sel": {"event.action": "c-find", "dicom.contexts|gt": 3}, "condition": "sel"}


def run(*words: str | Path) -> int:
    return cli.main(["rules", "try", *map(str, words)])


@pytest.fixture
def events(make: Maker, tmp_path: Path) -> Path:
    path = tmp_path / "events.ndjson"
    found = [make.dicom("c-find", 1, contexts=9), make.dicom("c-find", 2, contexts=2), make.flow(3)]
    path.write_bytes(encode_lines(found) + b"nothing\n")
    return path


def test_what_matches_and_what_nearly_does(events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.yml", rule(detection=MANY))
    assert run(path, events) == 0
    told = capsys.readouterr()
    match, near = told.out.splitlines()
    assert match.startswith("match      2026-03-02 08:00:01  e0  ip:ws  Title of query: event.action = c-find")
    assert near.endswith("Title of query: wanted dicom.contexts > 3, but dicom.contexts is 2")
    assert "left out what is no event: 1 line" in told.err
    assert "Title of query: 1 match and 1 near miss of 3 events, of which it reads 2\n" in told.err
    assert "1 near miss failed by: dicom.contexts > 3" in told.err


def test_json_and_limits(events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.yml", rule(detection=MANY))
    assert run(path, events, "--json", "--limit", "1") == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["kind"], one["event.id"]) for one in found] == [("match", "e0"), ("near miss", "e1")]
    assert run(path, events, "--limit", "0") == 0
    assert capsys.readouterr().out == ""


def test_a_count_that_falls_short(events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.yml", rule(id=None, level=None), counting())
    assert run(path, events) == 1
    assert "the most was 2 events within 60 s (rule: more than 2), of host.id ip:ws" in capsys.readouterr().err


def test_what_stands_beside_an_event(make: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = {"sel": {"nigrani.new": "calling_ae", "event.action": "c-find"}, "condition": "sel"}
    path = write(tmp_path / "a.yml", rule(detection=new))
    wire = json.loads(encode_lines([make.dicom("c-find")]))
    (tmp_path / "e.ndjson").write_text(json.dumps({**wire, "nigrani.new": ["calling_ae"]}) + "\n" + json.dumps(wire) + "\n")
    assert run(path, tmp_path / "e.ndjson") == 0
    match, near = capsys.readouterr().out.splitlines()
    assert "nigrani.new = calling_ae" in match
    assert "but nigrani.new is absent" in near


def test_classes_stand_beside_an_event(make: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asks = {"sel": {"source.class": "modality", "event.action": "c-find"}, "condition": "sel"}
    path = write(tmp_path / "a.yml", rule(detection=asks))
    wire = json.loads(encode_lines([make.dicom("c-find")]))
    lines = [{**wire, "source.class": "modality"}, wire, {**wire, "source.class": 3}]
    (tmp_path / "e.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert run(path, tmp_path / "e.ndjson") == 0
    told = capsys.readouterr()
    match, near = told.out.splitlines()
    assert "source.class = modality" in match
    assert "but source.class is absent" in near
    assert "left out what is no event: 1 line" in told.err


def test_an_attackers_text_does_not_steer_the_terminal(
    make: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.yml", rule(detection={"s": {"dicom.calling_ae|contains": "x"}, "condition": "s"}))
    (tmp_path / "e.ndjson").write_bytes(encode_lines([make.dicom("c-find", calling_ae="x\x1b[2J\n")]))
    assert run(path, tmp_path / "e.ndjson") == 0
    assert "\x1b" not in capsys.readouterr().out


def test_files_that_hold_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.yml", rule())
    (tmp_path / "e.ndjson").write_bytes(b"x\n")
    assert run(path, tmp_path / "e.ndjson") == 1
    assert "no events" in capsys.readouterr().err
    assert run(path, tmp_path / "gone.ndjson") == 1
