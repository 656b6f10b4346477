"""What all tests share: how hypothesis explores, and a word at the end on the brokers and programs that were used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.used import report

settings.register_profile(
    "nigrani",
    deadline=None,  # a busy machine is no fault of the code
    derandomize="CI" in os.environ,  # the same examples for everybody who judges a change; new ones at the desk
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("nigrani")


SLOW = ("kafka", "grafana", "e2e", "bench")
"""Folders of tests that wait a lot: begun first, they leave no process alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files that take long first; where tests run in several processes each file is one's."""
    here = Path(__file__).parent
    items.sort(key=lambda item: item.path.relative_to(here).parts[0] not in SLOW)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what this process used to the one that tells of it, where tests run in several."""
    if hasattr(session.config, "workeroutput"):
        mine = report(session.config)
        session.config.workeroutput["brokers"] = mine.used, mine.missing


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object, error: object) -> None:
    """Take what a process that ran tests hands over."""
    whole = report(node.config)  # type: ignore[attr-defined]
    used, missing = getattr(node, "workeroutput", {}).get("brokers", ((), ()))
    whole.used += used
    whole.missing += missing


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say it."""
    whole = report(config)
    if whole.used or whole.missing:
        terminalreporter.section("Brokers and programs")
        for line in sorted({f"used: {one}" for one in whole.used}) + sorted({f"not run: {one}" for one in whole.missing}):
            terminalreporter.line(line)
