"""From the spool to Kafka: one more group of the spool's readers.

Every event is in the spool first, and stays there until the brokers have acknowledged it, so a dead broker is no special
case: the group falls behind, and catches up. What was in flight when a link to Kafka ended is sent again from the first
event that was not acknowledged; `event.id` tells the repeats.

Before a new link takes the rest, one event goes ahead on a careful link. It finds out what is wrong where brokers say so
only to a record (rights, replicas, size). Where they refuse a record, its whole flight goes that way, one event at a time,
so that exactly the refused ones become dead letters.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct, field

from agent.patience import Patience
from nigrani.stream.kafka.fault import Trouble
from nigrani.stream.kafka.message import EventWire, Message, Wire, time_of
from nigrani.stream.kafka.producer import ASK_SECONDS, Link, LinkError, Ticket

if TYPE_CHECKING:
    from agent.deadletter import DeadLetters
    from nigrani.stream.bus import Batch, Reader

log = logging.getLogger(__name__)

GROUP = "kafka"
"""The forwarder's group of the spool's readers."""
STATES = ("idle", "connecting", "sending", "stalled")
REFUSALS = ("refused", "no_event")
"""Why an event became a dead letter: the brokers', or our own."""
SINGLY = frozenset({"refused", "other"})
"""Troubles after which a flight goes one event at a time: they may be one event's."""
STRIDE = 100
"""Events that go one at a time in one turn, so that a slow network does not make a turn too long for a watchdog."""
MAX_REFUSED = 20
"""Refused one after the other: it is no longer their own fault, but a setting's or a clock's, so go slow."""
FLIGHT_BATCHES = 4
"""Batches of the spool that go, and are acknowledged, together, at most."""
MAX_FLIGHTS = 32
MAX_BYTES = 8 << 20
"""In flight at most; a client library holds each event a few times over."""
TURN = 0.2
"""Seconds that a turn waits for something to do, at most."""
GLANCE = 0.02
"""Likewise, with events in flight."""
SECOND = 1.0
"""Between two commits, each a write to the disk, and between two looks at how far behind we are."""
QUIET = 10.0
"""Without an acknowledgement for so many seconds, a careful link asks what is wrong."""
GIVE_UP = 90.0
"""For so many, a new link is made though brokers answer."""
LAST_SECONDS = 5.0
"""For what is in flight when the service ends."""


class Route(Protocol):
    """Where links come from."""

    def open(self, *, careful: bool = False) -> Link:
        """A new link. Raises LinkError."""

    def trouble(self, error: BaseException) -> Trouble:
        """What is wrong."""


class Flight(Struct):
    """Consecutive batches of the spool on their way."""

    end: int
    """Offset after the last."""
    lines: list[bytes]
    starts: list[tuple[int, int]]
    """Of each batch: where in the lines it begins, and its offset."""
    size: int
    time: float
    """Of its first event, in seconds since the epoch."""
    settled: int = 0
    """Lines from the start that are acknowledged or dead letters."""
    checked: bool = False
    """Lines that are no event are dead letters already."""
    ticket: Ticket | None = None
    sent: bool = False
    """Some of it may have arrived, on a link that is gone."""
    pending: int = 0
    """Events of the ticket."""


class Counts(Struct):
    """Since the start."""

    acknowledged: int = 0
    bytes: int = 0
    reconnects: int = 0
    refused: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REFUSALS, 0))


