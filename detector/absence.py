"""`temporal_without`: what one rule matched, and none of the others matched for the same key in the time before.

An absence is only told where a presence would have been seen:

- what is awaited may come late: an event is judged once `patience` has passed by the events' own time, and once some of
  what is awaited, of whatever key, was seen of its time or later, so that a source that lags or fell silent is waited for.
  Either time is the middle one of the last few, so that single events of a wrong clock decide nothing;
- what came before the watch began is not known: an event is judged once the watch is as old as the timespan, and the
  watch begins anew where nothing awaited came for that long, and where the memory was too small;
- the two must be known to meet: of the newest events at least `LEAST_MET`, and four of five, had what they lacked. Where
  tokens differ, a source is not connected, or its events are another partition's, they do not meet, and nothing is told.
  No device counts with more than `MOST_OF_ONE` failures, so that a flood of them hides nothing.

State is bounded, and what was forgotten makes the rule say less, never more.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from heapq import heappop, heappush

import msgspec
from msgspec import Struct

from detector.correlation import MAX_ENTRIES, CorrelationState, Forgotten, definition, raw, second, span
from detector.correlation_kind import Number, Plan, Row, Value
from detector.rule import Hit, Rule
from nigrani.stream.codec import decode, encode
from nigrani.stream.event import Event

MAX_WAITING = 10_000
"""Events that wait to be judged; beyond it the earliest is not."""
MAX_WITNESSED = MAX_ENTRIES
"""Keys whose last sight is remembered."""
RECENT = 5
"""Events whose middle time is what time it is."""
MAX_VERDICTS = 512
LEAST_MET = 10
MET = 0.8
MOST_OF_ONE = 3

Keys = tuple[Value, ...]
Readings = Sequence[Mapping[type[Event], Callable[[Event], Row]]]


class AbsenceState(Struct):
    """What is kept."""

    begun: float | None
    times: list[float]
    sights: list[float]
    witnessed: list[tuple[Value, float]]
    waiting: list[bytes]
    """Events as on the bus, the earliest first."""
    verdicts: list[tuple[str, bool]]


class Absence:
    """One rule's events, each looked for among what the other rules matched before it."""

    def __init__(self, rule: Rule, plan: Plan, readings: Readings, what: str) -> None:
        """readings: of each rule, the first being the one that is judged, how the keys of its events are read.

        what: that is told, in words.
        """
        self.rule = rule
        self.plan = plan
        self.forgotten = Forgotten()
        self.sentence = f"{what} within {span(plan.timespan)} before"
        self._readings = readings
        self.definition = definition(plan, readings)
        self._clear()

    def _clear(self) -> None:
        self._begun: float | None = None
        self._times: deque[float] = deque(maxlen=RECENT)
        """Of the last events of any rule."""
        self._sights: deque[float] = deque(maxlen=RECENT)
        """Of the last events that are awaited."""
        self._witnessed: dict[Value, float] = {}
        """Key → when it was last seen, the one longest unseen first."""
        self._waiting: dict[tuple[Keys, str], Event] = {}
        """Keys and device → the event that is to be judged."""
        self._queue: list[tuple[float, int, tuple[Keys, str]]] = []
        """A heap of what waits: its time, a number that no other has, and what it waits under."""
        self._number = 0
        self._verdicts: deque[tuple[str, bool]] = deque()
        """Device, and whether what is awaited had come."""
        self._missing: Counter[str] = Counter()
        """Device → its failures among the verdicts."""

    def __len__(self) -> int:
        return self.entries + (self._begun is not None)

    @property
    def entries(self) -> int:
        """Keys and events held."""
        return len(self._witnessed) + len(self._waiting)

    def latest(self) -> tuple[Number, str] | None:
        """An absence is no number."""
        return None

    def empty(self) -> Absence:
        """The same rule, with nothing seen yet."""
        twin = copy(self)
        twin.forgotten = self.forgotten  # of all twins together
        twin._clear()  # noqa: SLF001 - of its own kind
        return twin

    def state(self) -> CorrelationState:
        """What must be kept to go on later."""
        waiting = [encode(self._waiting[entry]) for _, _, entry in sorted(self._queue)]
        kept = AbsenceState(
            self._begun, list(self._times), list(self._sights), list(self._witnessed.items()), waiting, list(self._verdicts)
        )
        return CorrelationState(self.definition, [], raw(kept))

    def adopt(self, other: object) -> None:
        """Go on with what another has seen, where it awaits the same; the other sees no more."""
        if isinstance(other, Absence) and other.definition == self.definition:
            self.resume(other.state())

    def resume(self, state: CorrelationState) -> bool:
        """Go on with what was kept; returns whether it was of this rule. Raises ValueError for a broken state."""
        if state.definition != self.definition:
            return False
        kept = msgspec.msgpack.decode(state.absence, type=AbsenceState)
        self._clear()
        self._begun = kept.begun
        self._times.extend(kept.times)
        self._sights.extend(kept.sights)
        self._witnessed = dict(kept.witnessed)
        for line in kept.waiting:
            event = decode(line)
            if type(event) not in self._readings[0]:
                raise ValueError("an event is kept that the rule does not judge")
            self._enqueue(event, self._keys(event, 0))
        for host, met in kept.verdicts:
            self._note(host, met=met)
        return True

    def take(self, event: Event, base: int = 0) -> Sequence[Hit]:
        """Take an event of a rule; returns what lacks what it awaits, each with its own event."""
        when = second(event.timestamp)
        self._times.append(when)
        if base == 0:
            self._wait(event)
        else:
            self._witness(self._keys(event, base), when)
        found = tuple(self._judge())
        self._forget()
        return found

    def _wait(self, event: Event) -> None:
        """Let an event wait, unless what it awaits has come."""
        keys = self._keys(event, 0)
        if keys and self._has_come(keys, second(event.timestamp)):
            self._note(event.host, met=True)
        elif keys and (keys, event.host) not in self._waiting:
            self._enqueue(event, keys)

    def _keys(self, event: Event, base: int) -> Keys:
        return tuple(key for key in self._readings[base][type(event)](event) if key)  # type: ignore[misc] # of the values that rules may group by

    def _enqueue(self, event: Event, keys: Keys) -> None:
        entry = keys, event.host
        self._waiting[entry] = event
        self._number += 1
        heappush(self._queue, (second(event.timestamp), self._number, entry))
        if len(self._queue) > MAX_WAITING:
            del self._waiting[heappop(self._queue)[2]]
            self.forgotten.values += 1

    def _witness(self, keys: Sequence[Value], when: float) -> None:
        """Remember that this was seen."""
        if not keys:
            return
        before = _middle(self._sights)
        self._sights.append(when)
        latest = _middle(self._sights)
        if self._begun is None or latest - before > self.plan.timespan:
            self._begun = latest if len(self._sights) == RECENT else None
        for key in keys:
            self._witnessed[key] = max(when, self._witnessed.pop(key, when))

    def _forget(self) -> None:
        """Let go of keys that no event can ask for any more, and of the one longest unseen where there are too many."""
        horizon = min(_middle(self._times), _middle(self._sights)) - self.plan.timespan - self.plan.patience
        while self._witnessed:
            oldest = next(iter(self._witnessed))
            seen = self._witnessed[oldest]
            if seen >= horizon and len(self._witnessed) <= MAX_WITNESSED:
                return
            del self._witnessed[oldest]
            if seen >= horizon:
                self._begun = self._begun and max(self._begun, seen)
                self.forgotten.groups += 1

    def _judge(self) -> Iterator[Hit]:
        """Judge what has waited long enough, in the order of its time."""
        due = min(_middle(self._times) - self.plan.patience, _middle(self._sights))
        while self._queue and self._queue[0][0] <= due:
            when, _, entry = heappop(self._queue)
            keys, host = entry
            event = self._waiting.pop(entry)
            met = self._has_come(keys, when)
            watched = self._begun is not None and self._begun <= when - self.plan.timespan
            if not met and watched and self._known_to_meet():
                yield self._hit(event, keys)
            self._note(host, met=met)

    def _has_come(self, keys: Keys, when: float) -> bool:
        since = when - self.plan.timespan
        return any(self._witnessed.get(key, float("-inf")) >= since for key in keys)

    def _known_to_meet(self) -> bool:
        failures = self._missing.total()
        met = len(self._verdicts) - failures
        return met >= LEAST_MET and met >= MET * (met + failures)

    def _note(self, host: str, *, met: bool) -> None:
        if not met:
            if self._missing[host] >= MOST_OF_ONE:
                return
            self._missing[host] += 1
        self._verdicts.append((host, met))
        if len(self._verdicts) > MAX_VERDICTS:
            gone, good = self._verdicts.popleft()
            if not good:
                self._missing[gone] -= 1
                self._missing += Counter()  # drops what is at nothing

    def _hit(self, event: Event, keys: Keys) -> Hit:
        return Hit(
            rule=self.rule,
            host=event.host,
            when=event.timestamp,
            first=event.timestamp,
            threshold=self.sentence,
            event_ids=(event.id,),
            group=tuple((name, str(key)) for name in self.plan.group_by for key in keys),
            event=event,
        )


def _middle(times: Sequence[float]) -> float:
    """The middle one, of an even number the earlier; long ago where there is none."""
    return sorted(times)[(len(times) - 1) // 2] if times else float("-inf")
