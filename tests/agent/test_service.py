"""The agent's service without an interface: heartbeats, counters and metrics."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import service as module
from agent.config import AgentConfig, Privacy, TokenMap
from agent.meter import Meter
from agent.service import AgentService
from agent.sources.settings import File, Logs
from nigrani.service.exposition import exposition
from nigrani.stream.bus import BusFull
from nigrani.stream.codec import decode
from nigrani.stream.events import AgentStatus, AiInference
from nigrani.stream.memory import MemoryBus
from tests.agent.packets import datagram, feed, frames


class Quiet:
    """Stands where an interface would: nothing comes, two packets were dropped."""

    def __init__(self, interfaces: tuple[str, ...], settings: object) -> None:
        self.interfaces = interfaces

    def counters(self) -> dict[str, int]:
        return {"kernel_packets": 9, "kernel_dropped_packets": 2, "interfaces_up": 1}

    def read(self, meter: Meter, timeout: float) -> int:
        return 0

    def statistics(self) -> tuple[int, int]:
        return 0, 0

    def mute(self) -> None:
        pass

    def drain(self, meter: object) -> None:
        pass

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


def test_a_heartbeat_tells_of_the_time_since_the_one_before(service: AgentService, bus: MemoryBus, tmp_path: Path) -> None:
    service.step()
    other = AgentConfig(name="a", interfaces=("x0", "x1"), privacy=Privacy(key=tmp_path / "site.key"))
    service.reloaded(other)
    service.sink.lost += 3
    service.close()
    first, last = statuses(bus)
    assert (first.dropped, first.dropped_percent, first.lost_events, first.reloads) == (2, 22, 0, 0)
    assert (first.interfaces_up, first.interfaces_down) == (1, 0)
    assert (last.dropped, last.dropped_percent, last.lost_events, last.reloads) == (0, 0, 3, 1)
    assert (last.interfaces_up, last.interfaces_down) == (1, 1)
    assert last.skipped == {"kernel_dropped_packets": 2, "lost_events": 3}
    assert len(first.configuration) == len(last.configuration) == 16
    assert first.configuration != last.configuration


def test_the_same_configuration_has_the_same_fingerprint_after_a_restart(
    service: AgentService, bus: MemoryBus, tmp_path: Path
) -> None:
    service.close()
    again = AgentService(AgentConfig(name="a", interfaces=("x0",), privacy=Privacy(key=tmp_path / "site.key")), bus)
    again.close()
    one, other = statuses(bus)
    assert one.configuration == other.configuration != ""


class Flood(Quiet):
    """Once, many flows that were over long ago."""

    def __init__(self, interfaces: tuple[str, ...], settings: object) -> None:
        super().__init__(interfaces, settings)
        self.waits: list[float] = []

    def read(self, meter: Meter, timeout: float) -> int:
        self.waits.append(timeout)
        if len(self.waits) == 1:
            feed(meter, frames(*[datagram(("10.0.0.1", 1000 + port), ("10.0.0.2", 5)) for port in range(1500)], every=0))
        return 0


def test_many_events_are_made_a_piece_at_a_time_and_nobody_waits_meanwhile(
    bus: MemoryBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LiveCapture", Flood)
    service = AgentService(AgentConfig(name="a", interfaces=("x0",), privacy=Privacy(key=tmp_path / "site.key")), bus)
    made = []
    for _ in range(3):
        service.step()
        made.append(service.counters()["events"])
    assert made == [module.SLICE, 1500, 1500]
    assert isinstance(service._capture, Flood)
    assert service._capture.waits == [module.TURN, 0.0, module.TURN]
    service.close()


def test_events_are_on_the_bus_within_the_flush(
    service: AgentService, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLUSH", 60.0)
    service.step()
    reader = bus.reader("late")
    reader.poll(10)
    event = statuses(bus)[:1]
    service.sink.write([*event])
    service.step()
    assert [batch.count for batch in reader.poll(10)] == [1]
    service.sink.write([*event])
    service.step()
    assert reader.poll(10) == []
    monkeypatch.setattr(module, "FLUSH", 0.0)
    service.step()
    assert [batch.count for batch in reader.poll(10)] == [1]


def test_counters_are_metrics(service: AgentService) -> None:
    text = exposition(service.registry).decode()
    assert "nigrani_agent_kernel_dropped_packets_total 2\n" in text
    assert "nigrani_agent_active_flows 0\n" in text
    assert text.count("# HELP") == len(service.counters()) + len(["nigrani_agent_meter_compiled"])


def test_a_full_bus_is_counted(service: AgentService, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(lines: bytes, count: int) -> int:
        raise BusFull("no room")

    monkeypatch.setattr(bus, "publish", full)
    service.step()
    assert service.counters()["lost_events"] == 1


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
        text = exposition(service.registry).decode()
        assert 'nigrani_agent_log_facts_total{source="gateway"} 3\n' in text
        assert 'nigrani_agent_log_unreadable_lines_total{source="gateway"} 1\n' in text
        service.close()
    events = [decode(line) for batch in bus.reader("all").poll(100) for line in batch.lines.splitlines()]
    asked = [event for event in events if isinstance(event, AiInference)]
    assert len(asked) == len({event.host for event in asked}) == 6


def test_a_map_is_kept_counted_and_told_anew_with_each_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGRANI_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(module, "LiveCapture", Quiet)
    service = AgentService(AgentConfig(interfaces=("x0",), privacy=Privacy(map=TokenMap(key="5a" * 32))), MemoryBus())
    service._privacy.address("10.0.0.1")
    assert service._map is not None
    service._map._renewed = True
    known = dict(service._privacy._tokens._known)
    assert known
    service.step()
    assert known.keys() - service._privacy._tokens._known.keys(), "forgotten, so that it is told to the new file"
    service.close()
    counters = service.counters()
    assert counters["map_entries"] == 3, "the host's name, the agent's own host and the address"
    assert counters["map_bytes"] > 40
    assert counters["reveal_audit_bytes"] == 0
    assert "map_entries" in module.TOLD
    assert "10.0.0.1" not in "".join(path.read_text("latin-1") for path in (tmp_path / "state" / "tokens").iterdir())
