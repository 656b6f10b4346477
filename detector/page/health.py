"""How the detector is, in the few words of the page's status strip."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from prometheus_client import Gauge

    from detector.cases.intake import Intake
    from detector.service import Service

LATE = 120.0
"""Seconds without a newer event from which the strip says so."""
FEW = 100
"""Alerts not in the store yet from which it is behind, and not merely about to take them."""
MANY = 10_000
"""Events on the bus unread from which the detector is behind."""


class Health(NamedTuple):
    """What is known of the service that the page belongs to."""

    behind: int = 0
    """Events on the bus, not read yet."""
    reached: datetime | None = None
    """Time of the newest event."""
    learning: bool = False
    knows: bool = False
    """Whether there is a baseline."""
    model: str = ""
    """The baseline's fingerprint."""
    rules: int = 0
    fingerprint: str = ""
    """Of the rules."""
    watching: bool = True
    """Whether there is a detector at all beside the page."""
    unread: int = 0
    """Alerts in their log that are not in the case store yet."""
    trouble: str = ""
    """Why the case store takes none."""


class Line(NamedTuple):
    """One thing of the strip."""

    name: str
    text: str
    well: bool


Pulse = Callable[[], Health]


def of(service: Service, intake: Intake) -> Pulse:
    """Reads what the service has published last; costs it nothing, and is called from other threads."""

    def pulse() -> Health:
        metrics, rules = service.metrics, service.rules
        reached = _value(metrics.reached)
        return Health(
            behind=int(_value(metrics.lag)),
            reached=datetime.fromtimestamp(reached, UTC) if reached > 0 else None,
            learning=service.learning,
            knows=service.knows,
            model=service.model,
            rules=len(rules.in_force),
            fingerprint=rules.fingerprint[:12],
            unread=intake.behind(),
            trouble="" if intake.up else "takes no alerts now; they wait in their log",
        )

    return pulse


def lines(health: Health) -> list[Line]:
    """What the strip says, what is wrong before what is well."""
    return sorted((_store(health), _events(health), _baseline(health)), key=lambda line: line.well)


def _store(health: Health) -> Line:
    if health.trouble:
        return Line("Case store", health.trouble, False)
    if health.unread >= FEW:
        return Line("Case store", f"{health.unread:,} alerts behind", False)
    return Line("Case store", "up to date", True)


def _events(health: Health) -> Line:
    if not health.watching:
        return Line("Detector", "not in this process", True)
    if health.behind >= MANY:
        return Line("Events", f"{health.behind:,} behind", False)
    if health.reached is None:
        return Line("Events", "none yet", False)
    silent = time.time() - health.reached.timestamp()
    return Line("Events", "flowing" if silent < LATE else "quiet", silent < LATE)


def _baseline(health: Health) -> Line:
    if health.learning:
        return Line("Baseline", "being learnt; rules alone alert", False)
    if not health.knows:
        return Line("Baseline", "none; rules alone alert", not health.watching)
    return Line("Baseline", "in use", True)


def _value(gauge: Gauge) -> float:
    return float(next(iter(gauge.collect())).samples[0].value)
