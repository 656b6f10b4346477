"""The agent's service: interfaces and logs in, events onto the bus, its own counters as metrics and heartbeats."""

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
from agent.setup import make_logs, make_pipeline, make_privacy
from agent.sink import BusSink
from agent.sources.log_sources import GAUGES as LOG_GAUGES
from nigrani import __version__

if TYPE_CHECKING:
    from agent.config import AgentConfig
    from agent.forwarder import Forwarder
    from nigrani.stream.bus import Publisher

HEARTBEAT = 60.0
"""Seconds between `agent.status` events."""
TURN = 0.2
"""Seconds to wait for packets at most, so that silent flows end on time."""
SAVE = 1.0
"""Seconds between two savings of how far logs were read, each a write to the disk."""
GAUGES = frozenset({"active_flows", "interfaces_up", "ring_fill_percent", "shed_one_in"})
TOLD = frozenset({"flows", "kernel_packets", *GAUGES})
"""Counters that say nothing of what was passed over."""


class AgentService:
    """One agent on its interfaces."""

    def __init__(self, config: AgentConfig, publisher: Publisher, path: Path | None = None) -> None:
        """Raises Problem or BadConfig."""
        self.sink = BusSink(publisher)
        self._privacy = make_privacy(config, secrets.token_hex(16), path)
        self._pipeline = make_pipeline(config, self._privacy, self.sink, path)
        self._logs = make_logs(config)
        self._capture = LiveCapture(config.interfaces, config.capture) if config.interfaces else None
        self._beat = self._saved = 0.0
        self.registry = CollectorRegistry()
        self.registry.register(_Counters(self))

    def forwards(self, forwarder: Forwarder, spool: Path) -> None:
        """Events also go on to Kafka, from the spool in this folder."""
        from agent.delivery import Delivery  # noqa: PLC0415 - only where brokers are configured

        self.registry.register(Delivery(forwarder, spool))

    def step(self) -> int:
        """Meter what has come; returns the number of packets."""
        meter = self._pipeline.meter
        count = self._capture.read(meter, TURN) if self._capture is not None else 0
        now = time.time()
        meter.tick(int(now * 1_000_000))
        self._pipeline.pump()
        self._read_logs(now)
        if now - self._beat >= HEARTBEAT:
            self._beat = now
            self._heartbeat(now)
        return count

    def counters(self) -> dict[str, int]:
        """Everything counted, the kernel's drops included."""
        return {
            **self._pipeline.meter.counters(),
            **(self._capture.counters() if self._capture is not None else {}),
            "events": self._pipeline.events,
            "lost_events": self.sink.lost,
        }

    def log_counters(self) -> dict[str, dict[str, int]]:
        """Source of log lines → counter → count."""
        return self._logs.counters() if self._logs is not None else {}

    def close(self) -> None:
        """End every flow, say so, and leave."""
        self._pipeline.close()
        self._heartbeat(time.time())
        if self._logs is not None:
            self._logs.save()
            self._logs.close()
        if self._capture is not None:
            self._capture.close()

    def _read_logs(self, now: float) -> None:
        if self._logs is None:
            return
        facts = self._logs.read(0.0 if self._capture is not None else TURN)
        if facts:
            self._pipeline.send([(None, fact) for fact in facts])
        if now - self._saved >= SAVE:  # what was read is on the bus by now
            self._saved = now
            self._logs.save()

    def _heartbeat(self, now: float) -> None:
        if self._capture is not None:
            self._capture.statistics()
        counters = self.counters()
        packets, events = counters.pop("packets"), counters.pop("events")
        skipped = {
            name: count for name, count in counters.items() if count and name not in {"flows", "kernel_packets", *GAUGES}
        }
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
        yield from self._logs()

    def _logs(self) -> Iterator[Metric]:
        """One family for each counter of any source; sources have the names that the configuration gives them."""
        sources = self._service.log_counters()
        for name in sorted({name for counters in sources.values() for name in counters}):
            text = f"{name.replace('_', ' ').capitalize()} of a source of logs."
            family = (GaugeMetricFamily if name in LOG_GAUGES else CounterMetricFamily)(
                f"nigrani_agent_log_{name}", text, labels=["source"]
            )
            for source, counters in sources.items():
                if name in counters:
                    family.add_metric([source], counters[name])
            yield family
