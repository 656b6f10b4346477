"""The rules that are measured: they load, the same each time, and both ways of running them agree."""

from __future__ import annotations

import json
from pathlib import Path

from bench.rules import interpreter, make
from detector.ruleset import RuleSet
from nigrani.stream.codec import decode


def line(dataset: str, **fields: object) -> bytes:
    plain = {
        "event.dataset": dataset, "@timestamp": "2026-01-01T00:00:00Z", "event.id": "e", "event.sequence": 0,
        "agent.id": "a", "host.id": "h", "source.address": "s", "destination.address": "d",
    }  # fmt: skip
    return json.dumps(plain | {name.replace("__", "."): value for name, value in fields.items()}).encode()


def test_the_rules_load_and_are_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one", "other"):
        make(tmp_path / name, 60)
    assert [path.read_bytes() for path in sorted((tmp_path / "one").iterdir())] == [
        path.read_bytes() for path in sorted((tmp_path / "other").iterdir())
    ]
    assert len(RuleSet.load(tmp_path / "one").rules) == 60


def test_the_interpreter_agrees(tmp_path: Path) -> None:
    make(tmp_path / "rules", 200)
    rules, plain = RuleSet.load(tmp_path / "rules"), interpreter(tmp_path / "rules")
    lines = [
        line("dicom.association", event__action=action, dicom__calling_ae=title, dicom__status=status)
        for action in ("c-find", "c-move", "reject", "x")
        for title in ("CT1", "WS", "")
        for status in ("A700", "0000", "")
    ]
    lines += [
        line("network.dns", dns__question__name=name, dns__question__type=kind, nigrani__dns__entropy=entropy)
        for name in ("pool.top", "a" * 24 + ".ru", "")
        for kind in ("A", "TXT")
        for entropy in (0, 3501, 4001)
    ]
    counts = [len(rules.match(decode(one))) for one in lines]
    assert counts == [plain(json.loads(one)) for one in lines]
    assert sum(counts) > 20
