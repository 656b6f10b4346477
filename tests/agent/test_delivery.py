from __future__ import annotations

from pathlib import Path

import pytest

from agent import delivery as module
from agent.delivery import Delivery, room, spool_bytes
from agent.forwarder import STATES, Forwarder
from nigrani.service.exposition import exposition
from nigrani.stream.kafka.fault import KINDS
from nigrani.stream.memory import MemoryBus
from nigrani.stream.spool import Spool
from tests.agent.test_forwarder import Kafka, drain, made, publish, until


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


@pytest.fixture
def forward(kafka: Kafka, bus: MemoryBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Forwarder:
    monkeypatch.setattr("agent.forwarder.SECOND", 0.01)
    return made(kafka, bus, tmp_path)


def scrape(forward: Forwarder, folder: Path) -> dict[str, float]:
    lines = [line for line in exposition(Delivery(forward, folder)).decode().splitlines() if not line.startswith("#")]
    return {name.removeprefix("nigrani_agent_"): float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def hot(found: dict[str, float], name: str) -> list[str]:
    return [key.split('"')[1] for key, value in found.items() if key.startswith(f"{name}{{") and value == 1]


def test_every_series_is_there_from_the_start(forward: Forwarder, tmp_path: Path) -> None:
    found = scrape(forward, tmp_path)
    assert hot(found, "forward_state") == ["idle"]
    assert hot(found, "forward_trouble") == []
    assert sum(found.values()) == 1
    assert {f'forward_state{{state="{state}"}}' for state in STATES} <= set(found)
    assert {f'forward_trouble{{kind="{kind}"}}' for kind in KINDS} <= set(found)
    assert {
        "forward_acknowledged_events_total",
        'forward_refused_events_total{kind="refused"}',
        'forward_refused_events_total{kind="no_event"}',
        "forward_dead_letters_lost_total",
        "forward_reconnects_total",
        "forward_bytes_total",
        "forward_in_flight_events",
        "forward_oldest_unsent_seconds",
        "spool_bytes",
        "spool_events",
        "spool_missed_events_total",
    } <= set(found)


def test_trouble_and_its_end_show(
    forward: Forwarder, kafka: Kafka, bus: MemoryBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.time, "time", lambda: 1795255200.0 + 60)
    publish(bus, 40)
    kafka.down = "certificate"
    until(forward, lambda: forward.patience.trouble is not None and forward.lag == 40)
    found = scrape(forward, tmp_path)
    assert hot(found, "forward_state") == ["stalled"]
    assert hot(found, "forward_trouble") == ["certificate"]
    assert (found["forward_oldest_unsent_seconds"], found["spool_events"]) == (60, 40)
    kafka.down = ""
    drain(forward)
    until(forward, lambda: forward.lag == 0)
    found = scrape(forward, tmp_path)
    assert hot(found, "forward_state") == ["idle"]
    assert hot(found, "forward_trouble") == []
    assert found["forward_acknowledged_events_total"] == 40
    assert found["forward_oldest_unsent_seconds"] == found["forward_in_flight_events"] == 0


def test_the_spools_size_is_that_of_its_segments(tmp_path: Path) -> None:
    with Spool.open(tmp_path / "bus") as spool:
        assert spool_bytes(tmp_path / "bus") == 0
        spool.publish(b"x" * 1000, 1)
        assert 1000 < spool_bytes(tmp_path / "bus") < 1100


def test_the_spools_room_is_its_bound_and_its_disks(tmp_path: Path) -> None:
    found = {family.name: family.samples[0].value for family in room(tmp_path / "bus", 1 << 30)}
    assert found["nigrani_agent_spool_max_bytes"] == 1 << 30
    assert 0 < found["nigrani_agent_spool_disk_free_bytes"] <= found["nigrani_agent_spool_disk_size_bytes"]
