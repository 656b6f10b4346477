"""Benign life: each actor repeats one thing at jittered intervals, from the first second to the last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from lab.studies import Catalogue
from lab.topology import Network


@dataclass(frozen=True)
class Lab:
    """What an actor or an attacker may touch."""

    network: Network
    catalogue: Catalogue


Act = Callable[[Lab, Random], bool]


@dataclass(frozen=True)
class Activity:
    """One repeated behaviour: who, what, and the least and most seconds between two times."""

    name: str
    every: tuple[float, float]
    act: Act


@dataclass
class Tally:
    """How often an activity ran, and how often it failed."""

    runs: int = 0
    failures: int = 0


class Actors:
    """A thread for each activity; each has its own random stream, so that one does not shift another."""

    def __init__(self, lab: Lab, activities: Sequence[Activity], seed: int, pace: float) -> None:
        """`pace` multiplies all intervals (below 1 for a rehearsal)."""
        self._lab = lab
        self._activities = activities
        self._seed = seed
        self._pace = pace
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.tallies = {activity.name: Tally() for activity in activities}

    def start(self) -> None:
        """Set everybody going, as if they had been at it all night: each at a random moment of its first interval."""
        for activity in self._activities:
            thread = threading.Thread(target=self._live, args=(activity,), name=activity.name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Let everybody finish what they are doing."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=90)

    def _live(self, activity: Activity) -> None:
        rng = Random(f"{self._seed} {activity.name}")
        tally = self.tallies[activity.name]
        delay = rng.uniform(0, sum(activity.every) / 2) * self._pace
        while not self._stop.wait(delay):
            tally.runs += 1
            if not activity.act(self._lab, rng):
                tally.failures += 1
            delay = rng.uniform(*activity.every) * self._pace
