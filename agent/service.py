"""The agent's service: interfaces and logs in, events onto the bus, its own counters as metrics and heartbeats."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from agent.audit import Audit
from agent.captures.live import LiveCapture
from agent.clock import ClockWatch
from agent.heartbeat import Heartbeat
from agent.metrics import GAUGES, AgentMetrics
from agent.setup import make_logs, make_map, make_pipeline, make_privacy
from agent.sink import BusSink
from nigrani import __version__
from nigrani.service.errors import Problem
from nigrani.service.exposition import Registry
from nigrani.service.key import site_key, state_folder
from nigrani.stream.events import DATASETS, AgentStatus

if TYPE_CHECKING:
    from agent.config import AgentConfig
    from nigrani.stream.bus import Publisher

HEARTBEAT = 60.0
"""Seconds between `agent.status` events."""
TURN = 0.2
"""Seconds to wait for packets at most, so that silent flows end on time."""
SLICE = 1_000
"""Events made between two looks at the ring, at most: a few milliseconds' work, which it holds packets for."""
ROOM = 8_192
"""Records that wait to become events; beyond it flows stay in the table, or go untold and are counted."""
FLUSH = 0.25
"""Seconds between two records on the bus of fewer events than one takes; the first after a rest goes at once."""
LOOK = 0.1
"""Seconds between two looks at logs, beside packets; and what is given to logs at once, while more of them waits."""
SAVE = 1.0
"""Seconds between two savings of how far logs were read, each a write to the disk."""
TOLD = frozenset({"flows", "kernel_packets", "map_entries", *GAUGES})
"""Counters that say nothing of what was passed over."""


