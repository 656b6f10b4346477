"""All configured sources, read in turn by one thread: lines to facts by their formats, and places kept for a restart."""

from __future__ import annotations

import logging
import os
import select
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent.log import LogFormat
from agent.logs import FORMATS
from agent.logs.clock import now, zone_named
from agent.protocol import Fact
from agent.source import Counters, Source, State
from agent.sources.integrity import FolderWatch
from agent.sources.journald import JournalReader
from agent.sources.settings import Logs
from agent.sources.syslog import SyslogListener
from agent.sources.tail import Tail
from nigrani.service.errors import Problem

log = logging.getLogger(__name__)

REASONS = 5
"""Unreadable lines of each source of which the reason is logged; the others are counted."""
MAX_STATE = 1 << 28
GAUGES = frozenset({"open", "files", "absent"})
"""Counters that also fall; the names of all others, over all sources, are a closed list too."""
PARSED = ("lines", "facts", "quiet_lines", "unreadable_lines")


class _Reading(NamedTuple):
    """A source of lines and the format they are in."""

    source: Source
    form: LogFormat
    counters: Counters


class _Kept(msgspec.Struct):
    """What a state's file holds."""

    of: str
    """What the state was of: another path or other units begin anew."""
    state: dict[str, object]


class LogSources:
    """They, by name."""

    def __init__(self, settings: Logs, folder: Path) -> None:
        """folder: where states are kept, made where it is not there. Raises Problem, with the name of the source."""
        self._folder = folder
        self._lines: dict[str, _Reading] = {}
        self._folders: dict[str, FolderWatch] = {}
        self._of: dict[str, str] = {}
        self._saved: dict[str, State] = {}
        self._failing = False
        self._busy = False
        try:
            self._make(settings)
        except BaseException:
            self.close()
            raise

    def _make(self, settings: Logs) -> None:
        for name, file in settings.files.items():
            form = self._form(name, file.format, file.zone)
            tail = Tail(Path(file.path), form.framing, self._load(name, file.path), beginning=file.beginning)
            self._lines[name] = _Reading(tail, form, dict.fromkeys(PARSED, 0))
        for name, journal in settings.journal.items():
            form = self._form(name, journal.format, journal.zone)
            reader = partial(JournalReader, journal, self._load(name, " ".join(journal.units)))
            self._lines[name] = _Reading(_named(name, reader), form, dict.fromkeys(PARSED, 0))
        for name, syslog in settings.syslog.items():
            form = self._form(name, syslog.format, syslog.zone)
            self._lines[name] = _Reading(_named(name, partial(SyslogListener, syslog)), form, dict.fromkeys(PARSED, 0))
        for name, watched in settings.folders.items():
            self._folders[name] = FolderWatch(watched, self._load(name, watched.path))

    def read(self, timeout: float = 0.0) -> list[Fact]:
        """What came, a bounded piece of work of each source. timeout: seconds to wait for it at most."""
        if timeout > 0 and not self._busy:
            self._wait(timeout)
        facts: list[Fact] = []
        self._busy = False
        for name, reading in self._lines.items():
            pieces = reading.source.read()
            self._busy = self._busy or bool(pieces)
            for piece in pieces:
                facts += self._parse(name, reading, piece.line, piece.when or now())
        for watch in self._folders.values():
            facts += watch.read()
        return facts

    def counters(self) -> dict[str, Counters]:
        """Source → counter → count."""
        lines = {name: {**reading.source.counters, **reading.counters} for name, reading in self._lines.items()}
        return lines | {name: dict(watch.counters) for name, watch in self._folders.items()}

    def save(self) -> None:
        """Keep every place that moved; to be called once the facts given out are safe. Never raises."""
        for name in self._of:
            source = self._folders.get(name) or self._lines[name].source
            state = source.state()
            if state is self._saved.get(name) or state == self._saved.get(name):
                continue
            try:
                self._keep(name, state)
            except OSError as error:
                if not self._failing:
                    log.warning(
                        "%s: %s; after a restart lines come again or are lost", self._folder, error.strerror or error
                    )
                self._failing = True
                return
            self._saved[name] = state
        self._failing = False

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

    def _parse(self, name: str, reading: _Reading, line: bytes, arrival: int) -> list[Fact]:
        counters = reading.counters
        counters["lines"] += 1
        try:
            fact = reading.form.parse(line, arrival)
        except ValueError as error:
            counters["unreadable_lines"] += 1
            if counters["unreadable_lines"] <= REASONS:
                log.warning("%s: a line of %d bytes is not read as %s: %.128s", name, len(line), reading.form.name, error)
            return []
        counters["quiet_lines" if fact is None else "facts"] += 1
        return [] if fact is None else [fact]

    @staticmethod
    def _form(name: str, form: str, zone: str) -> LogFormat:
        try:
            return FORMATS[form](zone_named(zone))
        except ValueError as error:
            raise Problem(f"{name}: {error}") from None

    def _load(self, name: str, of: str) -> State | None:
        """The state kept for this source, if it is of the same thing."""
        self._of[name] = of
        path = self._folder / f"{name}.json"
        try:
            if path.stat().st_size > MAX_STATE:
                raise ValueError("too large")  # noqa: TRY301 - one way out
            kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            log.warning("%s: %s; %s begins anew", path, error, name)
            return None
        return kept.state if kept.of == of else None

    def _keep(self, name: str, state: State) -> None:
        """Write it aside, and rename: a power cut leaves the old or the new."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{name}.json"
        aside = path.with_suffix(".new")
        content = msgspec.json.encode(_Kept(self._of[name], dict(state)))
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)


def _named(name: str, make: Callable[[], Source]) -> Source:
    try:
        return make()
    except (Problem, ValueError) as error:
        raise Problem(f"{name}: {error}") from None
