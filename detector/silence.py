"""Agents that fall silent while others of the same partition go on.

An agent reports once a minute. It is silent once others' reports have come for `PATIENCE` since its last one, by the
events' time and by this machine's. The events' time alone would take agents for silent that are merely behind, after an
outage of the bus: others' hour of events may come in a second. So no replay finds anybody silent, and a detector that was
restarted waits anew; what is told, and when by the events' time, rests on the events alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from msgspec import Struct

from detector.counters import Counters
from nigrani.stream.events import AgentStatus

PATIENCE = 600
"""Seconds without a report."""
BREAK = 90.0
"""Seconds between two reports of anybody that count as flowing; a longer break of the stream itself makes nobody silent."""
MAX_AGENTS = 65_536
"""Agents whose last report is remembered; beyond it others are not watched, counted."""


class Heard(Struct, array_like=True):
    """An agent's last report."""

    when: float
    """By the events' time, seconds since the epoch."""
    host: str
    flow: float = 0.0
    """For how long reports had come then, by this machine's time."""


class Silent(NamedTuple):
    """An agent that is heard no more."""

    agent: str
    host: str
    since: float


class Silence:
    """The reports of one partition's agents."""

    def __init__(self, counters: Counters | None = None, watch: Callable[[], float] = time.monotonic) -> None:
        """watch: seconds of this machine's time."""
        self.counters = counters if counters is not None else Counters()
        self._heard: dict[str, Heard] = {}
        """Whoever reported longest ago comes first."""
        self._watch = watch
        self._watched = watch()
        self._flow = 0.0

    def heard(self, event: AgentStatus) -> list[Silent]:
        """Take the next report; returns who is found silent by it, each once until it is heard again."""
        watched = self._watch()
        self._flow += min(watched - self._watched, BREAK)
        self._watched = watched
        when = event.timestamp.timestamp()
        last = self._heard.pop(event.agent, None)
        if last is None and len(self._heard) >= MAX_AGENTS:
            self.counters.unwatched_agents += 1
        else:
            self._heard[event.agent] = Heard(max(when, last.when) if last else when, event.host, self._flow)
        return list(self._gone(when))

    def state(self) -> dict[str, Heard]:
        """What must be kept to go on later."""
        return self._heard

    def resume(self, state: dict[str, Heard]) -> None:
        """Go on with what was kept, with new patience."""
        self._heard = {agent: Heard(kept.when, kept.host, self._flow) for agent, kept in state.items()}

    def _gone(self, now: float) -> Iterator[Silent]:
        for agent, last in list(self._due()):
            del self._heard[agent]
            if now - last.when >= PATIENCE:
                yield Silent(agent, last.host, last.when)
            else:  # one of the two clocks is wrong: ask again later
                self._heard[agent] = Heard(last.when, last.host, self._flow)

    def _due(self) -> Iterator[tuple[str, Heard]]:
        for agent, last in self._heard.items():
            if self._flow - last.flow < PATIENCE:
                return
            yield agent, last
