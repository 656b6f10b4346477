"""Heartbeats tell of the time since the one before, and by what configuration the agent runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from agent import heartbeat as module
from agent.config import AgentConfig, Privacy
from agent.heartbeat import Heartbeat, fingerprint

KEY = b"k" * 32
CONFIG = AgentConfig(name="a", interfaces=("x0", "x1"), privacy=Privacy(key=Path("site.key")))


def test_sums_are_of_the_time_since_the_heartbeat_before() -> None:
    heartbeat = Heartbeat(KEY, CONFIG)
    first = {"kernel_packets": 1000, "kernel_dropped_packets": 30, "lost_events": 2, "clock_steps": 1}
    told = heartbeat.numbers(first)
    assert (told["dropped"], told["dropped_percent"], told["lost_events"], told["clock_steps"]) == (30, 3, 2, 1)
    told = heartbeat.numbers(first)
    assert (told["dropped"], told["dropped_percent"], told["lost_events"], told["clock_steps"]) == (0, 0, 0, 0)
    told = heartbeat.numbers({**first, "kernel_packets": 1100, "kernel_dropped_packets": 80, "lost_events": 3})
    assert (told["dropped"], told["dropped_percent"], told["lost_events"], told["clock_steps"]) == (50, 50, 1, 0)


def test_reloads_are_told_once() -> None:
    heartbeat = Heartbeat(KEY, CONFIG)
    heartbeat.reloaded()
    heartbeat.reloaded()
    assert [heartbeat.numbers({})["reloads"] for _ in range(2)] == [2, 0]


def test_interfaces_are_told_where_some_are_watched() -> None:
    heartbeat = Heartbeat(KEY, CONFIG)
    assert "interfaces_up" not in heartbeat.numbers({})
    told = heartbeat.numbers({"interfaces_up": 0, "shed_one_in": 4})
    assert (told["interfaces_up"], told["interfaces_down"], told["shed_one_in"]) == (0, 2, 4)
    heartbeat.use(dataclasses.replace(CONFIG, interfaces=("x0",)))
    assert heartbeat.numbers({"interfaces_up": 1})["interfaces_down"] == 0


def test_uptime_is_of_a_clock_that_nobody_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "monotonic", iter((100.0, 161.7)).__next__)
    assert Heartbeat(KEY, CONFIG).numbers({})["uptime"] == 61


def test_a_fingerprint_is_the_same_for_the_same_settings_alone() -> None:
    mark = fingerprint(KEY, CONFIG)
    assert len(mark) == 16
    assert int(mark, 16)
    assert fingerprint(KEY, dataclasses.replace(CONFIG)) == mark
    assert fingerprint(b"l" * 32, CONFIG) != mark
    one, other = ({"b": ("10.0.0.0/8",), "a": ("10.1.0.0/16",)}, {"a": ("10.1.0.0/16",), "b": ("10.0.0.0/8",)})
    zoned = [dataclasses.replace(CONFIG, privacy=Privacy(key=Path("site.key"), zones=zones)) for zones in (one, other)]
    assert fingerprint(KEY, zoned[0]) == fingerprint(KEY, zoned[1]) != mark


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(AgentConfig)])
def test_every_setting_is_in_the_fingerprint(field: str) -> None:
    value = getattr(CONFIG, field)
    other = "10.0.0.9" if isinstance(value, str) else ("x9",)
    assert fingerprint(KEY, dataclasses.replace(CONFIG, **{field: other})) != fingerprint(KEY, CONFIG)
