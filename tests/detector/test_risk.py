"""Weak signs add up."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from detector import risk as module
from detector.alert import Alert
from detector.engine import Engine
from detector.risk import SPAN, Risk
from detector.rule import Rule
from detector.ruleset import RuleSet
from nigrani.stream.events import NetworkFlow


def rule(name: str, amount: int) -> Rule:
    return Rule(id=name, title=name, path=Path(f"{name}.yml"), level="low", risk=amount)


def test_signs_add_up_to_an_alert() -> None:
    risk = Risk()
    assert risk.add("a", rule("one", 60), 0) == []
    assert risk.add("b", rule("two", 60), 1) == [], "another device"
    assert [sign.rule.title for sign in risk.add("a", rule("three", 40), 2)] == ["one", "three"]


def test_a_repeat_adds_nothing() -> None:
    risk = Risk()
    assert [risk.add("a", rule("one", 60), number) for number in range(5)] == [[]] * 5


def test_old_signs_fade() -> None:
    risk = Risk()
    risk.add("a", rule("one", 60), 0)
    assert risk.add("a", rule("two", 60), SPAN) == []


def test_devices_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DEVICES", 3)
    risk = Risk()
    for number in range(5):
        risk.add(str(number), rule("one", 60), number)
    assert risk.forgotten == 2
    assert risk.add("4", rule("two", 60), 9) != []


SITE = """
title: {title}
id: {id}
status: test
description: weak
logsource: {{product: healthcare, service: flow}}
detection:
  sel: {{destination.port: {port}}}
  condition: sel
level: low
custom: {{risk: 50}}
"""


def test_the_engine_tells_them_together(tmp_path: Path) -> None:
    for number, port in ((1, 23), (2, 21)):
        text = SITE.format(title=f"sign {number}", id=f"00000000-0000-4000-8000-00000000000{number}", port=port)
        (tmp_path / f"{number}.yml").write_text(text)
    alerts: list[Alert] = []
    engine = Engine(RuleSet.load(tmp_path), alerts.append)
    for second, port in enumerate((23, 23, 21)):
        when = datetime(2026, 3, 2, 8, 0, second, tzinfo=UTC)
        engine.feed(
            NetworkFlow(
                timestamp=when,
                id=str(second),
                sequence=second,
                agent="a",
                host="ip:a",
                source="ip:a",
                destination="ip:b",
                destination_port=port,
            )
        )
    assert [alert.title for alert in alerts] == ["Several weak signs about one device"]
    assert alerts[0].because == ["sign 1 (risk 50)", "sign 2 (risk 50)"]
    assert alerts[0].risk == 100
    assert alerts[0].when.second == 2
