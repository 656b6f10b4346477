"""What a service takes of its host, as metrics: named as every Prometheus client names them, and read when one asks.

prometheus_client has the like; the agent does without that library.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from nigrani.service.exposition import Family

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
FIELDS = ("user", "system", "threads", "begun", "virtual", "resident")
PLACES = (11, 12, 17, 19, 20, 21)
"""Of those in /proc/self/stat, after the program's name (proc(5))."""


class Process:
    """The process that asks, and the disk that it keeps its state on."""

    def __init__(self, folder: Path) -> None:
        """folder: the state's."""
        self._folder = folder

    def collect(self) -> Iterator[Family]:
        """What /proc tells, and what the disk has; nothing of what cannot be read."""
        yield from _process()
        yield from disk(self._folder, "nigrani_state_disk", "of the disk that the state is kept on")


def disk(folder: Path, prefix: str, what: str) -> Iterator[Family]:
    """Room of the disk that a folder is on, or will be once it is made."""
    try:
        found = os.statvfs(next(path for path in (folder, *folder.absolute().parents) if path.exists()))
    except OSError:
        return
    yield Family("gauge", f"{prefix}_free_bytes", f"Free room {what}.", float(found.f_bavail * found.f_frsize))
    yield Family("gauge", f"{prefix}_size_bytes", f"Size {what}.", float(found.f_blocks * found.f_frsize))


def _process() -> Iterator[Family]:
    try:
        numbers = _stat(Path("/proc/self/stat").read_text(encoding="ascii", errors="replace"))
        since = _booted(Path("/proc/stat").read_text(encoding="ascii", errors="replace"))
        files = float(len(os.listdir("/proc/self/fd")))  # noqa: PTH208 - names are enough, of many files
    except (OSError, ValueError, IndexError):  # hidden from the service, or no Linux
        return
    seconds = (numbers["user"] + numbers["system"]) / TICKS
    yield Family("counter", "process_cpu_seconds", "Seconds of a core that the process used.", seconds)
    yield Family("gauge", "process_resident_memory_bytes", "Memory that the process has.", numbers["resident"] * PAGE)
    yield Family("gauge", "process_virtual_memory_bytes", "Addresses that the process has.", numbers["virtual"])
    yield Family("gauge", "process_threads", "Threads of the process.", numbers["threads"])
    if since:
        begun = since + numbers["begun"] / TICKS
        yield Family("gauge", "process_start_time_seconds", "When the process started, in seconds since the epoch.", begun)
    yield Family("gauge", "process_open_fds", "Files that the process has open.", files)
    most = float(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    yield Family("gauge", "process_max_fds", "Files that the process may have open.", most)


def _stat(text: str) -> dict[str, float]:
    """The name stands in parentheses and may hold anything, parentheses too."""
    words = text.rpartition(")")[2].split()
    return {field: float(words[place]) for field, place in zip(FIELDS, PLACES, strict=True)}


def _booted(text: str) -> float:
    return next((float(line.split()[1]) for line in text.splitlines() if line.startswith("btime ")), 0.0)
