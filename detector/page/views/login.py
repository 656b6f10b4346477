"""Coming and going: the login, its bounds, and its trace in the history."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse

from detector.page.guard import Refused
from detector.page.metrics import LOGIN
from detector.page.throttle import neighbourhood
from detector.page.times import span
from detector.page.users import NAME

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from detector.page.desk import Desk
    from detector.page.users import User

_one = threading.Lock()
"""A password's check costs 32 MB and a tenth of a second: one at a time."""


def form(desk: Desk, request: Request) -> Response:
    """Name and password."""
    if request.state.session is not None:
        return RedirectResponse("/cases", 303)
    return _page(desk, request, request.query_params.get("next", ""))


def enter(desk: Desk, request: Request) -> Response:
    """Log in. One sentence for every wrong pair, whatever is wrong with it."""
    given = request.state.form
    name, target = given.get("name", "").strip().lower(), given.get("next", "")
    place = request.client.host if request.client else ""
    near = neighbourhood(place)
    wait = max(desk.tries.wait(near), desk.tries_of_name.wait(name))
    if wait:
        return _page(desk, request, target, f"Too many attempts. Try again in {span(wait)}.", 429)
    user = _checked(desk, name, given.get("password", ""))
    if user is None:
        desk.tries.fail(near)
        desk.tries_of_name.fail(name)
        known = name if NAME.fullmatch(name) else "?"
        desk.store.record(None, known, "login-refused", f"from {place}")
        return _page(desk, request, target, "Name and password do not match.", 403)
    desk.tries.forget(near)
    desk.store.record(None, user.name, "logged-in", f"from {place}")
    answer = RedirectResponse(_inside(target), 303)
    answer.set_cookie(
        desk.cookie,
        desk.sessions.begin(user),
        max_age=desk.settings.session_hours * 3600,
        path="/",
        secure=desk.settings.tls.certificate is not None,
        httponly=True,
        samesite="strict",
    )
    return answer


def leave(desk: Desk, request: Request) -> Response:
    """Log out."""
    desk.sessions.end(request.cookies.get(desk.cookie, ""))
    if desk.users is None:
        raise Refused(404, "There is no login here")
    desk.store.record(None, request.state.session.user.name, "logged-out")
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(
        desk.cookie, path="/", secure=desk.settings.tls.certificate is not None, httponly=True, samesite="strict"
    )
    return answer


def _checked(desk: Desk, name: str, password: str) -> User | None:
    if desk.users is None:
        raise Refused(404, "There is no login here")
    with _one:
        user = desk.users.check(name, password)
        desk.tally[LOGIN] += user is None
        return user


def _page(desk: Desk, request: Request, target: str, fault: str = "", status: int = 200) -> Response:
    return desk.page(request, "login.html", status, target=_inside(target), fault=fault)


def _inside(target: str) -> str:
    """A path of ours, whatever the address was made to say."""
    plain = target.startswith("/") and not target.startswith(("//", "/\\", "/login")) and target.isprintable()
    return target if plain else "/cases"
