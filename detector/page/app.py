"""Every address of the page, who may use it, and what answers."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from detector.page.desk import UNAVAILABLE
from detector.page.guard import WEBHOOK, Guard, Refused
from detector.page.views import actions, case, cases, device, finding, login, papers, system, webhook
from nigrani.service.errors import Problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from detector.page.desk import Desk

SLOTS = 2
"""Requests worked on at once."""
REST = 3.0
"""How many times as long as it worked a slot rests: whatever is asked, the page takes half a core at most, and leaves the
detector beside it the rest."""
GONE = 499
"""To whoever is not there any more; the number that other servers have for it."""

log = logging.getLogger(__name__)

View = Callable[["Desk", Request], Response]


class Way(NamedTuple):
    """One address."""

    method: str
    path: str
    view: View
    role: str = "view"
    """Empty: no session is needed."""


WAYS = (
    Way("GET", "/cases", cases.cases),
    Way("GET", "/cases/{number:int}", case.show),
    Way("GET", "/cases/{number:int}/report/{authority}.md", papers.draft_markdown),
    Way("GET", "/cases/{number:int}/report/{authority}.pdf", papers.draft_pdf),
    Way("GET", "/cases/{number:int}/report/{authority}", papers.draft),
    Way("GET", "/cases/{number:int}/stix", papers.stix),
    Way("GET", "/cases/{number:int}/evidence", papers.evidence),
    Way("POST", "/cases/{number:int}/suppress", actions.suppress, "respond"),
    Way("POST", "/cases/{number:int}/reveal", actions.reveal, "reveal"),
    Way("POST", "/cases/{number:int}/{action}", actions.act, "respond"),
    Way("GET", "/findings", cases.findings),
    Way("GET", "/findings/{uid}.json", finding.raw),
    Way("GET", "/findings/{uid}", finding.show),
    Way("GET", "/devices/{device:path}", device.show),
    Way("GET", "/runbooks", system.runbooks),
    Way("GET", "/runbooks/{name}", system.runbook),
    Way("GET", "/suppressions", system.suppressions),
    Way("POST", "/suppressions/{id:int}/end", actions.unsuppress, "respond"),
    Way("GET", "/about", system.about),
    Way("GET", "/login", login.form, ""),
    Way("POST", "/login", login.enter, ""),
    Way("POST", "/logout", login.leave),
    Way("GET", "/api/cases", cases.cases_json),
    Way("GET", "/api/findings", cases.findings_json),
    Way("GET", "/api/pulse", system.pulse),
    Way("GET", "/static/{name}", system.static, ""),
    Way("POST", WEBHOOK, webhook.take, ""),
)


def make_app(desk: Desk, rest: float = REST) -> ASGIApp:
    """The page as an ASGI application."""
    slots = asyncio.Semaphore(SLOTS)
    routes = [Route(way.path, _endpoint(desk, way, slots, rest), methods=[way.method]) for way in WAYS]
    routes.append(Route("/", _home))
    app = Starlette(routes=routes, exception_handlers={HTTPException: partial(_unknown, desk)})
    return Guard(app, desk)


def _endpoint(desk: Desk, way: Way, slots: asyncio.Semaphore, rest: float) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        await slots.acquire()
        began = time.perf_counter()
        try:
            if request.method == "GET" and await request.is_disconnected():
                return Response(status_code=GONE)  # whoever asks and leaves makes nobody wait
            return await run_in_threadpool(_answer, desk, way, request)
        finally:
            asyncio.get_running_loop().call_later(rest * (time.perf_counter() - began), slots.release)

    return endpoint


def _answer(desk: Desk, way: Way, request: Request) -> Response:
    """The view's answer, or why there is none."""
    user = request.state.session.user if way.role else None
    if user is not None and not user.may(way.role):
        text = f"You may {user.role}; this needs {way.role}. Whoever looks after the page gives roles."
        return desk.refusal(request, Refused(403, "This is not yours to do", text))
    try:
        return way.view(desk, request)
    except Refused as refused:
        return desk.refusal(request, refused)
    except LookupError as error:
        return desk.refusal(request, Refused(404, "This is not here", str(error)))
    except (sqlite3.Error, Problem) as error:
        log.warning("the page cannot use the case store: %s", error)
        text = "Nothing was changed. Detection goes on, and alerts wait in their log; the detector's log says what is wrong."
        return desk.refusal(request, Refused(UNAVAILABLE, "The case store cannot be used now", text))


async def _home(_request: Request) -> Response:
    return RedirectResponse("/cases", 303)


async def _unknown(desk: Desk, request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    refused = Refused(status, "There is no such page" if status == 404 else "This cannot be done here")
    return await run_in_threadpool(desk.refusal, request, refused)
