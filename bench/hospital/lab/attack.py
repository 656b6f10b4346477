"""What an attack is, and the record of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from lab.activity import Lab

AttackAct = Callable[[Lab, Random, float], str]


@dataclass(frozen=True)
class Attack:
    """One attack: its act takes the lab, a random stream and a size up to 1, and says what it did, with counts."""

    name: str
    attacker: str
    target: str
    act: AttackAct
    kinds: tuple[str, ...]
    """The alerts that tell of it, any of them: names of rule files, or of anomalies."""


@dataclass(frozen=True)
class Incident:
    """An attack that was carried out: the label that a detector is judged by. Times are epoch seconds."""

    name: str
    attacker: str
    target: str
    start: float
    end: float
    what: str
    kinds: tuple[str, ...]


def carry_out(attack: Attack, lab: Lab, rng: Random, size: float) -> Incident:
    """Do it, and note when it began and ended by the clock that stamps the capture."""
    start = time.time()
    what = attack.act(lab, rng, size)
    return Incident(attack.name, attack.attacker, attack.target, start, time.time(), what, attack.kinds)


class Paced:
    """Iterates over `count` steps spread evenly over `seconds`, however long each step takes."""

    def __init__(self, count: int, seconds: float) -> None:
        """Make `count` steps; one that takes longer than its share delays the next, no more."""
        self._count = count
        self._seconds = seconds
        self._next = 0
        self._start = time.monotonic()

    def __iter__(self) -> Paced:
        """Start the clock."""
        self._start = time.monotonic()
        return self

    def __next__(self) -> int:
        """Wait for the next step's moment."""
        if self._next == self._count:
            raise StopIteration
        moment = self._start + self._seconds * self._next / self._count
        time.sleep(max(0.0, moment - time.monotonic()))
        self._next += 1
        return self._next - 1
