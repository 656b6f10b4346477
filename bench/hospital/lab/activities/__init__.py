"""What the hospital does all morning, by department."""

from __future__ import annotations

from lab.activities import bedside, clinical, imaging, office, reading
from lab.activity import Activity
from lab.topology import Plan


def all_activities(plan: Plan) -> list[Activity]:
    """Every benign behaviour of the morning."""
    return [
        *imaging.activities(),
        *reading.activities(),
        *clinical.activities(),
        *bedside.activities(),
        *office.activities(plan),
    ]
