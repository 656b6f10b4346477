"""Minutes by event time: which device's window an event counts in, and when a window is over.

Each agent has a clock of its own: the newest time that its events told. Within a partition one agent's events come in
order, but a network, a broker or an agent that was away lets some agents' events come minutes after others'; so a window
is judged once *its agent* is `LATENESS` past its end, and holds the same events however agents' streams were interleaved.
The window of an agent that fell silent is judged all the same, once half of the agents are `IDLE` further and events have
flowed for `QUIET`: an agent that is merely behind, after an outage, is not silent.

What comes later than its window still is counted, and only the rules see it. One wrong clock moves its agent's time
neither forth nor back for long, both ways it takes a row of events that agree, and it moves no other agent's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from statistics import median_high

from msgspec import Struct

from detector.counters import Counters
from detector.features import WINDOW, Window

LATENESS = 75
"""Seconds: a record's minute, and the meter's patience with a silent connection attempt."""
IDLE = 300
"""Seconds of event time by which half of the agents must have moved on since a silent agent's last event …"""
QUIET = 120.0
"""… and seconds of this machine's time for which others' events must have come."""
BREAK = 1.0
"""Seconds without any event that count as flowing; a longer break of the stream itself makes nobody silent."""
AHEAD = 3600
"""An event more than this many seconds ahead of all others of its agent is not believed …"""
BELIEVED = 20
"""… until so many in a row are."""
BEHIND = 200
"""So many late events in a row, and the time goes back to theirs: a clock was wrong, or a store of old events is read."""
MAX_WINDOWS = 131_072
"""Open windows, all agents together; beyond it events are counted and their minutes not judged."""
MAX_AGENTS = 65_536
"""Agents with a clock of their own; beyond it the others share one."""
FORGET = 86_400
"""Seconds by which an agent without open windows is behind the others when its clock is forgotten."""
LAST = 253_402_214_400
"""The end of 9999-12-30: nothing is believed that has no next day."""

Key = tuple[int, str]
"""Start of a window and its device."""


class ClockState(Struct, array_like=True, gc=False):
    """A clock as it is kept."""

    now: float
    row: int
    late_row: int
    windows: list[Window]


class Clock:
    """One agent's time, and its open windows."""

    __slots__ = ("flow", "late_row", "now", "oldest", "open", "others", "row")

    def __init__(self, kept: ClockState | None = None) -> None:
        self.now = kept.now if kept else 0.0
        """Seconds since the epoch."""
        self.row = kept.row if kept else 0
        self.late_row = kept.late_row if kept else 0
        self.open: dict[Key, Window] = {(window.start, window.device): window for window in kept.windows} if kept else {}
        self.oldest = min((start for start, _ in self.open), default=0)
        """Start of the oldest open window; 0 where none is open."""
        self.flow = 0.0
        """For how long events had flowed at its last event, and …"""
        self.others = 0.0
        """… the time that half of the agents had reached."""

    def due(self, now: float) -> bool:
        """Whether a window is over by that time."""
        return bool(self.oldest) and self.oldest + WINDOW + LATENESS <= now

    def over(self, now: float) -> list[Window]:
        """Take out the windows that are over by that time, by time and then by device."""
        keys = sorted(key for key in self.open if key[0] + WINDOW + LATENESS <= now)
        windows = [self.open.pop(key) for key in keys]
        self.oldest = min((start for start, _ in self.open), default=0)
        return windows


