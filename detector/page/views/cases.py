"""Lists: cases, findings, and both as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from detector.cases.case import ACTIVE, SEVERITIES, STATES, VERDICTS, Filter
from detector.page import query
from detector.page.guard import Refused

if TYPE_CHECKING:
    from starlette.requests import Request

    from detector.page.desk import Desk
    from detector.page.query import Asked

LIMIT = 50
JSON_LIMIT = 200


def cases(desk: Desk, request: Request) -> Response:
    """The cases, those that want somebody first."""
    asked = _asked(desk, request, cases=True)
    listing = _listing(desk.store.cases, asked, LIMIT)
    counts = desk.store.counts()
    kinds = sorted({kind for _, kind in counts.open} | {kind for case in listing.items for kind in case.kinds})
    return desk.page(
        request,
        "cases.html",
        asked=asked,
        listing=listing,
        totals=_totals(desk, asked.filter),
        counts=counts,
        kinds=kinds,
        seen=_seen(listing.items),
        severities=SEVERITIES,
        verdicts=VERDICTS,
    )


def findings(desk: Desk, request: Request) -> Response:
    """All findings, the newest first."""
    asked = _asked(desk, request, cases=False)
    listing = _listing(desk.store.findings, asked, LIMIT)
    kinds = sorted({one.kind for one in listing.items})
    return desk.page(
        request,
        "findings.html",
        asked=asked,
        listing=listing,
        kinds=kinds,
        seen=_seen(listing.items),
        severities=SEVERITIES,
        verdicts=VERDICTS,
    )


def cases_json(desk: Desk, request: Request) -> Response:
    """The same list of cases for programs."""
    return _json(_listing(desk.store.cases, _asked(desk, request, cases=True), JSON_LIMIT))


def findings_json(desk: Desk, request: Request) -> Response:
    """The same list of findings for programs."""
    return _json(_listing(desk.store.findings, _asked(desk, request, cases=False), JSON_LIMIT))


def _asked(desk: Desk, request: Request, *, cases: bool) -> Asked:
    path = "/cases" if cases else "/findings"
    try:
        return query.read(path, request.query_params, desk.times.zone, cases=cases)
    except ValueError as error:
        raise Refused(400, "This list cannot be made", str(error)) from None


def _listing(ask: Any, asked: Asked, limit: int) -> Any:
    try:
        return ask(asked.filter, order=asked.order, limit=limit, after=asked.after)
    except ValueError as error:
        raise Refused(400, "This list cannot be made", str(error)) from None


def _totals(desk: Desk, asked: Filter) -> dict[str, int]:
    """State → how many cases the rest of the filter leaves."""
    totals = {
        state: desk.store.cases(msgspec.structs.replace(asked, state=state), limit=1).total for state in (ACTIVE, *STATES)
    }
    return {**totals, query.ALL: totals[ACTIVE] + totals["closed"]}


def _seen(items: Any) -> dict[str, list[str]]:
    """What the list's own items have, to be chosen from."""
    return {
        "zone": sorted({one.zone for one in items if one.zone}),
        "class": sorted({one.device_class for one in items if one.device_class}),
        "device": sorted({one.device for one in items if one.device}),
    }


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
