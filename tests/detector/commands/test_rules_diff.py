"""`nigrani rules diff`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nigrani import cli
from nigrani.stream.codec import encode_lines
from tests.detector.rule_files import identity, rule, write

if TYPE_CHECKING:
    from tests.detector.conftest import Maker

WIDER = {"sel": {"event.action": ["c-find", "c-get"]}, "condition": "sel"}


def run(*words: str | Path) -> int:
    return cli.main(["rules", "diff", *map(str, words)])


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write(tmp_path / "old.yml", rule(), rule("gone"))


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return write(tmp_path / "new.yml", rule(detection=WIDER), rule("come", detection=WIDER))


def test_what_differs(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(old, new) == 1
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        f"added    Title of come ({identity('come')})",
        f"removed  Title of gone ({identity('gone')})",
        f"changed  Title of query ({identity('query')})",
        "           detection.sel.event.action: c-find → ['c-find', 'c-get']",
    ]
    assert told.err == "nigrani: 1 added, 1 removed, 1 changed\n"
    assert run(old, old) == 0


def test_what_changes_on_events(
    make: Maker, old: Path, new: Path, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "e.ndjson").write_bytes(encode_lines([make.dicom("c-get"), make.dicom("c-find", 4000)]))
    assert run(old, new, tmp_path / "e.ndjson", "--json") == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    counts = {row["title"]: [row[name] for name in list(row)[2:]] for row in rows if "alerts_after" in row}
    assert counts == {"Title of query": [1, 1, 2, 2], "Title of gone": [1, 1, 0, 0], "Title of come": [0, 0, 2, 2]}
    assert run(old, old, tmp_path / "e.ndjson") == 0
    assert capsys.readouterr().out == "no rule says anything else of these events\n"
    assert run(old, new, "-") == 1


def test_an_override_that_no_longer_fits_is_told(
    old: Path, new: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    write(site / "own.yml", {"title": "Ours", "override": {"rule": "gone", "stage": "shadow"}})
    assert run(old, new, "--rules", site) == 78
    assert f"{site}/own.yml:3: no sound rule is called `gone`" in capsys.readouterr().err
