"""Which case a finding belongs to.

In plain words:

1. What spreads is one case. The same kind of finding on three devices within half an hour is an outbreak: the third
   device's finding goes to the case of the first, if that began within this half hour, and the others' cases, if nobody
   has taken them, are merged into it. From then on every device with that kind belongs to it, as long as no two hours
   pass without one more, and so does every further kind that has come to three of its devices.
2. What one device does within half a day is one case, whatever the kinds; so is the same kind on the same device within
   seven days, while nobody has closed the case.
3. Who was told of as the other end of a finding, and within two hours has findings of its own, belongs to that case:
   what was attacked now attacks. Not so a device that several cases tell of: a server that everybody uses links nobody.
4. Everything else is a case of its own.

A case that a person has closed is not opened again in silence: where these rules lead to it, a new case begins that
says `again after #17`, and takes what would have followed there.

Time is the findings' own. The same findings in the same order make the same cases. What is remembered is bounded, the
oldest is forgotten first; it is all in the store's findings, from which a restart notes it again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from msgspec import Struct, field

MINUTE, HOUR = 60_000, 3_600_000
"""Milliseconds."""
SPREAD = 3
"""Devices that make an outbreak."""
SPREAD_TIME = 30 * MINUTE
OUTBREAK_TIME = 2 * HOUR
DEVICE_TIME = 12 * HOUR
SAME_TIME = 7 * 24 * HOUR
PEER_TIME = 2 * HOUR
MAX_DEVICES = 65_536
MAX_CASES = 10_000
MAX_KINDS = 2_000
MAX_RECENT = 16
"""Devices remembered of a kind, and kinds of a device."""

Key = TypeVar("Key")
Value = TypeVar("Value")


class Sign(NamedTuple):
    """What matters of a finding here."""

    kind: str
    device: str
    peer: str
    when: int
    """Milliseconds."""


class Choice(NamedTuple):
    """Where a finding goes."""

    case: int = 0
    """0: to a new case."""
    again: int = 0
    """Of a new case: which closed one it goes on from."""
    merge: tuple[int, ...] = ()
    """Cases that are merged into it, where nobody has taken them."""
    outbreak: bool = False
    why: str = ""


class _Last(NamedTuple):
    case: int
    when: int
    ambiguous: bool = False
    """Of a peer: several cases tell of it."""


class _Device(Struct):
    case: int
    when: int
    kinds: dict[str, int] = field(default_factory=dict)


class _Group(Struct):
    """A case, as far as it takes more."""

    began: int
    spreading: dict[str, int] = field(default_factory=dict)
    """Kind → when last."""
    kinds: dict[str, dict[str, int]] = field(default_factory=dict)
    """Kind → device → when last."""


class _Bounded(OrderedDict[Key, Value]):
    """The least recently set goes first."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self.forgotten = 0

    def __setitem__(self, key: Key, value: Value) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self._most:
            self.popitem(last=False)
            self.forgotten += 1


