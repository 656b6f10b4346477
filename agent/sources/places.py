"""Where reading goes on after a restart, so that every line is told once, also after kill -9.

Facts and the place after them must stand or fall together. So before the facts are published, as one record of the bus, it
is *meant*: both places, before and after, are written down with the offset that the record will have; a start asks the bus
whether it has that record. That needs no sync, for a killed process loses nothing it wrote. Once a second the bus is made
durable, and then the place: after a power cut, which may take the last record or what was meant, reading goes on there, and
lines of that second are told again rather than lost.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Protocol

import msgspec

from agent.source import State

log = logging.getLogger(__name__)

MAX_STATE = 1 << 28


class Bus(Protocol):
    """What must be known of the bus: see `Publisher`."""

    @property
    def next_offset(self) -> int:
        """Of the next record."""
        ...

    def flush(self) -> None:
        """Make durable what was published."""
        ...


class _Kept(msgspec.Struct, omit_defaults=True):
    """What a file holds."""

    of: str
    """What the state was of: another path or other units begin anew."""
    state: dict[str, object]
    record: int = 0
    """Of a place that is meant, the record that it is after; of a durable one, the next."""
    start: int = 0
    """How often reading began: what was meant before the last start was seen to then."""
    before: dict[str, object] | None = None
    """Of a place that is meant, the place while the bus does not have the record; None: the durable one."""


class Places:
    """Those of all sources, by name."""

    def __init__(self, folder: Path, bus: Bus) -> None:
        """folder: where they are kept, made where it is not there."""
        self._folder = folder
        self._bus = bus
        self._of: dict[str, str] = {}
        self._starts: dict[str, int] = {}
        self._durable: dict[str, State] = {}

    def load(self, name: str, of: str) -> State | None:
        """The place kept for this source, if it is of the same thing."""
        self._of[name] = of
        self._durable.pop(name, None)
        durable, meant = self._read(f"{name}.json"), self._read(f"{name}.meant")
        self._starts[name] = (durable.start if durable else 0) + 1
        if durable is None or durable.of != of:
            return None
        if meant is None or meant.of != of or meant.start != durable.start or meant.record < durable.record:
            return durable.state
        if self._bus.next_offset > meant.record:
            return meant.state
        # Below it, a power cut or another hand took records from the bus: what is durable is not after them.
        return meant.before or durable.state if self._bus.next_offset == meant.record else durable.state

    def mean(self, name: str, before: State, after: State) -> None:
        """The next record will hold what lies between these places. Raises OSError."""
        earlier = None if before == self._durable.get(name) else dict(before)
        self._write(f"{name}.meant", self._kept(name, after, earlier), durable=False)

    def keep(self, name: str, state: State) -> None:
        """All before this place is on the bus, durably. Raises OSError."""
        if state is self._durable.get(name) or state == self._durable.get(name):
            return
        self._write(f"{name}.json", self._kept(name, state, None), durable=True)
        self._durable[name] = state

    def _kept(self, name: str, state: State, before: dict[str, object] | None) -> _Kept:
        return _Kept(self._of[name], dict(state), self._bus.next_offset, self._starts[name], before)

    def _read(self, file: str) -> _Kept | None:
        path = self._folder / file
        try:
            if path.stat().st_size > MAX_STATE:
                raise ValueError("too large")  # noqa: TRY301 - one way out
            return msgspec.json.decode(path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            log.warning("%s: %s; it is passed over", path, error)
            return None

    def _write(self, file: str, kept: _Kept, *, durable: bool) -> None:
        """Write it aside, and rename: a kill or a power cut leaves the old or the new."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / file
        aside = path.with_name(f"{file}.new")
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(msgspec.json.encode(kept))
            if durable:
                out.flush()
                os.fsync(out.fileno())
        aside.replace(path)
