"""The configuration read anew while the agent runs: what changed is applied, all of it or nothing.

A part that cannot be changed (an interface that is not there, a port that is taken) leaves itself as it was, and what
was changed before it is put back.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

from agent.config import AgentConfig
from nigrani.service.errors import Problem
from nigrani.service.exposition import Family

log = logging.getLogger(__name__)

LATER = ("name", "privacy.key", "privacy.map", "meter", "bus")
"""What takes effect at the next start: the flow table, the spool, and what tokens and events are known by and kept with."""
RESULTS = ("applied", "unchanged", "refused", "failed")
"""`refused`: the file is wrong. `failed`: it is right, and could not be applied."""


class Part(NamedTuple):
    """What of a running agent follows some of the settings."""

    name: str
    settings: Callable[[AgentConfig], object]
    change: Callable[[AgentConfig], None]
    """Raises Problem, and leaves the part as it was."""


class Reload:
    """The configuration in effect, and the way to the next one."""

    def __init__(self, config: AgentConfig, read: Callable[[], AgentConfig], parts: Sequence[Part]) -> None:
        """read: reads and judges the configuration; raises Problem. parts: in the order in which they are changed."""
        self.config = config
        self._read = read
        self._parts = parts
        self._results = dict.fromkeys(RESULTS, 0)
        self._successful = True
        self._loaded = time.time()

    def __call__(self) -> str:
        """Read it and apply it; returns one of `RESULTS`. Each fault is a line of the log."""
        result = self._reload()
        self._results[result] += 1
        self._successful = result in {"applied", "unchanged"}
        if self._successful:
            self._loaded = time.time()
        return result

    def collect(self) -> Iterator[Family]:
        """How it went, as metrics."""
        reloads = Family("counter", "nigrani_agent_config_reloads", "Configurations read anew, by what came of it.")
        for result, count in self._results.items():
            reloads.add(count, result=result)
        yield reloads
        yield Family(
            "gauge",
            "nigrani_agent_config_last_reload_successful",
            "Whether the configuration that was read last is the one in effect.",
            float(self._successful),
        )
        yield Family(
            "gauge",
            "nigrani_agent_config_loaded_timestamp_seconds",
            "When the configuration in effect was read, in seconds since the epoch.",
            self._loaded,
        )
        yield Family(
            "gauge",
            "nigrani_agent_interfaces_configured",
            "Interfaces that the configuration names.",
            len(dict.fromkeys(self.config.interfaces)),
        )

    def _reload(self) -> str:
        try:
            wanted = self._read()
        except Problem as problem:
            for line in str(problem).splitlines():
                log.error("configuration refused, the old one stays: %s", line)  # noqa: TRY400 - one line each is meant
            return "refused"
        later = list(_later(self.config, wanted))
        for name in later:
            log.warning("%s: takes effect at the next start", name)
        config = _kept(self.config, wanted)
        changed = [part for part in self._parts if part.settings(config) != part.settings(self.config)]
        if not self._apply(changed, config):
            return "failed"
        self.config = config
        log.warning("configuration read anew; changed: %s", ", ".join(part.name for part in changed) or "nothing")
        return "applied" if changed or later else "unchanged"

    def _apply(self, changed: Sequence[Part], config: AgentConfig) -> bool:
        done: list[Part] = []
        for part in changed:
            try:
                part.change(config)
            except Problem as problem:
                log.error("configuration not applied, the old one stays: %s", problem)  # noqa: TRY400 - as above
                self._put_back(done)
                return False
            done.append(part)
        return True

    def _put_back(self, parts: Sequence[Part]) -> None:
        for part in reversed(parts):
            try:
                part.change(self.config)
            except Problem as problem:
                log.error("%s cannot be put back: %s", part.name, problem)  # noqa: TRY400 - as above


def _later(old: AgentConfig, new: AgentConfig) -> Iterator[str]:
    """The settings that differ and have to wait."""
    for name in LATER:
        before, after = attrgetter(name)(old), attrgetter(name)(new)
        if dataclasses.is_dataclass(before):
            for field in dataclasses.fields(before):
                if getattr(before, field.name) != getattr(after, field.name):
                    yield f"{name}.{field.name}"
        elif before != after:
            yield name


def _kept(old: AgentConfig, new: AgentConfig) -> AgentConfig:
    """The new configuration with the old one's settings where the new ones have to wait."""
    privacy = dataclasses.replace(new.privacy, key=old.privacy.key, map=old.privacy.map)
    return dataclasses.replace(new, name=old.name, privacy=privacy, meter=old.meter, bus=old.bus)