class AgentService:
    """One agent on its interfaces."""

    def __init__(self, config: AgentConfig, publisher: Publisher) -> None:
        """Raises Problem."""
        self._publisher = publisher
        self.sink = BusSink(publisher)
        self._boot = secrets.token_hex(16)
        self._key = site_key(config.privacy.key).value
        self._map = make_map(config)
        self._audit = Audit(state_folder())
        self._privacy = make_privacy(config, self._boot, self._key, self._map.note if self._map is not None else None)
        self._pipeline = make_pipeline(config, self._privacy, self.sink)
        self._logs = make_logs(config, publisher)
        self._capture = LiveCapture(config.interfaces, config.capture) if config.interfaces else None
        self._before: dict[str, int] = {}
        """What captures counted that this one has replaced."""
        self._pipeline.meter.room = ROOM
        self._behind = False
        """Whether records wait to become events."""
        self._beat = self._saved = self._flushed = self._looked = -HEARTBEAT  # of the clock that nobody sets
        self._clock = ClockWatch(config.clock)
        self._report = Heartbeat(self._key, config)
        self.registry = Registry()
        self.registry.register(AgentMetrics(self))
        self.registry.register(self._clock)
        if self._map is not None:
            self._map.start()

    def step(self) -> int:
        """Meter what has come; returns the number of packets."""
        meter = self._pipeline.meter
        count = self._capture.read(meter, 0.0 if self._behind else TURN) if self._capture is not None else 0
        self._clock.look()
        now = time.time()
        meter.tick(int(now * 1_000_000))
        self._behind = self._pipeline.pump(SLICE)
        self._read_logs()
        if self._map is not None and self._map.renewed():
            self._privacy.forget()
        if self.sink.holds() and time.monotonic() - self._flushed >= FLUSH:
            self._flushed = time.monotonic()
            self.sink.flush()
        if time.monotonic() - self._beat >= HEARTBEAT:
            self._beat = time.monotonic()
            self._heartbeat(now)
        return count

    def counters(self) -> dict[str, int]:
        """Everything counted, the kernel's drops included."""
        return {
            **self._pipeline.meter.counters(),
            **self._captured(),
            "events": self._pipeline.events,
            "lost_events": self.sink.lost,
            "clock_steps": self._clock.steps,
            **(self._map.counters() if self._map is not None else {}),
            "reveal_audit_bytes": self._audit.size(),
        }

    def datasets(self) -> dict[str, int]:
        """Dataset → events of it, without those that tell of the agent itself."""
        kinds = self._pipeline.kinds
        return {name: kinds[kind] for name, kind in DATASETS.items() if kind is not AgentStatus}

    def log_counters(self) -> dict[str, dict[str, int]]:
        """Source of log lines → counter → count."""
        return self._logs.counters() if self._logs is not None else {}

    def change_privacy(self, config: AgentConfig) -> None:
        """Let events leave by another policy from the next one on; conversations under way keep their tokens and zones."""
        privacy = make_privacy(config, self._boot, self._key, self._map.note if self._map is not None else None)
        privacy.sequence = self._privacy.sequence
        self._privacy = self._pipeline.privacy = privacy

    def change_capture(self, config: AgentConfig) -> None:
        """Watch other interfaces, or otherwise. Raises Problem, and goes on as before then. The flow table stays."""
        old = self._capture
        if old is not None and old.adopt(config.interfaces, config.capture):
            return
        new = LiveCapture(config.interfaces, config.capture, deaf=True) if config.interfaces else None
        if old is not None:
            old.mute()
        try:
            if new is not None:
                new.listen()
        except Problem:
            if old is not None:
                old.unmute()
            raise
        if old is not None:
            old.drain(self._pipeline.meter)
            before = {name: count for name, count in self._captured().items() if name not in GAUGES}
            old.close()
            self._capture, self._before = new, before
        self._capture = new

    def change_clock(self, config: AgentConfig) -> None:
        """Ask another time server, or at other times."""
        self._clock.change(config.clock)

    def change_logs(self, config: AgentConfig) -> None:
        """Read other sources of lines, or otherwise. Raises Problem, and goes on as before then."""
        self.sink.flush()  # a place is given on only once all before it is on the bus
        if self._logs is None:
            self._logs = make_logs(config, self._publisher)
        else:
            self._logs.change(config.logs)

    def reloaded(self, config: AgentConfig) -> None:
        """Tell with the next heartbeat that a configuration was read anew, and of the one in effect since then."""
        self._report.reloaded()
        self._report.use(config)

    def close(self) -> None:
        """Read what came in until now, end every flow, say so, and leave."""
        if self._capture is not None:
            self._capture.mute()
            self._capture.drain(self._pipeline.meter)
        self._pipeline.close()
        self._heartbeat(time.time())
        if self._logs is not None:
            self._logs.save()
            self._logs.close()
        if self._capture is not None:
            self._capture.close()
        if self._map is not None:
            self._map.close()

    def _captured(self) -> dict[str, int]:
        """What captures counted since the start."""
        counters = self._capture.counters() if self._capture is not None else {}
        return {**self._before, **{name: count + self._before.get(name, 0) for name, count in counters.items()}}

    def _read_logs(self) -> None:
        """Lines, each turn's facts as one record of their own: with the place after them it is there whole or not at all."""
        now = time.monotonic()
        if self._logs is None or (now - self._looked < LOOK and self._capture is not None):
            return
        self._looked = now
        end = now + LOOK
        while True:
            facts = self._logs.read(0.0 if self._capture is not None else TURN)
            if facts:
                self.sink.flush()
                self._logs.mean()
                self._pipeline.send([(None, fact) for fact in facts])
                self.sink.flush()
            if not self._logs.busy or time.monotonic() >= end:
                break
        if now - self._saved >= SAVE:
            self._saved = now
            self._logs.save()

    def _heartbeat(self, now: float) -> None:
        if self._capture is not None:
            self._capture.statistics()
        counters = self.counters()
        numbers = self._report.numbers(counters)
        packets, events = counters.pop("packets"), counters.pop("events")
        skipped = {name: count for name, count in counters.items() if count and name not in TOLD}
        mark = self._report.configuration
        self.sink.write([self._privacy.status(int(now * 1_000_000), __version__, packets, events, skipped, mark, numbers)])
        self.sink.flush()
