"""What would go wrong if the agent were started now, found out without changing anything.

Each check is a task of its own, in a thread of its own: what does not answer in time is a finding too, and holds up nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from agent.account import Account
    from agent.config import AgentConfig
    from nigrani.service.config import Loaded
    from nigrani.service.errors import Fault

Level = Literal["ok", "warn", "fail"]

ENVIRONMENT, CONFIGURATION = 1, 78
"""Exit codes: what the machine or the network is at fault for, and what agent.yaml is."""


class Finding(NamedTuple):
    """One thing that was looked at."""

    level: Level
    about: str
    message: str
    remedy: str = ""
    place: str = ""
    """File and line of the setting, where there is one."""
    code: int = ENVIRONMENT
    """The exit code that it stands for, where it is a fault."""


@dataclass(frozen=True)
class Subject:
    """What is looked at."""

    loaded: Loaded[AgentConfig]
    account: Account
    seconds: float = 5.0
    """For everything that may not answer."""
    running: bool = False
    """Whether an agent runs here already, on the same metrics address."""

    @property
    def config(self) -> AgentConfig:
        """The configuration."""
        return self.loaded.config

    def place(self, setting: str) -> str:
        """File and line of a setting; the file alone where it stands nowhere."""
        fault = self.loaded.fault(setting, "")
        return f"{fault.path}:{fault.line}" if fault.line else fault.path


class Task(NamedTuple):
    """One check."""

    about: str
    work: Callable[[], Iterable[Finding]]


@dataclass
class _Running:
    task: Task
    found: list[Finding] = field(default_factory=list)
    thread: threading.Thread | None = None

    def run(self) -> None:
        """Keep what is found as it is found: what comes before a stall is told."""
        try:
            self.found.extend(self.task.work())
        except Exception as error:  # noqa: BLE001 - one check's own fault must not hide what the others find
            self.found.append(Finding("fail", self.task.about, f"the check itself failed: {error!r}"))


def findings(tasks: Sequence[Task], seconds: float) -> Iterator[Finding]:
    """What all of them find, in their order, within so many seconds."""
    deadline = time.monotonic() + seconds
    running = [_Running(task) for task in tasks]
    for one in running:
        one.thread = threading.Thread(target=one.run, name=one.task.about, daemon=True)
        one.thread.start()
    for one in running:
        if one.thread is not None:
            one.thread.join(max(deadline - time.monotonic(), 0))
            late = one.thread.is_alive()
            yield from list(one.found)
            if late:
                yield Finding("fail", one.task.about, f"no answer within {seconds:g} s", "see the network, or --timeout")


def of_fault(fault: Fault) -> Finding:
    """A fault of the configuration."""
    place = f"{fault.path}:{fault.line}" if fault.line else fault.path
    return Finding("fail", "configuration", fault.message, fault.remedy, place, CONFIGURATION)


def exit_code(found: Iterable[Finding]) -> int:
    """0 where nothing is at fault; a wrong configuration goes before all else."""
    return max((one.code for one in found if one.level == "fail"), default=0)
