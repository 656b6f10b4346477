from __future__ import annotations

from agent.standing import MINUTE, Standing
from nigrani import __version__
from nigrani.service.exposition import Registry, exposition


class Service:
    def __init__(self) -> None:
        self.counts = {"packets": 0, "events": 0, "kernel_dropped_packets": 0, "lost_events": 0}

    def counters(self) -> dict[str, int]:
        return dict(self.counts)

    def datasets(self) -> dict[str, int]:
        return {"network.flow": 3}


def test_a_line_tells_what_happened_since_the_last() -> None:
    service, now = Service(), [100.0]
    trouble = [""]
    standing = Standing(service, lambda: trouble[0], lambda: now[0])
    assert not standing.due()
    now[0] += MINUTE
    service.counts |= {"packets": 60_000, "events": 30}
    assert standing.due()
    assert standing.line() == "1,000 packets/s, 0.5 events/s"
    assert not standing.due()
    now[0] += 60
    service.counts |= {"kernel_dropped_packets": 7, "lost_events": 2}
    trouble[0] = "no broker"
    assert standing.line() == "0 packets/s, 0.0 events/s; 7 packets dropped in 60 s; 2 events lost in 60 s; no broker"


def test_version_age_and_datasets_are_metrics() -> None:
    registry = Registry()
    registry.register(Standing(Service(), str))
    shown = exposition(registry).decode()
    assert f'nigrani_agent_info{{version="{__version__}"}} 1.0' in shown
    assert "nigrani_agent_start_time_seconds 1" in shown
    assert 'nigrani_agent_dataset_events_total{dataset="network.flow"} 3' in shown
