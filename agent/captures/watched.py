"""One interface while it is watched: opened, down and up again, gone and come back, and its filter under overload."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.captures.bpf import Instruction, Op, Program
from agent.captures.filter import ETHERNET, LOOPBACK, Scope, build
from agent.captures.interfaces import EVERY, Interface, look_up
from agent.captures.ring import Ring, Totals
from agent.captures.shedding import Shedding
from nigrani.service.errors import Problem

if TYPE_CHECKING:
    from agent.captures.settings import CaptureSettings
    from agent.meter import Meter

RARE = 8
"""The ring for interfaces without an Ethernet header, tunnels as a rule, is this fraction of the other."""
NOTHING = Program([Instruction(Op.RET, 0, 0, 0)])
"""The filter that lets no packet through."""

_log = logging.getLogger(__name__)


@dataclass
class Counts:
    """What befell an interface since the start."""

    packets: int = 0
    dropped: int = 0
    freezes: int = 0
    losses: int = 0
    """How often it went down or away."""

    def add(self, totals: Totals) -> None:
        """Add what the kernel counted."""
        self.packets += totals.packets
        self.dropped += totals.dropped
        self.freezes += totals.freezes


class Watched:
    """One interface, or all of them under the name `any`."""

    def __init__(self, name: str, settings: CaptureSettings, *, deaf: bool = False) -> None:
        """Raises Problem where it is not there or may not be watched. deaf: nothing comes in until `listen`."""
        self.name = name
        self.rings: list[Ring] = []
        self.counts = Counts()
        self.shedding = Shedding()
        self.is_up = False
        self.latest = 0.0
        """The share of a ring that the last `read` found full."""
        self.fill = 0.0
        """The highest share of a ring that was found full since the last `check`."""
        self._settings = settings
        self._scopes: list[Scope] = []
        found = look_up(name)
        if found is None:
            raise Problem(f"interface {name}: there is none of that name")
        if name == EVERY and settings.promiscuous:
            raise Problem("interface any: name the interfaces that are to be promiscuous")
        self._found = found
        """The interface that the rings are for."""
        with _told(name):
            self._open(found)
            if not deaf:
                self._listen()
        self.is_up = found.is_up

    def listen(self) -> None:
        """Begin, where it was made deaf. Raises Problem."""
        with _told(self.name):
            self._listen()

    def adopt(self, settings: CaptureSettings) -> None:
        """Filter by these settings from now on, which differ from the old ones in nothing else."""
        self._settings = settings
        if not settings.shed:
            self.shedding = Shedding()
        self._filter()

    def mute(self) -> None:
        """Take in nothing more, until `adopt`."""
        for ring in self.rings:
            ring.filter(NOTHING)

    def holds(self, share: float) -> bool:
        """Whether this share of a ring waits to be read."""
        return any(ring.holds(share) for ring in self.rings)

    def read(self, meter: Meter, now: float) -> int:
        """Meter what is ready; returns the number of packets."""
        packets = 0
        self.latest = 0.0
        for ring in self.rings:
            ready = ring.ready()
            if ready:
                packets += ring.feed(meter, ready)
                fill = ready / ring.blocks
                self.latest = max(self.latest, fill)
                self.fill = max(self.fill, fill)
                if self._settings.shed and self.shedding.judge(fill, now):
                    self._refilter()
        return packets

    def check(self, now: float) -> bool:
        """Look after the interface, once a second; whether its rings were opened or closed."""
        self.count()
        if self._settings.shed and not self.fill and self.shedding.judge(0.0, now):
            self._refilter()
        self.fill = 0.0
        down = any(ring.error() == errno.ENETDOWN for ring in self.rings)
        found = look_up(self.name)
        if found is not None and found.number == self._found.number and self.rings:
            self._note(up=found.is_up and not down)
            return False
        changed = bool(self.rings)
        if changed:
            self._note(up=False)
            self.close()
        return (found is not None and self._reopen(found)) or changed

    def count(self) -> None:
        """Ask the kernel for its counts."""
        for ring in self.rings:
            self.counts.add(ring.totals())

    def close(self) -> None:
        """Stop watching."""
        for ring in self.rings:
            ring.close()
        self.rings = []

    def _reopen(self, found: Interface) -> bool:
        try:
            self._open(found)
            self._listen()
        except OSError:  # it went again, or is not yet ready: the next check tries anew
            return False
        self._note(up=found.is_up)
        return True

    def _note(self, *, up: bool) -> None:
        if up == self.is_up:
            return
        self.is_up = up
        if up:
            _log.warning("interface %s: is back, watched again", self.name)
        else:
            self.counts.losses += 1
            _log.warning("interface %s: is down or gone, nothing is seen of it", self.name)

    def _open(self, found: Interface) -> None:
        """Rings that are deaf yet. Raises OSError, and leaves nothing open then."""
        settings = self._settings
        every = self.name == EVERY
        framed = found.hardware in {ETHERNET, LOOPBACK}
        self._scopes = [Scope(False, True), Scope(True, True)] if every else [Scope(cooked=not framed)]
        self._found = found
        try:
            for scope in self._scopes:
                size = settings.ring_bytes // RARE if scope.cooked and every else settings.ring_bytes
                self.rings.append(Ring(size, self._program(scope), cooked=scope.cooked))
        except OSError:
            self.close()
            raise

    def _listen(self) -> None:
        """Raises OSError, and leaves nothing open then."""
        settings = self._settings
        every = self.name == EVERY
        try:
            for ring, scope in zip(self.rings, self._scopes, strict=True):
                ring.listen("" if every else self.name, incoming_only=self._found.hardware == LOOPBACK)
                if settings.promiscuous:
                    ring.take_in_all(self._found.number)
                if settings.fanout:
                    ring.join(settings.fanout + (every and scope.cooked), settings.fanout_kind)
        except OSError:
            self.close()
            raise

    def _filter(self) -> None:
        for ring, scope in zip(self.rings, self._scopes, strict=False):
            ring.filter(self._program(scope))

    def _refilter(self) -> None:
        """Put the filter on anew, with what the shedding says now."""
        self._filter()
        if self.shedding.one_in > 1:
            _log.warning(
                "interface %s: cannot keep up: of TCP segments that neither open, end nor push, one in %d is read; "
                "byte counts are lower bounds",
                self.name,
                self.shedding.one_in,
            )
        else:
            _log.warning("interface %s: keeps up again, every packet is read", self.name)

    def _program(self, scope: Scope) -> Program:
        settings = self._settings
        return build(settings.look, settings.exclusions, self.shedding.one_in, scope)


@contextmanager
def _told(name: str) -> Iterator[None]:
    """What the kernel refuses, as a Problem."""
    try:
        yield
    except PermissionError:
        raise Problem(f"interface {name}: watching it needs CAP_NET_RAW (or root)") from None
    except OSError as error:
        raise Problem(f"interface {name}: {error.strerror or error}") from None
