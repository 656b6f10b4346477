"""Looks whether rule files have changed, and loads them aside: whoever owns it takes the outcome when it suits.

The files are read and compiled in a thread of their own. Reading rules is Python all the way, in which the interpreter
changes threads every few milliseconds, so events are judged more slowly meanwhile and never wait long. What would make
them wait is a full garbage collection amid all that was parsed: there is none while rules are read.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple

from detector.rule import Fault, RuleFaults
from detector.rule_file import rule_files
from detector.ruleset import RuleSet

SETTLED = 0.2
"""Seconds without a change after which files are taken to be written."""
TRIES = 20
"""Looks at files that keep changing, before they are read as they are."""

NEVER = 1 << 30
"""Collections of the middle generation before a full one."""

Signature = tuple[object, ...]

log = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """What came of loading the files."""

    rules: RuleSet | None
    """None where something is wrong with them."""
    faults: tuple[Fault, ...]
    seconds: float


class RuleWatch:
    """One set of folders."""

    def __init__(self, folders: Sequence[Path], rules: RuleSet, seconds: float) -> None:
        """rules: what is loaded already. seconds: between looks; 0 for none but those that are asked for."""
        self._folders = list(folders)
        self._seconds = seconds
        self._outcomes: SimpleQueue[Outcome] = SimpleQueue()
        self._wake = threading.Event()
        self._asked = False
        self._over = False
        self._known = rules.fingerprint, rules.today
        self._seen: Signature = ()
        self._thread = threading.Thread(target=self._run, name="rules", daemon=True)

    def start(self) -> None:
        """Begin to look. What there is by now is there for good, and is spared from garbage collections."""
        gc.freeze()
        self._thread.start()

    def ask(self) -> None:
        """Load the files now, changed or not."""
        self._asked = True
        self._wake.set()

    def taken(self) -> Outcome | None:
        """What came of the last load, once; None where there was none since the last call."""
        outcome = None
        try:
            while True:
                outcome = self._outcomes.get_nowait()
        except Empty:
            return outcome

    def close(self) -> None:
        """Look no more."""
        self._over = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._over:
            self._wake.wait(self._seconds or None)
            self._wake.clear()
            asked, self._asked = self._asked, False
            if not self._over:
                try:
                    self._look(asked=asked)
                except Exception:  # a thread that ends would never load a rule again
                    log.exception("the rule files could not be looked at")

    def _look(self, *, asked: bool) -> None:
        seen = self._signature()
        if not asked and seen == self._seen:
            return
        for _ in range(TRIES):
            self._wake.wait(SETTLED)
            before, seen = seen, self._signature()
            if seen == before or self._over:
                break
        self._seen = seen
        self._load(asked=asked)

    def _load(self, *, asked: bool) -> None:
        """Read the files; what was replaced meanwhile is seen at the next look."""
        began = time.monotonic()
        today = _today()
        try:
            with _no_full_collection():
                rules = RuleSet.load(*self._folders, today=today)
        except RuleFaults as error:
            self._known = "", today
            self._outcomes.put(Outcome(None, error.faults, time.monotonic() - began))
            return
        known = rules.fingerprint, today
        if asked or known != self._known:
            self._outcomes.put(Outcome(rules, (), time.monotonic() - began))
        self._known = known

    def _signature(self) -> Signature:
        """Equal as long as no file is written, replaced, made or removed, and no day begins."""
        found: list[object] = [_today()]
        for folder in self._folders:
            for path in rule_files(folder):
                try:
                    status = path.stat()
                except OSError:  # gone since it was listed
                    continue
                found.append((path, status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(found)


@contextmanager
def _no_full_collection() -> Iterator[None]:
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young, middle, NEVER)
    try:
        yield
    finally:
        gc.set_threshold(young, middle, old)


def _today() -> date:
    return datetime.now(UTC).date()
