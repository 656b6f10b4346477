"""Run commands and count what they cost: CPU seconds of the whole process tree, wall clock, peak memory.

All run on one core, one at a time. Tasks that are compared take turns, so that a busy moment of the machine falls on all
of them; the median of the repetitions counts.
"""

from __future__ import annotations

import os
import platform
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LONGEST = 150.0
"""Seconds after which a command is ended."""
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Once:
    """One run of one command."""

    cpu: float
    """User and system seconds of the process and of all descendants that it waited for."""
    wall: float
    peak: int
    """Kilobytes resident, of the largest process."""
    status: int
    out: str
    err: str


Command = list[str | Path]


def run(command: Command, environment: Mapping[str, str] | None = None, *, discard: bool = False) -> Once:
    """Run one command to its end. discard: what it prints goes to /dev/null."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.monotonic()
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if discard else out,
            stderr=err,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **(environment or {})},
            start_new_session=True,
        )
        timer = threading.Timer(LONGEST, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            timer.cancel()
        wall = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        return Once(
            usage.ru_utime + usage.ru_stime,
            wall,
            usage.ru_maxrss,
            process.returncode,
            out.read().decode(errors="replace"),
            err.read().decode(errors="replace"),
        )


Counts = dict[str, int]


@dataclass(frozen=True)
class Task:
    """Something to be measured."""

    name: str
    command: Command
    work: int
    """Packets or events that one run handles."""
    counts: Callable[[Once], Counts] = field(default=lambda _: {})
    """What the run says it counted."""
    right: Mapping[str, int] = field(default_factory=dict)
    """What it must have counted, as far as it says."""
    environment: Mapping[str, str] = field(default_factory=dict)
    statuses: frozenset[int] = frozenset({0})
    discard: bool = False


@dataclass
class Row:
    """A task's figures, or why there are none."""

    name: str
    work: int = 0
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    peak: int = 0
    """Kilobytes; 0 where it is below `floor`, the size of the launching process: the kernel tells no less."""
    floor: int = 0
    counts: Counts = field(default_factory=dict)
    exact: bool | None = None
    """Whether everything that it counted is right; None where it counts nothing."""
    missing: str = ""

    @property
    def seconds(self) -> float:
        """The median of its CPU seconds."""
        return statistics.median(self.cpu) if self.cpu else 0.0

    @property
    def rate(self) -> float:
        """Packets or events a CPU second."""
        return self.work / self.seconds if self.seconds and not self.missing else 0.0

    @property
    def megabytes(self) -> float:
        """Peak memory."""
        return self.peak / 1024

    def take(self, task: Task, once: Once) -> None:
        """Add one run."""
        counts = task.counts(once) if once.status in task.statuses else {}
        if once.status not in task.statuses or (task.right and not counts):
            last = (once.err.strip() or once.out.strip() or "no message").splitlines()[-1]
            self.missing = f"ended with status {once.status}: {last}"
            return
        self.cpu.append(once.cpu)
        self.wall.append(once.wall)
        self.floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if once.peak > self.floor:
            self.peak = max(self.peak, once.peak)
        self.counts = counts
        judged = [self.counts[name] == right for name, right in task.right.items() if name in self.counts]
        if judged:
            self.exact = self.exact is not False and all(judged)


def take_turns(tasks: Sequence[Task], repeat: int, until: float) -> list[Row]:
    """Measure all tasks `repeat` times, in turns; beyond the moment `until` no new round begins."""
    rows = [Row(task.name, task.work) for task in tasks]
    for turn in range(repeat):
        if turn and time.monotonic() > until:
            break
        for task, row in zip(tasks, rows, strict=True):
            if not row.missing:
                row.take(task, run(task.command, task.environment, discard=task.discard))
                say(".")
    say("\n")
    return rows


def say(text: str) -> None:
    """Show progress, where somebody looks."""
    if sys.stderr.isatty():
        sys.stderr.write(text)
        sys.stderr.flush()


def pin() -> int:
    """Stay on one core, with all that is started from here; returns its number."""
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def machine() -> dict[str, str | int | float]:
    """What the figures depend on."""
    return {
        "cpu": next(_cpu_models(), platform.machine()),
        "cores": os.cpu_count() or 1,
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


def _cpu_models() -> Iterator[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return
    for line in text.splitlines():
        if line.startswith("model name"):
            yield line.partition(":")[2].strip()
