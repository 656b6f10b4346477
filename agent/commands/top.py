"""Watch the agent that runs on this host, live: rates, the last minute as bars, log sources, datasets, spool and Kafka.

Ends with q or Ctrl-C. Where standard output is no terminal that can be redrawn, a sample is printed at each interval.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from agent.commands.status import place, seconds, where
from agent.reading import Place, fetch
from agent.top import Minute, screen
from nigrani.service.errors import Problem
from nigrani.service.stop import Stop

ENTER, LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?7l", "\x1b[?7h\x1b[?25h\x1b[?1049l"
"""The alternate screen without a cursor and without line wrap, and back."""
HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
GLANCE = 0.1
"""Seconds within which a key or a new size is seen."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    where(parser)
    parser.add_argument("--interval", metavar="SECONDS", type=seconds, default=2.0, help="between two looks (default: 2)")
    parser.add_argument("--count", metavar="N", type=int, default=0, help="end after so many looks")


def run(options: argparse.Namespace) -> int:
    """Look and draw, until told to end."""
    there = place(options)
    fetch(there)  # an agent that does not run is told before the screen is taken
    stop = Stop()
    looks = options.count or sys.maxsize
    if not (sys.stdout.isatty() and sys.stdin.isatty()) or os.environ.get("TERM", "dumb") == "dumb":
        return _print(there, options.interval, looks, stop)
    with _terminal() as screens:
        return screens.watch(there, options.interval, looks, stop)


def _print(there: Place, interval: float, looks: int, stop: Stop) -> int:
    minute = Minute()
    minute.add(fetch(there))
    for _ in range(looks):
        until = time.monotonic() + interval
        while not stop.asked and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, GLANCE))
        if stop.asked:
            break
        minute.add(fetch(there))
        sys.stdout.write("\n".join([*screen(minute, 100, 1000, unicode=False), "", ""]))
        sys.stdout.flush()
    return 0


class _Screen:
    """A terminal that is ours for a while."""

    def __init__(self) -> None:
        self._resized = False
        self._unicode = "utf" in (sys.stdout.encoding or "").lower()

    def resize(self, _signal: int, _frame: FrameType | None) -> None:
        """Note that the size has changed."""
        self._resized = True

    def watch(self, there: Place, interval: float, looks: int, stop: Stop) -> int:
        """Draw at each interval, and when the size changes; end with q."""
        minute = Minute()
        fault = ""
        due = time.monotonic()
        while not stop.asked:
            if time.monotonic() >= due:
                if looks <= 0:
                    break
                looks -= 1
                due = time.monotonic() + interval
                try:
                    minute.add(fetch(there, min(interval, 3.0)))
                    fault = ""
                except Problem as problem:
                    fault = str(problem)
                self._draw(minute, fault)
            elif self._resized:
                self._resized = False
                self._draw(minute, fault)
            if self._key() == "q":
                break
        return 0

    def _draw(self, minute: Minute, fault: str) -> None:
        width, height = os.get_terminal_size(sys.stdout.fileno())  # $COLUMNS would be that of the start
        lines = screen(minute, width, height - 1, unicode=self._unicode)
        if fault:
            lines = [fault[:width], *lines[1 : height - 1]]
        sys.stdout.write(HOME + "\n".join(f"{line}{CLEAR_LINE}" for line in lines) + CLEAR_BELOW)
        sys.stdout.flush()

    @staticmethod
    def _key() -> str:
        ready, _, _ = select.select([sys.stdin], [], [], GLANCE)
        if not ready:
            return ""
        return os.read(sys.stdin.fileno(), 64)[:1].decode("ascii", "replace") or "q"  # the terminal is gone


@contextmanager
def _terminal() -> Iterator[_Screen]:
    """Take the terminal, and give it back as it was, whatever happens."""
    kept = termios.tcgetattr(sys.stdin)
    shown = _Screen()
    before = signal.signal(signal.SIGWINCH, shown.resize)
    suspended = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    try:
        tty.setcbreak(sys.stdin)
        sys.stdout.write(ENTER)
        yield shown
    finally:
        sys.stdout.write(LEAVE)
        sys.stdout.flush()
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, kept)
        signal.signal(signal.SIGWINCH, before)
        signal.signal(signal.SIGTSTP, suspended)
