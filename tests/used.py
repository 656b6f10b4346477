"""Which brokers and programs tests used and what was not run for want of one, gathered from all their processes."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest


@dataclass
class Report:
    """What the terminal summary tells."""

    used: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def use(self, kind: str, what: str) -> None:
        """Note that tests ran against this."""
        self.used.append(f"{kind}, {what}")


KEY = pytest.StashKey[Report]()


def report(config: pytest.Config) -> Report:
    """The report of this process."""
    return config.stash.setdefault(KEY, Report())
