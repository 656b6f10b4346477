"""The agent's service without an interface: heartbeats, counters and metrics."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import generate_latest

from agent import service as module
from agent.config import AgentConfig, Privacy
from agent.service import AgentService
from agent.sources.settings import File, Logs
from nigrani.stream.bus import BusFull
from nigrani.stream.codec import decode
from nigrani.stream.events import AgentStatus, AiInference
from nigrani.stream.memory import MemoryBus
from tests.agent.test_forwarder import Kafka, made


class Quiet:
    """Stands where an interface would: nothing comes, two packets were dropped."""

    def __init__(self, interfaces: tuple[str, ...], settings: object) -> None:
        self.interfaces = interfaces

    def counters(self) -> dict[str, int]:
        return {"kernel_packets": 9, "kernel_dropped_packets": 2, "interfaces_up": 1}

    def read(self, meter: object, timeout: float) -> int:
        return 0

    def statistics(self) -> tuple[int, int]:
        return 0, 0

    def close(self) -> None:
        pass


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


@pytest.fixture
def service(bus: MemoryBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AgentService:
    monkeypatch.setattr(module, "LiveCapture", Quiet)
    config = AgentConfig(name="a", interfaces=("x0",), privacy=Privacy(key=tmp_path / "site.key"))
    return AgentService(config, bus)


def statuses(bus: MemoryBus) -> list[AgentStatus]:
    lines = b"".join(batch.lines for batch in bus.reader("test").poll(100)).splitlines()
    return [event for event in map(decode, lines) if isinstance(event, AgentStatus)]


def test_it_beats_at_once_and_at_the_end(service: AgentService, bus: MemoryBus) -> None:
    service.step()
    service.step()
    service.close()
    beats = statuses(bus)
    assert len(beats) == 2
    assert beats[0].agent == "a"
    assert beats[0].skipped == {"kernel_dropped_packets": 2}
    assert beats[1].sequence > beats[0].sequence


def test_counters_are_metrics(service: AgentService) -> None:
    text = generate_latest(service.registry).decode()
    assert "nigrani_agent_kernel_dropped_packets_total 2.0" in text
    assert "nigrani_agent_active_flows 0.0" in text
    assert text.count("# HELP") == len(service.counters())


def test_a_full_bus_is_counted(service: AgentService, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(lines: bytes, count: int) -> int:
        raise BusFull("no room")

    monkeypatch.setattr(bus, "publish", full)
    service.step()
    assert service.counters()["lost_events"] == 1


def test_delivery_to_kafka_is_among_the_metrics(service: AgentService, bus: MemoryBus, tmp_path: Path) -> None:
    service.forwards(made(Kafka(), bus, tmp_path), tmp_path)
    text = generate_latest(service.registry).decode()
    assert 'nigrani_agent_forward_state{state="idle"} 1.0' in text
    assert "nigrani_agent_lost_events_total 0.0" in text


def test_an_agent_without_interfaces_reads_logs_and_goes_on_where_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line once, over a restart, and lines that are none are counted under the source's name."""
    monkeypatch.setenv("NIGRANI_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(module, "TURN", 0.01)
    path = tmp_path / "gateway.log"
    line = '{{"msec": {}, "client": "10.0.0.{}", "uri": "/v2/models/chest/infer", "method": "POST", "status": 200}}\n'
    config = AgentConfig(logs=Logs(files={"gateway": File(str(path), "ai-gateway", beginning=True)}))
    bus = MemoryBus()
    for first in (1, 4):
        with path.open("a") as file:
            file.write("no such line\n")
            file.writelines(line.format(1_700_000_000 + number, number) for number in range(first, first + 3))
        service = AgentService(config, bus)
        for _ in range(3):
            service.step()
        value = service.registry.get_sample_value
        assert value("nigrani_agent_log_facts_total", {"source": "gateway"}) == 3
        assert value("nigrani_agent_log_unreadable_lines_total", {"source": "gateway"}) == 1
        service.close()
    events = [decode(line) for batch in bus.reader("all").poll(100) for line in batch.lines.splitlines()]
    asked = [event for event in events if isinstance(event, AiInference)]
    assert len(asked) == len({event.host for event in asked}) == 6