class Grouping:
    """What is remembered of findings before. `choose` asks and changes nothing; `note` says what was done."""

    def __init__(self, closed: Callable[[int], bool]) -> None:
        """closed: whether a case is closed now."""
        self._closed = closed
        self._groups: _Bounded[int, _Group] = _Bounded(MAX_CASES)
        self._after: _Bounded[int, int] = _Bounded(MAX_CASES)
        """Closed case → the one that goes on from it."""
        self._devices: _Bounded[str, _Device] = _Bounded(MAX_DEVICES)
        self._peers: _Bounded[str, _Last] = _Bounded(MAX_DEVICES)
        self._recent: _Bounded[str, dict[str, _Last]] = _Bounded(MAX_KINDS)
        """Kind → device → where it was last."""
        self._outbreaks: _Bounded[str, int] = _Bounded(MAX_KINDS)
        """Kind → the case in which it spreads."""

    @property
    def forgotten(self) -> int:
        """What found no room, so far."""
        tables = (self._groups, self._after, self._devices, self._peers, self._recent, self._outbreaks)
        return sum(table.forgotten for table in tables)

    def choose(self, sign: Sign) -> Choice:
        """Where a finding goes."""
        return self._spreading(sign) or self._outbreak(sign) or self._same(sign) or self._attacked(sign) or Choice()

    def note(self, sign: Sign, case: int, again: int = 0) -> None:
        """A finding has gone to a case, new ones included; in the order of the store."""
        if again:
            self._after[again] = case
        group = self._groups.get(case) or self._begun(sign, again)
        self._groups[case] = group
        name = _name(sign)
        devices = group.kinds.setdefault(sign.kind, {})
        _put(devices, name, sign.when)
        if len(group.kinds) > MAX_RECENT:
            del group.kinds[next(iter(group.kinds))]
        near = sum(abs(sign.when - when) <= SPREAD_TIME for when in devices.values())
        if sign.kind in group.spreading or near >= SPREAD:
            group.spreading[sign.kind] = max(sign.when, group.spreading.get(sign.kind, 0))
            self._outbreaks[sign.kind] = case
        self._note_device(sign, name, case)

    def merged(self, case: int, into: int) -> None:
        """A case was closed, and its findings are in another."""
        self._after[case] = into
        self._after.pop(into, None)  # else the two may lead to each other, once both are closed
        gone, group = self._groups.pop(case, None), self._groups.get(into)
        if gone is not None and group is not None:
            for kind, devices in gone.kinds.items():
                group.kinds.setdefault(kind, {}).update(devices)

    def _begun(self, sign: Sign, again: int) -> _Group:
        before = self._groups.get(again)
        return _Group(sign.when, dict(before.spreading) if before else {})

    def _note_device(self, sign: Sign, name: str, case: int) -> None:
        kinds = self._recent.get(sign.kind, {})
        kinds.pop(name, None)
        kinds[name] = _Last(case, sign.when)
        if len(kinds) > MAX_RECENT:
            del kinds[next(iter(kinds))]
        self._recent[sign.kind] = kinds
        device = self._devices.get(name) or _Device(case, sign.when)
        device.case, device.when = case, max(sign.when, device.when)
        _put(device.kinds, sign.kind, sign.when)
        self._devices[name] = device
        if sign.peer:
            before = self._peers.get(sign.peer)
            fresh = before is None or sign.when - before.when > PEER_TIME
            other = before is not None and self._now(before.case) != self._now(case)
            self._peers[sign.peer] = _Last(
                case, sign.when, ambiguous=not fresh and (other or bool(before and before.ambiguous))
            )

    def _spreading(self, sign: Sign) -> Choice | None:
        """The kind spreads, and this is one more of it."""
        case = self._outbreaks.get(sign.kind)
        if case is None:
            return None
        case = self._now(case)
        group = self._groups.get(case)
        if group is None or abs(sign.when - group.spreading.get(sign.kind, -OUTBREAK_TIME)) > OUTBREAK_TIME:
            return None
        return self._open(case, "it spreads")

    def _outbreak(self, sign: Sign) -> Choice | None:
        """The kind was on other devices within the last half hour, enough for an outbreak."""
        name = _name(sign)
        others = {
            device: last
            for device, last in self._recent.get(sign.kind, {}).items()
            if device != name and abs(sign.when - last.when) <= SPREAD_TIME
        }
        if not sign.device or len(others) < SPREAD - 1:
            return None
        found = dict.fromkeys(self._now(last.case) for last in others.values())
        if device := self._devices.get(name):
            found[self._now(device.case)] = None
        young = [case for case in found if self._is_young(case, sign.when)]
        if not young:
            return Choice(outbreak=True, why="it spreads")
        lead = min(young)
        return Choice(lead, merge=tuple(sorted(set(young) - {lead})), outbreak=True, why="it spreads")

    def _same(self, sign: Sign) -> Choice | None:
        """The device has a case."""
        device = self._devices.get(_name(sign))
        if device is None:
            return None
        near = abs(sign.when - device.when) <= DEVICE_TIME
        same = abs(sign.when - device.kinds.get(sign.kind, -SAME_TIME)) <= SAME_TIME
        return self._open(self._now(device.case), "the same device") if near or same else None

    def _attacked(self, sign: Sign) -> Choice | None:
        """The device is the other end of what a case tells of."""
        last = self._peers.get(sign.device) if sign.device else None
        if last is None or last.ambiguous or not 0 <= sign.when - last.when <= PEER_TIME:
            return None
        return self._open(self._now(last.case), "a finding before told of this device")

    def _open(self, case: int, why: str) -> Choice:
        """That case, or the one that goes on from it."""
        return Choice(again=case, why=why) if self._closed(case) else Choice(case, why=why)

    def _now(self, case: int) -> int:
        """What a case has become."""
        while case in self._after and self._closed(case):
            case = self._after[case]
        return case

    def _is_young(self, case: int, when: int) -> bool:
        group = self._groups.get(case)
        return group is not None and abs(when - group.began) <= SPREAD_TIME and not self._closed(case)


def _name(sign: Sign) -> str:
    """The device; what tells of none is told apart by its kind."""
    return sign.device or f"\0{sign.kind}"


def _put(table: dict[str, int], key: str, when: int) -> None:
    """Set, the newest last, with room for the last few."""
    latest = max(when, table.pop(key, when))
    table[key] = latest
    if len(table) > MAX_RECENT:
        del table[next(iter(table))]
