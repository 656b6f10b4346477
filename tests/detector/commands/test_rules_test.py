"""`nigrani rules test`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nigrani import cli
from tests.detector.rule_files import counting, rule, write

ROOT = Path(__file__).parents[3]
EVENT = {
    "event.dataset": "dicom.association", "@timestamp": "2026-01-01T00:00:00Z", "event.id": "e", "event.sequence": 0,
    "agent.id": "a", "host.id": "h", "source.address": "s", "destination.address": "d",
}  # fmt: skip


def events(path: Path, *actions: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({**EVENT, "event.action": action}) + "\n" for action in actions))


def run(*words: str | Path) -> int:
    return cli.main(["rules", "test", *map(str, words)])


def own(match: bool) -> dict[str, Any]:
    return {"tests": [{"event": {"event.action": "c-find"}, "match": match}]}


def test_tests_that_rules_bring_along(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a.yml", rule(custom=own(match=True)), rule("b", custom=own(match=False)))
    assert run(tmp_path) == 1
    told = capsys.readouterr()
    assert told.out.startswith(f"{tmp_path}/a.yml:")
    assert "Title of b: a test says that the rule does not match, and it does" in told.out
    assert told.err == "nigrani: 2 tests, 1 failed; 0 of 2 rules without any\n"
    write(tmp_path / "a.yml", rule(custom=own(match=True)))
    assert run(tmp_path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["passed"] is True


def test_faults_that_are_no_tests_are_78(tmp_path: Path) -> None:
    write(tmp_path / "a.yml", rule(level="severe"))
    assert run(tmp_path) == 78


def test_sequences_beside_the_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules, beside = tmp_path / "rules", tmp_path / "events"
    (rules / "dicom").mkdir(parents=True)
    write(rules / "dicom" / "find.yml", rule(custom={"stage": "test"}))
    write(rules / "dicom" / "burst.yml", rule("x", id=None, level=None), counting(rules=["x"]))
    events(beside / "dicom/find/match/one.ndjson", "c-find", "c-find")
    events(beside / "dicom/find/nomatch/other.ndjson", "c-move")
    events(beside / "dicom/burst/match/three.ndjson", "c-find", "c-find", "c-find")
    events(beside / "dicom/burst/nomatch/two.ndjson", "c-find", "c-find")
    assert run(rules, "--events", beside) == 0
    assert capsys.readouterr().err == "nigrani: 4 tests, 0 failed; 0 of 2 rules without any\n"
    events(beside / "dicom/find/match/one.ndjson", "c-find", "c-move")
    events(beside / "dicom/burst/nomatch/two.ndjson", "c-find", "c-find", "c-find")
    assert run(rules, "--events", beside) == 1
    told = capsys.readouterr().out
    assert "one.ndjson:0: find: not told of in line 2" in told
    assert "two.ndjson:0: burst: told of in line 3" in told


def test_the_shipped_sequences(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ROOT / "rules" / "dns", "--events", ROOT / "tests" / "rules" / "dns") == 0
    assert "0 failed" in capsys.readouterr().err
