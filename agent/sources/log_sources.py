"""All configured sources, read in turn by one thread: lines to facts by their formats, and places kept for a restart."""

from __future__ import annotations

import logging
import select
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from agent.log import LogFormat, Remembering
from agent.logs import FORMATS
from agent.logs.clock import now, zone_named
from agent.protocol import Fact
from agent.source import LIMIT, Counters, Source, State
from agent.sources.integrity import FolderWatch
from agent.sources.journald import JournalReader
from agent.sources.places import Bus, Places
from agent.sources.settings import File, Folder, Journal, Kind, Logs
from agent.sources.syslog import SyslogListener
from agent.sources.tail import Tail
from nigrani.service.errors import Problem

log = logging.getLogger(__name__)

REASONS = 5
"""Unreadable lines of each source of which the reason is logged; the others are counted."""
GAUGES = frozenset({"open", "files", "absent"})
"""Counters that also fall; the names of all others, over all sources, are a closed list too."""
PARSED = ("lines", "facts", "quiet_lines", "unreadable_lines")


class _Reading(NamedTuple):
    """A source of lines and the format they are in."""

    source: Source
    form: LogFormat
    counters: Counters


class LogSources:
    """They, by name."""

    def __init__(self, settings: Logs, folder: Path, bus: Bus) -> None:
        """folder: where places are kept. bus: where facts go, and nothing before the places are known.

        Raises Problem, with the name of the source.
        """
        self._bus = bus
        self._places = Places(folder, bus)
        self._made: dict[str, Kind] = {}
        """What each open source was made of."""
        self._handed: dict[str, tuple[str, State]] = {}
        """During a change: the places of sources that were closed for it."""
        self._lines: dict[str, _Reading] = {}
        self._folders: dict[str, FolderWatch] = {}
        self._of: dict[str, str] = {}
        """What the place of a source that has one is of."""
        self._given: dict[str, State] = {}
        """The place after all that was given out, as it was last looked at."""
        self._moved: dict[str, State] = {}
        """The places before the facts given out last."""
        self._failing = False
        self.busy = False
        """Whether the last read found something, and so may the next."""
        try:
            self._make(settings.named())
        except BaseException:
            self.close()
            raise

    def change(self, settings: Logs) -> None:
        """Read these sources from now on. Those whose settings stay are not touched; the others go on at the exact byte.

        Raises Problem where one cannot be opened, and all is as before then. What `read` gave out must be safe.
        """
        self.save()
        old, wanted = dict(self._made), settings.named()
        for name in [name for name, one in old.items() if wanted.get(name) != one]:
            self._drop(name)
        try:
            self._make(wanted)
        except Problem:
            for name in [name for name, one in self._made.items() if old.get(name) != one]:
                self._drop(name)
            self._make(old)
            raise
        finally:
            self._handed = {}

    def _drop(self, name: str) -> None:
        """Close a source, and remember its place."""
        source = self._folders.get(name) or self._lines[name].source
        if name in self._of:
            self._handed[name] = self._of.pop(name), self._state(name)
        source.close()
        # Metrics are read by another thread: dictionaries are replaced, not changed.
        self._lines = {other: reading for other, reading in self._lines.items() if other != name}
        self._folders = {other: watch for other, watch in self._folders.items() if other != name}
        del self._made[name]

    def _make(self, wanted: Mapping[str, Kind]) -> None:
        """Open the sources that are not open."""
        for name, one in wanted.items():
            if name not in self._made:
                self._open(name, one)
                self._made[name] = one
        self._given = {name: self._state(name) for name in self._of}
        self.save()

    def _open(self, name: str, one: Kind) -> None:
        if isinstance(one, Folder):
            self._folders = {**self._folders, name: FolderWatch(one, self._load(name, one.path))}
            return
        form = self._form(name, one.format, one.zone)
        state: State | None = None
        source: Source
        if isinstance(one, File):
            state = self._load(name, one.path)
            source = Tail(Path(one.path), form.framing, state, beginning=one.beginning)
        elif isinstance(one, Journal):
            state = self._load(name, " ".join(one.units))
            source = _named(name, partial(JournalReader, one, state))
        else:
            source = _named(name, partial(SyslogListener, one))
        if isinstance(form, Remembering) and state is not None:
            form.recall(state.get("memory"))
        self._lines = {**self._lines, name: _Reading(source, form, dict.fromkeys(PARSED, 0))}

    def read(self, timeout: float = 0.0) -> list[Fact]:
        """What came, in order, for one record of the bus at most. timeout: seconds to wait for it at most."""
        if timeout > 0 and not self.busy:
            self._wait(timeout)
        facts: list[Fact] = []
        self._moved = {}
        self.busy = False
        share = max(LIMIT // max(len(self._made), 1), 1)
        for name, reading in self._lines.items():
            pieces = reading.source.read(0.0, share)
            found = [self._parse(name, reading, piece.line, piece.when or now()) for piece in pieces]
            self._give(name, [fact for fact in found if fact is not None], facts)
            self.busy = self.busy or bool(pieces)
        for name, watch in self._folders.items():
            self._give(name, watch.read(share), facts)
        return facts

    def _give(self, name: str, found: list[Fact], facts: list[Fact]) -> None:
        if found and name in self._of:
            self._moved[name] = self._given[name]
            self._given[name] = self._state(name)
        facts += found

    def mean(self) -> None:
        """Note where reading goes on once the bus has its next record, of the facts given out last. Never raises."""
        for name, before in self._moved.items():
            try:
                self._places.mean(name, before, self._given[name])
            except OSError as error:
                self._fail(error)

    def counters(self) -> dict[str, Counters]:
        """Source → counter → count."""
        lines = {name: {**reading.source.counters, **reading.counters} for name, reading in self._lines.items()}
        return lines | {name: dict(watch.counters) for name, watch in self._folders.items()}

    def save(self) -> None:
        """Keep every place that moved, durably; to be called once the facts given out are on the bus. Never raises."""
        try:
            self._bus.flush()
            for name in self._of:
                self._given[name] = self._state(name)
                self._places.keep(name, self._given[name])
        except OSError as error:
            self._fail(error)
        else:
            self._failing = False

    def _state(self, name: str) -> State:
        if name in self._folders:
            return self._folders[name].state()
        reading = self._lines[name]
        state = reading.source.state()
        return {**state, "memory": reading.form.memory()} if isinstance(reading.form, Remembering) else state

    def _fail(self, error: OSError) -> None:
        if not self._failing:
            log.warning("%s; after a restart lines come again or are lost", error)
        self._failing = True

    def close(self) -> None:
        """Let go of every file, socket and child."""
        for reading in self._lines.values():
            reading.source.close()
        for watch in self._folders.values():
            watch.close()

    def _wait(self, timeout: float) -> None:
        poll = select.poll()
        fds = [reading.source.fileno() for reading in self._lines.values()]
        for fd in fds:
            if fd >= 0:
                poll.register(fd, select.POLLIN)
        poll.poll(int(timeout * 1000))

    def _parse(self, name: str, reading: _Reading, line: bytes, arrival: int) -> Fact | None:
        counters = reading.counters
        counters["lines"] += 1
        try:
            fact = reading.form.parse(line, arrival)
        except ValueError as error:
            counters["unreadable_lines"] += 1
            if counters["unreadable_lines"] <= REASONS:
                log.warning("%s: a line of %d bytes is not read as %s: %.128s", name, len(line), reading.form.name, error)
            return None
        counters["quiet_lines" if fact is None else "facts"] += 1
        return fact

    @staticmethod
    def _form(name: str, form: str, zone: str) -> LogFormat:
        try:
            return FORMATS[form](zone_named(zone))
        except ValueError as error:
            raise Problem(f"{name}: {error}") from None

    def _load(self, name: str, of: str) -> State | None:
        """The place kept for this source, if it is of the same thing."""
        self._of[name] = of
        kept = self._places.load(name, of)
        handed = self._handed.get(name)
        return handed[1] if handed is not None and handed[0] == of else kept


def _named(name: str, make: Callable[[], Source]) -> Source:
    try:
        return make()
    except (Problem, ValueError) as error:
        raise Problem(f"{name}: {error}") from None
