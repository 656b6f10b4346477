"""What stands beside the cases: runbooks, suppressions, and the system itself."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import RedirectResponse, Response

from detector.cases.case import Filter
from detector.page import story
from detector.page.desk import HERE
from detector.page.guard import Refused

if TYPE_CHECKING:
    from starlette.requests import Request

    from detector.page.desk import Desk
    from detector.page.runbooks import Runbook

WEEK = timedelta(days=7)
STATIC = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}


def runbooks(desk: Desk, request: Request) -> Response:
    """All there are."""
    return desk.page(request, "runbooks.html", books=desk.runbooks.all())


def runbook(desk: Desk, request: Request) -> Response:
    """One of them."""
    name = request.path_params["name"]
    book = desk.runbooks.find(name)
    if book is None and (other := _of_kind(desk, name)) is not None:
        return RedirectResponse(f"/runbooks/{other.name}", 303)
    if book is None:
        raise Refused(404, "There is no such runbook", "Site's own runbooks are files in the folder page.runbooks.")
    return desk.page(request, "runbook.html", book=book)


def _of_kind(desk: Desk, kind: str) -> Runbook | None:
    """Alerts of Prometheus name a kind of finding, or what an anomaly is of; which runbook that has, its findings tell."""
    for slug in (kind, f"anomaly-{kind}"):
        for newest in desk.store.findings(Filter(kind=slug), limit=1).items:
            found = desk.store.finding(newest.uid)
            return desk.runbooks.find(story.read(found.ocsf).runbook) if found else None
    return None


def suppressions(desk: Desk, request: Request) -> Response:
    """Those in force."""
    done = "Ended: findings like these are told again." if request.query_params.get("done") == "ended" else ""
    return desk.page(request, "suppressions.html", suppressions=desk.store.suppressions(), done=done)


def about(desk: Desk, request: Request) -> Response:
    """Versions, baseline, rules, and how far the budget of false alarms is spent."""
    since = desk.now() - WEEK
    asked = Filter(verdict="false-alarm", since=since)
    alarms = desk.store.findings(asked, limit=1).total
    anomalies = desk.store.findings(msgspec.structs.replace(asked, source="anomaly"), limit=1).total
    return desk.page(
        request,
        "about.html",
        health=desk.pulse(),
        counts=desk.store.counts(),
        size=desk.store.size,
        budget=desk.site.budget,
        alarms=alarms,
        anomalies=anomalies,
        settings=desk.settings,
        sessions=len(desk.sessions),
        audit=list(reversed(desk.store.history(0)[-30:])),
    )


def pulse(desk: Desk, _request: Request) -> Response:
    """What a page that is open asks from time to time: the strip, and what has changed."""
    newest = desk.store.cases(Filter(state="active"), order="newest", limit=1)
    health = desk.pulse()
    found = {"open": newest.total, "changed": newest.items[0].updated if newest.items else None, "reached": health.reached}
    return Response(msgspec.json.encode(found), media_type="application/json")


def static(_desk: Desk, request: Request) -> Response:
    """A file of the page's own; its address changes with its content, so it may be kept."""
    name = request.path_params["name"]
    if name not in STATIC:
        raise Refused(404, "There is no such page")
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response((HERE / "static" / name).read_bytes(), media_type=STATIC[name], headers=headers)
