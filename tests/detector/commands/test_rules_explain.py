"""`nigrani rules explain`."""

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

CONDITION = {
    "sel": {"event.action": ["c-find", "c-get"], "dicom.contexts|gt": 3},
    "no": {"dicom.calling_ae": "CT*"},
    "condition": "sel and not no",
}


def test_what_it_reads_asks_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    custom = {"suppress": {"by": ["host.id"], "for": "1h"}, "first_steps": ["Look."]}
    path = write(tmp_path / "a.yml", rule(id=None, level=None, detection=CONDITION), counting(custom=custom))
    assert cli.main(["rules", "explain", str(path)]) == 0
    text = capsys.readouterr().out
    assert "event.action = c-find, c-get and dicom.contexts > 3 and not (dicom.calling_ae begins with ct)" in text
    assert "events within 60 s (rule: more than 2); by host.id" in text
    assert "  suppressed  by host.id for 3600 s\n" in text
    assert "  reads       dicom.association\n" in text
    assert "  field       dicom.contexts: Presentation contexts proposed" in text
    assert "  do          Look.\n" in text
    assert "events have it" not in text


def test_what_the_detector_adds_is_looked_at_too(
    make: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str], state: Path
) -> None:
    asks = {"sel": {"source.class": "lab", "destination.class": "pacs", "p_value|lt": 1, "nigrani.new": "device"}}
    path = write(tmp_path / "a.yml", rule(logsource={"service": "flow"}, detection={**asks, "condition": "sel"}))
    (tmp_path / "e.ndjson").write_bytes(encode_lines([make.flow(), make.flow(1, "ip:x"), make.dns()]))
    words = ["rules", "explain", str(path), str(tmp_path / "e.ndjson"), "--set", "devices.tokens={'ip:ws': lab}", "--json"]
    assert cli.main(words) == 0
    fields = {field["field"]: field for field in json.loads(capsys.readouterr().out)["fields"]}
    assert (fields["source.class"]["values"], fields["source.class"]["of"]) == ({"lab": 1}, 2)
    assert fields["destination.class"]["events"] == 0
    assert fields["nigrani.new"]["events"] == 0
    assert "of" not in fields["p_value"]


def test_what_the_detector_adds_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asks = {"sel": {"device.class": "pacs", "source.class": "lab", "destination.class": "his", "nigrani.new": "peer"}}
    path = write(tmp_path / "a.yml", rule(detection={**asks, "condition": "sel"}))
    assert cli.main(["rules", "explain", str(path), "--json"]) == 0
    meanings = {field["field"]: field["meaning"] for field in json.loads(capsys.readouterr().out)["fields"]}
    assert meanings.keys() == asks["sel"].keys()
    assert all(meanings.values())


def test_how_often_its_fields_occur(make: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.yml", rule(detection=CONDITION))
    found = [make.dicom("c-find"), make.dicom("c-find", calling_ae=""), make.dicom("c-move"), make.flow()]
    (tmp_path / "e.ndjson").write_bytes(encode_lines(found))
    assert cli.main(["rules", "explain", str(path), str(tmp_path / "e.ndjson"), "--json"]) == 0
    fields = {field["field"]: field for field in json.loads(capsys.readouterr().out)["fields"]}
    assert fields["event.action"]["values"] == {"c-find": 2, "c-move": 1}
    assert (fields["dicom.calling_ae"]["events"], fields["dicom.calling_ae"]["of"]) == (2, 3)
    assert cli.main(["rules", "explain", str(path), str(tmp_path / "e.ndjson")]) == 0
    assert "(2 of 3 events have it: WS 2)" in capsys.readouterr().out


def test_a_rule_that_can_never_match_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign = {"product": "zeek", "service": "http"}
    path = write(tmp_path / "a.yml", rule(logsource=foreign, detection={"s": {"uri": "/x"}, "condition": "s"}))
    assert cli.main(["rules", "explain", str(path)]) == 0
    assert "can never match" in capsys.readouterr().out