class Windows:
    """The open windows of one partition."""

    def __init__(self, counters: Counters | None = None, watch: Callable[[], float] = time.monotonic) -> None:
        """watch: seconds of this machine's time."""
        self.counters = counters if counters is not None else Counters()
        self.now = 0.0
        """The time that half of the agents have reached, to the minute where there are several; seconds since the epoch."""
        self.clocks: dict[str, Clock] = {}
        self.count = 0
        """Windows that are open."""
        self._moves = 0
        """Minutes that clocks have moved on since all of them were looked at."""
        self._watch = watch
        self._watched = watch()
        self._flow = 0.0

    def at(self, agent: str, device: str, when: float) -> Window | None:
        """The agent's window of the device at that time; None where it is over, not believed, or there are too many."""
        clock = self.clocks.get(agent)
        if clock is None:
            clock = self._clock(agent)
        clock.flow, clock.others = self._flow, self.now
        if not self._believed(clock, when):
            return None
        start = int(when) // WINDOW * WINDOW
        if start + WINDOW + LATENESS <= clock.now:
            clock.late_row += 1
            if clock.late_row <= BEHIND:
                self.counters.late += 1
                return None
            self._reach(clock, when)
        clock.late_row = 0
        window = clock.open.get((start, device))
        if window is None:
            if self.count >= MAX_WINDOWS:
                self.counters.unwatched += 1
                return None
            window = clock.open[start, device] = Window(device, start)
            self.count += 1
            if not clock.oldest or start < clock.oldest:
                clock.oldest = start
        return window

    def due(self, agent: str) -> bool:
        """Whether a window of this agent is over, or it is time to look at all agents'."""
        clock = self.clocks.get(agent) or self._clock(agent)
        return clock.due(clock.now) or self._sweep_due()

    def close(self, agent: str) -> Iterator[Window]:
        """The windows of this agent that are over; now and then also those of agents that fell silent."""
        clock = self.clocks.get(agent) or self._clock(agent)
        yield from self._take(clock, clock.now)
        if self._sweep_due():
            yield from self._sweep()

    def close_all(self) -> Iterator[Window]:
        """Every window, at the end of the input: by time, then by agent and device."""
        rest = [(*key, agent) for agent, clock in self.clocks.items() for key in clock.open]
        for start, device, agent in sorted(rest, key=lambda key: (key[0], key[2], key[1])):
            yield self.clocks[agent].open.pop((start, device))
        for clock in self.clocks.values():
            clock.oldest = 0
        self.count = 0

    def state(self) -> dict[str, ClockState]:
        """What must be kept to go on later."""
        return {
            agent: ClockState(clock.now, clock.row, clock.late_row, list(clock.open.values()))
            for agent, clock in self.clocks.items()
        }

    def resume(self, state: dict[str, ClockState]) -> None:
        """Go on with what was kept."""
        self.clocks = {agent: Clock(kept) for agent, kept in state.items()}
        self.count = sum(len(clock.open) for clock in self.clocks.values())
        self.now = self._median()

    def _clock(self, agent: str) -> Clock:
        if len(self.clocks) >= MAX_AGENTS:
            agent = ""
        return self.clocks.setdefault(agent, Clock())

    def _believed(self, clock: Clock, when: float) -> bool:
        """Move the clock on to an event's time, unless that is too far ahead to be true."""
        if when > clock.now:
            if when > LAST:
                self.counters.ahead += 1
                return False
            if clock.now and when > clock.now + AHEAD and clock.row < BELIEVED:
                clock.row += 1
                self.counters.ahead += 1
                return False
            self._reach(clock, when)
        clock.row = 0
        return True

    def _reach(self, clock: Clock, when: float) -> None:
        if int(when) // WINDOW != int(clock.now) // WINDOW:
            self._moves += 1
            watched = self._watch()
            self._flow += min(watched - self._watched, BREAK)
            self._watched = watched
        clock.now = when
        if len(self.clocks) == 1:
            self.now = when

    def _take(self, clock: Clock, now: float) -> list[Window]:
        windows = clock.over(now)
        self.count -= len(windows)
        return windows

    def _sweep_due(self) -> bool:
        return 1 < len(self.clocks) <= self._moves

    def _sweep(self) -> Iterator[Window]:
        """Look at all agents: close what silent ones left open, and forget those long gone."""
        self._moves = 0
        self.now = self._median()
        for agent, clock in sorted(self.clocks.items()):
            if clock.open and self.now - clock.others >= IDLE and self._flow - clock.flow >= QUIET:
                yield from self._take(clock, float("inf"))
            if not clock.open and clock.now < self.now - FORGET:
                del self.clocks[agent]

    def _median(self) -> float:
        return median_high(clock.now for clock in self.clocks.values()) if self.clocks else 0.0
