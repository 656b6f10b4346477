"""One device's story: all its findings and cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detector.cases.case import Filter
from detector.page import timeline
from detector.page.guard import Refused

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from detector.page.desk import Desk

DRAWN = 500
"""Findings, the newest, in the plot."""
LISTED = 50


def show(desk: Desk, request: Request) -> Response:
    """The page of a device's token."""
    device = request.path_params["device"]
    findings = desk.store.findings(Filter(device=device), limit=DRAWN)
    cases = desk.store.cases(Filter(device=device), limit=LISTED)
    if not findings.items and not cases.items:
        raise Refused(404, "Nothing is known of this device", "No finding of it is in the case store.")
    latest = findings.items[0] if findings.items else cases.items[0]
    return desk.page(
        request,
        "device.html",
        device=device,
        latest=latest,
        findings=findings,
        listed=findings.items[:LISTED],
        cases=cases,
        active=sum(case.state != "closed" for case in cases.items),
        timeline=timeline.draw(findings.items, desk.times.zone),
    )
