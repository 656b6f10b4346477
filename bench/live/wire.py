"""Two network namespaces with a wire between them, a sender at one end, and what a receiver at the other end costs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from bench.measure import Command

NEEDED = ("ip", "cc", "taskset", "sysctl")
INTERFACE = "nigrani-rx"
_FAR = "nigrani-tx"
FIRST = ("nice", "-n", "-20")
"""Before what else the machine does: a tool that waits for its core loses packets for no fault of its own."""
TICKS = os.sysconf("SC_CLK_TCK")


class Sent(NamedTuple):
    """What the sender says."""

    packets: int
    seconds: float


class Wire:
    """Receivers run on the first core, the sender, and with it the kernel's receive path, on the second."""

    def __init__(self, folder: Path) -> None:
        self._sender = folder / "send"
        self._near, self._away = f"nigrani-rx{os.getpid()}", f"nigrani-tx{os.getpid()}"
        cores = sorted(os.sched_getaffinity(0))
        self._cores = str(cores[0]), str(cores[-1])

    @staticmethod
    def missing() -> str:
        """Why there can be no wire here, or an empty text."""
        if os.geteuid() != 0:
            return "live capture is measured in network namespaces: run it as root"
        absent = [name for name in NEEDED if not shutil.which(name)]
        return f"not installed: {', '.join(absent)}" if absent else ""

    def __enter__(self) -> Self:
        source = Path(__file__).with_name("send.c")
        subprocess.run(["cc", "-O2", "-o", self._sender, source], check=True, timeout=60)
        try:
            for space in (self._near, self._away):
                _ip("netns", "add", space)
                quiet = ["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"]
                subprocess.run(["ip", "netns", "exec", space, *quiet], check=True, timeout=10)
                _ip("-n", space, "link", "set", "lo", "up")
            _ip("link", "add", INTERFACE, "netns", self._near, "type", "veth", "peer", "name", _FAR, "netns", self._away)
            _ip("-n", self._near, "link", "set", INTERFACE, "up")
            _ip("-n", self._away, "link", "set", _FAR, "up")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for space in (self._near, self._away):
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True, timeout=10)

    def receiving(self, command: Command) -> Command:
        """The command as it is run at the receiving end."""
        return ["ip", "netns", "exec", self._near, *FIRST, "taskset", "-c", self._cores[0], *command]

    def sender(self, capture: Path, rate: int, seconds: float) -> subprocess.Popen[str]:
        """Begin to send. rate: packets a second, 0 for as many as can be."""
        command = ["ip", "netns", "exec", self._away, *FIRST, "taskset", "-c", self._cores[1]]
        words = [str(self._sender), _FAR, str(capture), str(rate), str(seconds)]
        return subprocess.Popen([*command, *words], stdout=subprocess.PIPE, text=True)

    @staticmethod
    def sent(sender: subprocess.Popen[str]) -> Sent:
        """Wait for the sender's end."""
        told = json.loads(sender.communicate()[0])
        return Sent(told["sent"], told["seconds"])


class Tree:
    """A process and all its descendants."""

    def __init__(self, root: int) -> None:
        self._root = root

    def cpu(self) -> float:
        """User and system seconds of those that live."""
        return sum(self._ticks(pid) for pid in self._pids(self._root)) / TICKS

    def memory(self) -> tuple[int, int]:
        """Kilobytes: proportional and resident set size. The ring's pages are among them."""
        total = {"Pss": 0, "Rss": 0}
        for pid in self._pids(self._root):
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            except OSError:
                continue
            for line in text.splitlines():
                name, _, value = line.partition(":")
                if name in total:
                    total[name] += int(value.split()[0])
        return total["Pss"], total["Rss"]

    def _pids(self, pid: int) -> list[int]:
        try:
            texts = [path.read_text(encoding="ascii") for path in Path(f"/proc/{pid}/task").glob("*/children")]
        except OSError:
            return []
        return [pid, *(below for text in texts for child in text.split() for below in self._pids(int(child)))]

    @staticmethod
    def _ticks(pid: int) -> int:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            return 0
        return int(fields[11]) + int(fields[12])


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=10)
