"""The agent's service: interfaces in, events onto the bus, its own counters as metrics and heartbeats."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from agent.captures.live import LiveCapture
from agent.setup import make_pipeline, make_privacy
from agent.sink import BusSink
from nigrani import __version__

if TYPE_CHECKING:
    from agent.config import AgentConfig
    from agent.forwarder import Forwarder
    from nigrani.stream.bus import Publisher

HEARTBEAT = 60.0
"""Seconds between `agent.status` events."""
TURN = 0.2
"""Seconds to wait for packets at most, so that silent flows end on time."""
GAUGES = frozenset({"active_flows"})


class AgentService:
    """One agent on its interfaces."""

    def __init__(self, config: AgentConfig, publisher: Publisher, path: Path | None = None) -> None:
        """Raises Problem or BadConfig."""
        self.sink = BusSink(publisher)
        self._privacy = make_privacy(config, secrets.token_hex(16), path)
        self._pipeline = make_pipeline(config, self._privacy, self.sink, path)
        self._captures = [LiveCapture(interface) for interface in config.interfaces]
        self._beat = 0.0
        self.registry = CollectorRegistry()
        self.registry.register(_Counters(self))

    def forwards(self, forwarder: Forwarder, spool: Path) -> None:
        """Events also go on to Kafka, from the spool in this folder."""
        from agent.delivery import Delivery  # noqa: PLC0415 - only where brokers are configured

        self.registry.register(Delivery(forwarder, spool))

    def step(self) -> int:
        """Meter what has come; returns the number of packets."""
        meter = self._pipeline.meter
        wait = TURN / len(self._captures)
        count = sum(capture.read(meter, wait) for capture in self._captures)
        now = time.time()
        meter.tick(int(now * 1_000_000))
        self._pipeline.pump()
        if now - self._beat >= HEARTBEAT:
            self._beat = now
            self._heartbeat(now)
        return count

    def counters(self) -> dict[str, int]:
        """Everything counted, the kernel's drops included."""
        for capture in self._captures:
            capture.statistics()
        return {
            **self._pipeline.meter.counters(),
            "kernel_dropped_packets": sum(capture.dropped for capture in self._captures),
            "events": self._pipeline.events,
            "lost_events": self.sink.lost,
        }

    def close(self) -> None:
        """End every flow, say so, and leave."""
        self._pipeline.close()
        self._heartbeat(time.time())
        for capture in self._captures:
            capture.close()

    def _heartbeat(self, now: float) -> None:
        counters = self.counters()
        packets, events = counters.pop("packets"), counters.pop("events")
        skipped = {name: count for name, count in counters.items() if count and name not in {"flows", *GAUGES}}
        self.sink.write([self._privacy.status(int(now * 1_000_000), __version__, packets, events, skipped)])


class _Counters(Collector):
    """The service's plain counters, read when Prometheus asks."""

    def __init__(self, service: AgentService) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """One family each."""
        for name, value in self._service.counters().items():
            text = f"{name.replace('_', ' ').capitalize()} since the agent's start."
            family = GaugeMetricFamily if name in GAUGES else CounterMetricFamily
            yield family(f"nigrani_agent_{name}", text, value=value)
