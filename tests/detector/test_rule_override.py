"""Overrides: a site's own word over a shipped rule, and what is wrong with one."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detector.rule import Rule, Suppress
from detector.rule_loader import Loader
from detector.rule_override import overridden, override_refusals
from tests.detector.rule_files import counting, identity, load, rule, told, write

RULE = Rule(id="r", title="t", path=Path("x.yml"), level="high", risk=70)


def override(**keys: Any) -> dict[str, Any]:
    return {"title": "As this site has it", "override": keys}


def test_what_it_changes() -> None:
    changed = overridden(
        RULE, {"stage": "shadow", "level": "low", "owner": "us", "suppress": {"by": "host.id", "for": "4h"}}
    )
    assert (changed.stage, changed.level, changed.risk, changed.owner) == ("shadow", "low", 20, "us")
    assert changed.suppress == Suppress(("host.id",), 14_400)
    assert overridden(RULE, {"level": "low", "risk": 33}).risk == 33
    assert overridden(msgspec.structs.replace(RULE, stage="shadow"), {"stage": True}).stage == "on"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "the override names no rule"),
        ({"rule": "r"}, "the override changes nothing"),
        ({"rule": "r", "stag": "on"}, "unknown key `override.stag`"),
        ({"rule": "r", "stage": "off"}, "`override.stage` cannot be `off`"),
        ({"rule": "r", "level": "severe"}, "`override.level` cannot be `severe`"),
        ({"rule": "r", "risk": 200}, "`override.risk` cannot be `200`"),
        ({"rule": "r", "threshold": "many"}, "`override.threshold` cannot be `many`"),
        ({"rule": "r", "threshold": True}, "`override.threshold` cannot be `true`"),
        ({"rule": "r", "suppress": {"by": [], "for": "1h"}}, "suppress has no `by`"),
    ],
)
def test_what_is_wrong(keys: dict[str, Any], said: str) -> None:
    [error] = override_refusals(keys)
    assert error.message.startswith(said)
    assert error.keys[0] == "override"


def test_in_a_sites_own_folder(tmp_path: Path) -> None:
    shipped, site = tmp_path / "shipped", tmp_path / "site"
    shipped.mkdir()
    site.mkdir()
    write(shipped / "a.yml", rule(level=None, id=None), counting())
    before = (shipped / "a.yml").read_bytes()
    write(site / "quiet.yml", override(rule="burst", stage="shadow", threshold=50), override(rule="burst", level="low"))
    loader = Loader([shipped, site])
    assert not loader.faults
    [found] = loader.rules
    assert (found.stage, found.level) == ("shadow", "low")
    assert "more than 50" in loader.join.correlations[0].correlation.sentence
    assert (shipped / "a.yml").read_bytes() == before


def test_by_id(tmp_path: Path) -> None:
    assert load(tmp_path, rule(), override(rule=identity("query"), level="low")).rules[0].level == "low"


def test_an_unknown_rule_is_refused_with_the_line_and_the_nearest_name(tmp_path: Path) -> None:
    loader = load(tmp_path, rule(), override(rule="qurey", level="low"))
    [fault] = loader.faults
    assert fault.message == "no sound rule is called `qurey`"
    assert fault.remedy == "did you mean `query`?"
    text = (tmp_path / "rules.yml").read_text().splitlines()
    assert text[fault.line - 1].strip() == "rule: qurey"


def test_a_file_or_a_title_in_place_of_a_name_is_told_what_to_write(tmp_path: Path) -> None:
    loader = load(tmp_path, rule(), override(rule="Title of query", level="low"), override(rule="rules", stage="shadow"))
    assert {fault.remedy for fault in loader.faults} == {"write `query` (Title of query)"}
    [fault] = load(tmp_path, rule(), override(rule="97f1", level="low")).faults
    assert fault.remedy == "write a rule's `name` or `id`; `nigrani rules list --json` tells them"


def test_two_overrides_of_one_key_are_a_fault(tmp_path: Path) -> None:
    loader = load(tmp_path, rule(), override(rule="query", level="low"), override(rule=identity("query"), level="medium"))
    assert "`level` of that rule is overridden by" in told(loader)[0]


def test_a_threshold_needs_something_that_is_compared(tmp_path: Path) -> None:
    assert told(load(tmp_path, rule(), override(rule="query", threshold=3))) == ["the rule has no threshold"]


def test_the_fields_of_a_suppression_are_looked_for_in_the_rule(tmp_path: Path) -> None:
    loader = load(tmp_path, rule(), override(rule="query", suppress={"by": ["host.id", "dicom.caling_ae"], "for": "1h"}))
    [fault] = loader.faults
    assert (fault.message, fault.remedy) == ("unknown field `dicom.caling_ae`", "did you mean `dicom.calling_ae`?")
    assert "dicom.caling_ae" in (tmp_path / "rules.yml").read_text().splitlines()[fault.line - 1]


def test_an_expired_override_is_not_in_force_and_says_so(tmp_path: Path) -> None:
    write(tmp_path / "a.yml", rule(), {**override(rule="query", level="low"), "custom": {"expires": date(2026, 3, 1)}})
    assert Loader([tmp_path], today=date(2026, 3, 1)).rules[0].level == "low"
    later = Loader([tmp_path], today=date(2026, 3, 2))
    assert later.rules[0].level == "high"
    assert [warning.message for warning in later.warnings] == ["expired on 2026-03-01, and is no longer in force"]
