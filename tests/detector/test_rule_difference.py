"""What an update of rules changes."""

from __future__ import annotations

from pathlib import Path

from detector.rule_difference import differences
from detector.rule_loader import Loader
from tests.detector.rule_files import counting, rule, write


def two(tmp_path: Path, old: list[dict[str, object]], new: list[dict[str, object]]) -> tuple[Loader, Loader]:
    found = []
    for name, documents in (("old", old), ("new", new)):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "rules.yml", *documents)
        found.append(Loader([tmp_path / name]))
    return found[0], found[1]


def test_what_came_went_and_changed(tmp_path: Path) -> None:
    changed = rule("b", level="low", detection={"sel": {"event.action": ["c-find", "c-get"]}, "condition": "sel"})
    found = differences(*two(tmp_path, [rule("a"), rule("b"), rule("same")], [changed, rule("c"), rule("same")]))
    assert [(one.kind, one.title) for one in found] == [
        ("removed", "Title of a"),
        ("changed", "Title of b"),
        ("added", "Title of c"),
    ]
    assert found[1].changes == (
        ("detection.sel.event.action", "c-find", "['c-find', 'c-get']"),
        ("level", "high", "low"),
        ("risk", "70", "20"),
    )


def test_keys_that_came_or_went(tmp_path: Path) -> None:
    [one] = differences(*two(tmp_path, [rule(description="x")], [rule(custom={"risk": 3})]))
    assert one.changes == (("custom.risk", "", "3"), ("description", "x", ""))


def test_what_an_override_changes(tmp_path: Path) -> None:
    override = {"title": "Ours", "override": {"rule": "burst", "stage": "shadow"}}
    base = rule(id=None, level=None)
    [one] = differences(*two(tmp_path, [base, counting()], [base, counting(), override]))
    assert one.changes == (("stage", "on", "shadow"),)


def test_nothing(tmp_path: Path) -> None:
    assert differences(*two(tmp_path, [rule(), counting()], [counting(), rule()])) == []