class Forwarder:
    """One agent's way to Kafka: `step` by `step` and `close`, or in a thread of its own, `start` to `stop`."""

    def __init__(self, reader: Reader, route: Route, wire: Wire, dead: DeadLetters) -> None:
        """reader: the spool's, of our group; it is closed with the forwarder."""
        self.counts = Counts()
        self.dead = dead
        self.patience = Patience()
        self.lag = 0
        """Events of the spool that are not acknowledged; as `missed`, a second old."""
        self.missed = 0
        """Events that the spool's bound dropped before they could be sent."""
        self.oldest: float | None = None
        """When the oldest event was that is not acknowledged, in seconds since the epoch."""
        self._reader = reader
        self._route = route
        self._wire = wire
        self._single = EventWire()
        self._flights: deque[Flight] = deque()
        self._link: Link | None = None
        self._links = 0
        self._partitions = 0
        self._ahead = self._refused = 0
        self._acknowledged_at = self._asked_at = 0.0
        self._done = self._committed = 0
        self._commit_at = self._look_at = 0.0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> str:
        """One of `STATES`."""
        if self.patience.trouble is not None:
            return "stalled"
        if self.oldest is None:
            return "idle"
        return "connecting" if self._link is None else "sending"

    @property
    def in_flight(self) -> int:
        """Events that were sent and are not acknowledged yet."""
        return sum(flight.pending for flight in list(self._flights))

    @property
    def runs(self) -> bool:
        """Whether its thread does."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def empty(self) -> bool:
        """Everything that the spool holds is acknowledged."""
        return not self._flights and self._reader.lag() == (0, 0)

    def start(self) -> None:
        """Begin, in a thread: what waits for brokers must not hold up the capture."""
        self._thread = threading.Thread(target=self._run, name="forwarder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End within seconds; what is not acknowledged by then stays in the spool."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(4 * LAST_SECONDS)

    def step(self) -> None:
        """One turn: take from the spool, connect or send, see what has arrived."""
        self._take()
        if self._link is not None:
            self._send(self._link)
            self._settle(self._link)
        elif self._flights:
            self._connect()
        self._commit()
        self._look()

    def turn(self) -> None:
        """A turn that outlives any fault: the spool's disk may fail, and come back."""
        try:
            self.step()
        except OSError as error:
            self.patience.stall(Trouble("other", f"the spool cannot be read ({error})", "check its disk"))
            self._stopping.wait(SECOND)
        except Exception as error:  # the service's outer loop
            if self.patience.trouble is None:
                log.exception("a turn of the forwarder failed")
            self.patience.stall(
                Trouble("other", f"the forwarder failed ({error!r})", "what it did not send is in the spool")
            )
            self._stopping.wait(SECOND)

    def close(self) -> None:
        """See that what is in flight arrives, if it does soon, and let go."""
        until = time.monotonic() + LAST_SECONDS
        while not self.empty and self.patience.trouble is None and time.monotonic() < until:
            self.step()
        if self._link is not None:
            self._link.close()
        self._commit(now=True)
        self._reader.close()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self.turn()
            self.close()
        except Exception:
            log.exception("the forwarder ended on a fault of its own; what it did not send is in the spool")

    def _take(self) -> None:
        if self._link is None:
            if self._flights:
                return  # one is enough to find out whether it can go
        elif len(self._flights) >= MAX_FLIGHTS or sum(flight.size for flight in self._flights) >= MAX_BYTES:
            ticket = self._flights[0].ticket
            if ticket is not None:
                self._link.wait(ticket, TURN)
            return
        batches = self._reader.poll(FLIGHT_BATCHES, GLANCE if self._flights else TURN)
        if batches:
            if not self._flights:
                self._acknowledged_at = time.monotonic()
            self._flights.append(_flight(batches))
            self.oldest = self._flights[0].time

    def _connect(self) -> None:
        """A way to Kafka, found carefully after any trouble."""
        if not self.patience.ready():
            self._stopping.wait(min(TURN, self.patience.wait))
            return
        try:
            if self._ahead:
                flight, count = self._flights[0], min(self._ahead, STRIDE)
                self._walk(flight, count)
                self._ahead = self._ahead - count if flight in self._flights else 0
            if self._flights and not self._ahead:
                self._link = self._route.open()
                self.counts.reconnects += self._links > 0
                self._links += 1
                self._acknowledged_at = time.monotonic()
        except LinkError as error:
            self._stall(error)

    def _send(self, link: Link) -> None:
        """Send what was not sent on this link.

        A host's partition changes with the topic's number of them: what may have arrived by the old one goes by the old
        one again, and the rest only then by the new one, so that nothing of a host arrives behind what came after it.
        """
        partitions = self._recount(link)
        if link.failure is not None:
            return
        for flight in self._flights:
            if flight.ticket is not None:
                continue
            if partitions != self._partitions and not flight.sent:
                if any(other.sent for other in self._flights):
                    return
                self._partitions = partitions
            packed = self._wire.pack(flight.lines[flight.settled :] if flight.settled else flight.lines, self._partitions)
            for line, reason in () if flight.checked else packed.bad:
                self._bury(flight, flight.lines.index(line), "no_event", reason)
            flight.checked = flight.sent = True
            flight.pending = len(flight.lines) - flight.settled - len(packed.bad)
            flight.ticket = link.send(packed.messages)

    def _recount(self, link: Link) -> int:
        """How many partitions there are now. Fewer than before are another topic of that name, and count at once."""
        partitions = link.partitions()
        if not 0 < self._partitions <= partitions and link.failure is None:
            self._partitions = partitions
        return partitions

    def _settle(self, link: Link) -> None:
        """See what has arrived, and whether the rest still can."""
        flights = self._flights
        while flights and (ticket := flights[0].ticket) is not None and ticket.done():
            self.counts.acknowledged += flights[0].pending
            self._land()
            self.patience.over()
        if link.failure is not None:
            self._stall(link.failure)
        elif flights and time.monotonic() - max(self._acknowledged_at, self._asked_at) >= QUIET:
            self._ask()

    def _ask(self) -> None:
        """Find out on another link why ours is quiet. What goes on it went before, and is told by its id."""
        if time.monotonic() - self._acknowledged_at >= GIVE_UP:
            self._stall(TimeoutError("nothing was acknowledged for a long time"))
            return
        flight = self._flights[0]
        try:
            careful = self._route.open(careful=True)
            try:
                _deliver(careful, self._single.pack(flight.lines[flight.settled :], self._partitions).messages[:1])
            finally:
                careful.close()
        except LinkError as error:
            self._stall(error)
        self._asked_at = time.monotonic()

    def _stall(self, error: BaseException) -> None:
        """The link is gone, or none came about."""
        trouble = self._route.trouble(error)
        if self._link is not None:
            self._link.close()
            self._link = None
        for flight in self._flights:
            flight.ticket, flight.pending = None, 0
        self._ahead = len(self._flights[0].lines) if trouble.kind in SINGLY and self._flights else 1
        self.patience.stall(trouble)

    def _walk(self, flight: Flight, limit: int) -> None:
        """Send at most so many of a flight's lines, one at a time. Raises LinkError for all but a refusal."""
        link: Link | None = None
        end = min(flight.settled + limit, len(flight.lines))
        before = self.counts.acknowledged
        try:
            while flight.settled < end and not self._stopping.is_set():
                if link is not None and link.failure is not None:
                    link.close()
                    link = None
                link = link or self._route.open(careful=True)
                self._recount(link)
                self._one(flight, link)
                flight.settled += 1
        finally:
            if link is not None:
                link.close()
        if flight.settled == len(flight.lines):
            self._land()
        if self.counts.acknowledged > before:
            self.patience.over()

    def _one(self, flight: Flight, link: Link) -> None:
        at = flight.settled
        packed = self._single.pack([flight.lines[at]], self._partitions)
        flight.sent = True
        for _, reason in () if flight.checked else packed.bad:
            self._bury(flight, at, "no_event", reason)
        try:
            _deliver(link, packed.messages)
            self.counts.acknowledged += len(packed.messages)
            self._refused = 0
        except LinkError as error:
            trouble = self._route.trouble(error)
            if trouble.kind != "refused":
                raise
            if self._refused >= MAX_REFUSED:
                self._refused = 0
                raise
            self._refused += 1
            self._bury(flight, at, "refused", trouble.message)

    def _land(self) -> None:
        """The first flight has arrived whole."""
        flight = self._flights.popleft()
        self._done = flight.end
        self.counts.bytes += flight.size
        self._acknowledged_at = time.monotonic()
        self.oldest = self._flights[0].time if self._flights else None

    def _bury(self, flight: Flight, at: int, reason: str, why: str) -> None:
        offset = next(offset for start, offset in reversed(flight.starts) if start <= at)
        self.dead.keep(flight.lines[at], offset, reason, why)
        self.counts.refused[reason] += 1

    def _commit(self, *, now: bool = False) -> None:
        if self._done > self._committed and (now or time.monotonic() - self._commit_at >= SECOND):
            self._reader.commit(self._done)
            self._committed, self._commit_at = self._done, time.monotonic()

    def _look(self) -> None:
        if time.monotonic() - self._look_at >= SECOND:
            self._look_at = time.monotonic()
            waiting = sum(len(flight.lines) - flight.settled for flight in self._flights)
            self.lag = self._reader.lag()[1] + waiting
            self.missed = self._reader.missed_events


def _flight(batches: list[Batch]) -> Flight:
    lines: list[bytes] = []
    starts: list[tuple[int, int]] = []
    for batch in batches:
        starts.append((len(lines), batch.offset))
        lines += batch.lines.splitlines()
    first = (time_of(lines[0]) if lines else None) or time.time()
    return Flight(batches[-1].offset + 1, lines, starts, sum(len(batch.lines) for batch in batches), first)


def _deliver(link: Link, messages: list[Message]) -> None:
    """Send these and wait until they have arrived. Raises LinkError."""
    ticket = link.send(messages)
    until = time.monotonic() + ASK_SECONDS + SECOND
    while not ticket.done():
        if link.failure is not None:
            raise LinkError from link.failure
        if time.monotonic() > until:
            raise LinkError from TimeoutError("no answer")
        link.wait(ticket, SECOND)
