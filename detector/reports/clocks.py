"""The authorities' clocks: when each starts, how long it runs, and where that stands; dates as India writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

from detector.cases.case import AUTHORITIES

IST = timezone(timedelta(hours=5, minutes=30), "IST")
"""India's time. It has no summer time, and needs no table of zones."""


class Clock(NamedTuple):
    """One authority's period for a report."""

    authority: str
    hours: int
    starts: str
    """What starts it, in words."""
    source: str
    """Where that is laid down."""

    def due(self, detected: datetime) -> datetime:
        """When the period that began then is over."""
        return detected + timedelta(hours=self.hours)


CLOCKS = {
    "cert-in": Clock(
        "cert-in",
        AUTHORITIES["cert-in"],
        "noticing the incident, or being brought to notice about it",
        "CERT-In Directions No. 20(3)/2022-CERT-In of 28 April 2022, direction (ii), under section 70B(6) of the "
        "Information Technology Act, 2000; in force since June 2022",
    ),
    "dpdp": Clock(
        "dpdp",
        AUTHORITIES["dpdp"],
        "becoming aware of a personal data breach",
        "Digital Personal Data Protection Rules, 2025, rule 7(2)(b), under section 8(6) of the Digital Personal Data "
        "Protection Act, 2023",
    ),
}
"""By authority. Of a case the detector's first alert is taken for the start: the earliest moment that anybody could hold
against the hospital."""


def left(due: datetime, now: datetime) -> str:
    """`4 h 12 min left`, or `over by 20 min`; whole minutes, never one more than there are."""
    if now > due:
        return f"over by {_span(-((due - now) // _MINUTE))}"
    return f"{_span((due - now) // _MINUTE)} left"


_MINUTE = timedelta(minutes=1)


def _span(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest:02} min" if hours else f"{rest} min"


def india(when: datetime) -> str:
    """`22/11/2026 12:18 IST`, as CERT-In's form wants it."""
    return f"{when.astimezone(IST):%d/%m/%Y %H:%M} IST"


def both(when: datetime) -> str:
    """`22/11/2026 12:18 IST (22/11/2026 06:48 UTC)`."""
    return f"{india(when)} ({when.astimezone(UTC):%d/%m/%Y %H:%M} UTC)"


def exact(when: datetime) -> str:
    """With seconds, for an order of events: `22/11/2026 12:18:24 IST`."""
    return f"{when.astimezone(IST):%d/%m/%Y %H:%M:%S} IST"
