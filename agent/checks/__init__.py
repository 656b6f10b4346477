"""What is looked at before a start, one module each; the order is the order in which it is told."""

from __future__ import annotations

from collections.abc import Iterator

from agent.check import Subject, Task
from agent.checks import clock, interfaces, kafka, logs, ports, program, storage


def tasks(subject: Subject, *, offline: bool) -> Iterator[Task]:
    """All checks of this configuration. offline: only what this machine alone can tell."""
    for module in (program, interfaces, storage, logs, ports):
        yield from module.tasks(subject)
    yield from clock.tasks(subject, offline=offline)
    if subject.config.kafka.servers and not offline:
        yield from kafka.tasks(subject)
