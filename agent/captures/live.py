"""Live packets from interfaces, all in one poll; needs CAP_NET_RAW and nothing else."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from agent.captures.ring import RETIRE_MS
from agent.captures.settings import CaptureSettings
from agent.captures.watched import Watched
from nigrani.service.errors import Problem

if TYPE_CHECKING:
    from agent.meter import Meter

CHECK = 1.0
"""Seconds between looks at whether interfaces are there."""
FASTEST = 480_000_000
"""Bytes a second that a ring is made for, 1.5 million packets: it is looked at as often as this takes to fill it."""
FEW = 0.125
"""Share of a ring that is worth reading at once."""
GATHER = 0.2
"""Seconds that packets gather for at most where they are fewer."""
RECENT = 30.0
"""The ring's fill that is told is the highest of this many seconds, or up to twice as many."""

FILTERED = ("snap", "long_snap", "long_ports", "exclude", "shed")
"""Settings that are the filter's alone, which is changed under way."""


class LiveCapture:
    """One interface or several, each by its name, or all of them as `any`."""

    def __init__(
        self, interfaces: str | Sequence[str], settings: CaptureSettings | None = None, *, deaf: bool = False
    ) -> None:
        """Open them. Raises Problem where one is not there or may not be watched. deaf: nothing comes in until `listen`."""
        if sys.byteorder != "little":
            raise Problem("live capture reads the kernel's ring on little-endian machines only")
        names = [interfaces] if isinstance(interfaces, str) else list(dict.fromkeys(interfaces))
        self._watched: list[Watched] = []
        settings = settings or CaptureSettings()
        self._settings = settings
        self._told = (0, 0)
        self._rest = settings.ring_bytes / FASTEST
        self._gathers_until = 0.0
        self._due = time.monotonic() + CHECK
        self._turn = self._due + RECENT
        self._fills = [0.0, 0.0]
        try:
            for name in names:
                self._watched.append(Watched(name, settings, deaf=deaf))
        except Problem:
            self._close_all()
            raise
        self._poll = self._register()

    @property
    def dropped(self) -> int:
        """Packets that the kernel could not put into a ring, as of the last time it was asked."""
        return sum(watched.counts.dropped for watched in self._watched)

    def listen(self) -> None:
        """Begin, where it was made deaf. Raises Problem, and closes all then."""
        try:
            for watched in self._watched:
                watched.listen()
        except Problem:
            self.close()
            raise

    def adopt(self, interfaces: Sequence[str], settings: CaptureSettings) -> bool:
        """Keep and leave out other packets from now on, if these settings change nothing else; no packet is lost by it."""
        filtered = {name: getattr(settings, name) for name in FILTERED}
        same = [watched.name for watched in self._watched] == list(dict.fromkeys(interfaces))
        if not same or replace(self._settings, **filtered) != settings:
            return False
        self._settings = settings
        for watched in self._watched:
            watched.adopt(settings)
        return True

    def mute(self) -> None:
        """Take in nothing more; what came in stays to be read."""
        for watched in self._watched:
            watched.mute()

    def unmute(self) -> None:
        """Take in packets again."""
        for watched in self._watched:
            watched.adopt(self._settings)

    def drain(self, meter: Meter) -> None:
        """Meter what came in before `mute`."""
        time.sleep(2 * RETIRE_MS / 1000)  # then the kernel has handed over the blocks that were not full
        self._ready(meter, time.monotonic())
        self.statistics()
        meter.use(bytearray(1))  # lets go of the rings, which are closed next

    def read(self, meter: Meter, timeout: float) -> int:
        """Meter the blocks that are ready, waiting up to `timeout` seconds for one; returns the number of packets.

        Where few were ready it lets more gather before it reads again: many packets at a time cost half of what few do.
        """
        now = self._gather(min(self._gathers_until, time.monotonic() + timeout))
        packets = self._ready(meter, now)
        if not packets:
            troubled = any(event & select.EPOLLERR for _, event in self._poll.poll(timeout))
            now = time.monotonic()
            packets = self._ready(meter, now)
            if troubled:
                self._due = now
        if packets and max(watched.latest for watched in self._watched) < FEW:
            self._gathers_until = now + GATHER
        if now >= self._due:
            self._check(meter, now)
        return packets

    def statistics(self) -> tuple[int, int]:
        """(packets seen, packets dropped) by the kernel since the last call."""
        for watched in self._watched:
            watched.count()
        before = self._told
        self._told = (sum(watched.counts.packets for watched in self._watched), self.dropped)
        return self._told[0] - before[0], self._told[1] - before[1]

    def counters(self) -> dict[str, int]:
        """Everything counted since the start, and how it stands, as of a second ago; may be asked by another thread."""
        counts = [watched.counts for watched in self._watched]
        fills = (watched.fill for watched in self._watched)
        return {
            "kernel_packets": sum(one.packets for one in counts),
            "kernel_dropped_packets": sum(one.dropped for one in counts),
            "ring_freezes": sum(one.freezes for one in counts),
            "ring_fill_percent": round(100 * max(*self._fills, *fills)),
            "shed_one_in": max(watched.shedding.one_in for watched in self._watched),
            "shed_changes": sum(watched.shedding.changes for watched in self._watched),
            "interfaces_up": sum(watched.is_up for watched in self._watched),
            "interface_losses": sum(one.losses for one in counts),
        }

    def close(self) -> None:
        """Stop watching."""
        self._close_all()
        self._poll.close()

    def _gather(self, until: float) -> float:
        """Rest until then, or until a ring is full enough; returns the time."""
        now = time.monotonic()
        while now < until and not any(watched.holds(FEW) for watched in self._watched):
            time.sleep(min(self._rest, until - now))
            now = time.monotonic()
        return now

    def _ready(self, meter: Meter, now: float) -> int:
        return sum(watched.read(meter, now) for watched in self._watched)

    def _check(self, meter: Meter, now: float) -> None:
        self._due = now + CHECK
        if now >= self._turn:
            self._turn = now + RECENT
            self._fills = [0.0, self._fills[0]]
        self._fills[0] = max(self._fills[0], *(watched.fill for watched in self._watched))
        changed = sum(watched.check(now) for watched in self._watched)
        if changed:
            meter.use(bytearray(1))  # lets go of a ring that was closed
            self._poll.close()
            self._poll = self._register()

    def _register(self) -> select.epoll:
        poll = select.epoll()
        for watched in self._watched:
            for ring in watched.rings:
                poll.register(ring, select.EPOLLIN)
        return poll

    def _close_all(self) -> None:
        for watched in self._watched:
            watched.close()
