"""A new configuration is applied part by part, or not at all; as a process in tests/e2e/test_reload.py."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter

import pytest

from agent.config import AgentConfig, Bus, Meter, Metrics, Privacy, TokenMap
from agent.reload import Part, Reload
from nigrani.service.errors import BadConfig, Fault, Problem
from nigrani.service.exposition import Registry, exposition

OLD = AgentConfig(name="a", host="10.0.0.1")


class Parts:
    """Two parts that remember what they were changed to."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []
        self.broken: set[object] = set()

    def part(self, name: str) -> Part:
        settings = attrgetter(name)

        def change(config: AgentConfig) -> None:
            if settings(config) in self.broken:
                raise Problem(f"{name} cannot be so")
            self.told.append((name, settings(config)))

        return Part(name, settings, change)


def made(wanted: AgentConfig | Problem, parts: Parts) -> Reload:
    def read() -> AgentConfig:
        if isinstance(wanted, Problem):
            raise wanted
        return wanted

    return Reload(OLD, read, [parts.part("host"), parts.part("metrics")])


def metrics(reload: Reload) -> str:
    registry = Registry()
    registry.register(reload)
    return exposition(registry).decode()


def test_what_changed_is_changed_and_nothing_else() -> None:
    parts = Parts()
    reload = made(replace(OLD, host="10.0.0.2"), parts)
    assert [reload(), reload()] == ["applied", "unchanged"]
    assert parts.told == [("host", "10.0.0.2")]
    assert reload.config.host == "10.0.0.2"
    shown = metrics(reload)
    assert 'nigrani_agent_config_reloads_total{result="applied"} 1' in shown
    assert "nigrani_agent_config_last_reload_successful 1.0" in shown


def test_a_part_that_cannot_be_changed_has_the_others_put_back(caplog: pytest.LogCaptureFixture) -> None:
    parts = Parts()
    new = Metrics("127.0.0.1:1")
    parts.broken.add(new)
    reload = made(replace(OLD, host="10.0.0.2", metrics=new), parts)
    assert reload() == "failed"
    assert parts.told == [("host", "10.0.0.2"), ("host", "10.0.0.1")]
    assert reload.config == OLD
    assert "metrics cannot be so" in caplog.text
    assert "nigrani_agent_config_last_reload_successful 0.0" in metrics(reload)


def test_what_cannot_be_put_back_is_told(caplog: pytest.LogCaptureFixture) -> None:
    parts = Parts()
    new = Metrics("127.0.0.1:1")
    parts.broken |= {new, OLD.host}
    assert made(replace(OLD, host="10.0.0.2", metrics=new), parts)() == "failed"
    assert "host cannot be put back" in caplog.text


def test_every_fault_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    parts = Parts()
    assert made(BadConfig([Fault("a.yaml", 1, "one"), Fault("a.yaml", 2, "two")]), parts)() == "refused"
    assert len(caplog.records) == 2
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert parts.told == []


def test_what_has_to_wait_is_told_each_time_and_not_in_effect(caplog: pytest.LogCaptureFixture) -> None:
    wanted = replace(
        OLD,
        name="b",
        meter=Meter(capacity=99),
        bus=Bus(fsync="never"),
        privacy=Privacy(domains="full", map=TokenMap("0" * 64)),
    )
    reload = made(wanted, Parts())
    for _ in range(2):
        assert reload() == "applied"
    for name in ("name", "privacy.map.key", "meter.capacity", "bus.fsync"):
        assert caplog.text.count(f" {name}: takes effect at the next start") == 2
    assert "meter.conversations" not in caplog.text
    assert (reload.config.name, reload.config.meter, reload.config.bus) == (OLD.name, OLD.meter, OLD.bus)
    assert reload.config.privacy.domains == "full"
