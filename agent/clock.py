"""The host's clock: whether it jumps, and how far it is from a time server's.

Events carry its time, so that a detector, and whoever reads an alert, must know how much to make of it.
"""

from __future__ import annotations

import contextlib
import logging
import random
import socket
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from agent.ntp import Answer, Kiss, ask
from nigrani.service.exposition import Family

if TYPE_CHECKING:
    from agent.config import Clock

STEP = 1.0
"""Seconds that the clock must have moved against the time since the host's start, between two looks, to have been set."""
QUIET = 60.0
"""Seconds between two lines of the log about that."""
FIRST = 30.0
"""Seconds within which the first question is asked, at random: a site's agents may all start at once."""
LEAST = 64.0
"""Seconds between two questions, at least, whatever happens."""
MOST_PATIENT = 16
"""So many times the interval, at most, while there is no answer."""
NEVER = ("DENY", "RSTR")
"""Kisses after which a server is not asked again."""
FAILURES = ("unresolved", "no_answer", "invalid", "refused")

log = logging.getLogger(__name__)


class ClockWatch:
    """Looks at the clock, and asks a time server about it, if one is named."""

    def __init__(self, settings: Clock) -> None:
        self.steps = 0
        """How often the clock was set."""
        self.failures = dict.fromkeys(FAILURES, 0)
        self._apart = _apart()
        self._told = -QUIET
        self._thread: threading.Thread | None = None
        self.change(settings)

    def change(self, settings: Clock) -> None:
        """Ask another server, or at other times, from now on."""
        self.answer: Answer | None = None
        self.answered_at = 0.0
        self._settings = settings
        self._patience = 1
        self._asked = -LEAST
        self._due = time.monotonic() + random.uniform(0, FIRST)  # noqa: S311 - to spread load, no secret

    def look(self) -> None:
        """Find out whether the clock was set since the last look; ask where it is time to. Never waits."""
        moved = _apart() - self._apart
        if abs(moved) >= STEP:
            self._stepped(moved)
        self._apart += moved
        busy = self._thread is not None and self._thread.is_alive()
        if self._settings.ntp and time.monotonic() >= self._due and not busy:
            self._asked = time.monotonic()
            self._due = self._asked + self._settings.minutes * 60 * self._patience * random.uniform(0.9, 1.1)  # noqa: S311 - as above
            self._thread = threading.Thread(target=self._ask, args=(self._settings,), name="ntp", daemon=True)
            with contextlib.suppress(RuntimeError):  # no more threads: it is asked the next time
                self._thread.start()

    def collect(self) -> Iterator[Family]:
        """Metrics, where a server is asked."""
        if not self._settings.ntp:
            return
        failures = Family("counter", "nigrani_agent_clock_failures", "Questions to the time server without a use.")
        for reason, count in self.failures.items():
            failures.add(count, reason=reason)
        yield failures
        answer = self.answer
        if answer is not None:
            yield _gauge("offset_seconds", "What to add to the host's clock to have the time server's.", answer.offset)
            yield _gauge("delay_seconds", "Way to the time server and back; twice the offset's error at most.", answer.delay)
            yield _gauge("last_answer_timestamp_seconds", "When the time server last answered.", self.answered_at)

    def _stepped(self, moved: float) -> None:
        self.steps += 1
        self.answer = None  # it was about another clock
        self._due = max(self._asked + LEAST, time.monotonic())
        if time.monotonic() - self._told >= QUIET:
            self._told = time.monotonic()
            log.warning("the clock was set %s by %.1f s", "forward" if moved > 0 else "back", abs(moved))

    def _ask(self, settings: Clock) -> None:
        """In a thread of its own: names are resolved, and answers come, when they do."""
        steps = self.steps
        try:
            answer = ask(*settings.server)
        except Kiss as kiss:
            self._failed("refused", settings, kiss)
        except ValueError as error:
            self._failed("invalid", settings, error)
        except socket.gaierror as error:
            self._failed("unresolved", settings, error)
        except OSError as error:
            self._failed("no_answer", settings, error)
        else:
            if settings is self._settings and steps == self.steps:
                self.answer, self.answered_at = answer, time.time()
                self._patience = 1

    def _failed(self, reason: str, settings: Clock, error: Exception) -> None:
        self.failures[reason] += 1
        if settings is not self._settings:
            return
        if self._patience == 1:
            log.warning("clock.ntp: %s: %s", settings.ntp, error)
        self._patience = min(2 * self._patience, MOST_PATIENT)
        if isinstance(error, Kiss) and error.code in NEVER:
            self._due = float("inf")


def _apart() -> float:
    """The clock against the time since the host's start, sleep included."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def _gauge(name: str, text: str, value: float) -> Family:
    return Family("gauge", f"nigrani_agent_clock_{name}", text, value)
