"""From benign events to a baseline: habits of devices, models of flows, sets of what was seen.

Whatever is calibrated is calibrated on time that it was not learnt from: the lesson is cut into four blocks, and what is
new, or strange, in one is so by the other three.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from detector import device_learner
from detector.baseline import Baseline
from detector.features import (
    FLOW_FEATURES,
    WINDOW,
    WINDOW_FEATURES,
    Window,
    flow_matrix,
    flow_row,
    window_matrix,
)
from detector.flows import add_evidence
from detector.model import Ensemble, Floats
from detector.seen import Learner, Seen, union
from detector.usual import Usual
from nigrani.stream.event import Event
from nigrani.stream.events import NetworkFlow

FEATURES = (*FLOW_FEATURES, *(feature.name for feature in WINDOW_FEATURES))
"""The baseline's schema."""
MAX_EVENTS = 1_000_000
"""Events of one lesson at most; what comes after is counted and not learnt."""
FIT_ROWS = 50_000
"""Flow records that the models are fitted on, at most; as many again calibrate them."""
LEAST_FLOWS = 100
SEED = 7
BLOCKS = 4
WEEK = 7 * 24 * 60
"""Minutes."""

Flows = list[tuple[tuple[float, ...], Window]]


class Lesson:
    """Gathers events until `baseline` is asked for."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.dropped = 0
        self.first = 0.0
        """Time of the first event, seconds since the epoch; 0 before it."""
        self.last = 0.0

    def add(self, event: Event) -> None:
        """Learn from one event."""
        if len(self.events) >= MAX_EVENTS:
            self.dropped += 1
            return
        when = event.timestamp.timestamp()
        self.first = min(self.first, when) if self.first else when
        self.last = max(self.last, when)
        self.events.append(event)

    def baseline(self) -> Baseline:
        """The baseline of all events so far. Raises ValueError where they are too few."""
        if not self.events:
            raise ValueError("there are no events to learn from")
        learners = self._learners()
        minutes, flows = self._minutes([union([*learners[:at], *learners[at + 1 :]]).seen() for at in range(BLOCKS)])
        rows = flow_matrix([row for row, _ in flows]) if flows else np.empty((0, len(FLOW_FEATURES)))
        ensemble = _fit_flows(rows)
        if ensemble is not None:
            add_evidence(ensemble, rows, [window for _, window in flows])
        habits = Usual.fit(
            [minute.device for minute in minutes],
            [float(minute.start) for minute in minutes],
            window_matrix([minute.row() for minute in minutes]),
        )
        per_minute = len(minutes) / len({minute.start for minute in minutes})
        arrays = {f"habits.{name}": array for name, array in habits.arrays().items()}
        arrays |= {f"seen.{name}": array for name, array in union(learners).seen().arrays().items()}
        classes = self._classes()
        arrays |= {f"classes.{name}": array for name, array in classes.arrays().items()}
        if ensemble is not None:
            arrays |= {f"flow.{name}": array for name, array in ensemble.arrays().items()}
        return Baseline.of(
            FEATURES,
            arrays,
            window=(_iso(self.first), _iso(self.last)),
            counts={
                "events": len(self.events),
                "flows": len(rows),
                "minutes": len(minutes),
                "devices": len(habits),
                "classified": len(classes),
            },
            models=sorted(ensemble.members) if ensemble is not None else [],
            seed=SEED,
            config={"minutes_per_week": round(per_minute * WEEK)},
        )

    def _block(self, position: int) -> int:
        """Which quarter of the lesson: by arrival, for one wrong clock would stretch the time."""
        return position * BLOCKS // len(self.events)

    def _learners(self) -> list[Learner]:
        learners = [Learner() for _ in range(BLOCKS)]
        for position, event in enumerate(self.events):
            learners[self._block(position)].add(event)
        return learners

    def _classes(self) -> device_learner.DeviceClasses:
        learner = device_learner.Learner()
        for event in self.events:
            learner.add(event)
        return learner.classes()

    def _minutes(self, others: list[Seen]) -> tuple[list[Window], Flows]:
        """Every device's minutes, agent by agent, and every flow; what is new in each is so by the other blocks of time."""
        minutes: dict[tuple[int, str, str], Window] = {}
        flows: Flows = []
        for position, event in enumerate(self.events):
            new = others[self._block(position)].new(event)
            start = int(event.timestamp.timestamp()) // WINDOW * WINDOW
            window = minutes.get((start, event.agent, event.host))
            if window is None:
                window = minutes[start, event.agent, event.host] = Window(event.host, start)
            window.add(event, new)
            if type(event) is NetworkFlow:
                flows.append((flow_row(event, new), window))
        return [minutes[key] for key in sorted(minutes)], flows


def _fit_flows(rows: Floats) -> Ensemble | None:
    """The flows' ensemble, fitted on one half of the rows and calibrated on the other; None for too few flows."""
    if len(rows) < LEAST_FLOWS:
        return None
    order = np.random.default_rng(SEED).permutation(len(rows))
    fit, rest = np.array_split(order, 2)
    return Ensemble.fit(rows[np.sort(fit[:FIT_ROWS])], rows[np.sort(rest[:FIT_ROWS])], SEED)


def _iso(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat().replace("+00:00", "Z")
