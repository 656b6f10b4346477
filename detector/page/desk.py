"""What every page needs: the store, the clock, who is asking, and how a page is made from its template."""

from __future__ import annotations

import logging
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from detector.alert import number
from detector.matrix import technique
from detector.page import health, text
from detector.page.guard import Refused
from detector.page.health import Health, Pulse
from detector.page.metrics import Tally
from detector.page.runbooks import Runbooks
from detector.page.sessions import Sessions
from detector.page.throttle import Throttle
from detector.page.times import Times, ago, span
from detector.page.users import Users
from detector.reports.organisation import Organisation
from nigrani import __version__
from nigrani.service.errors import Problem

if TYPE_CHECKING:
    from starlette.requests import Request

    from detector.cases.store import Store
    from detector.page.sessions import Session
    from detector.page.settings import PageSettings

UNAVAILABLE = 503
"""The case store cannot be used."""
FRESH = "x-fresh"
"""A header of what an open page asks by itself, to be up to date."""
HERE = Path(__file__).parent
TRIES, TRIES_OF_NAME = 10, 50
"""Failed logins of one address, and of one name from anywhere, within TRY_SECONDS."""
TRY_SECONDS = 900.0


class Site(NamedTuple):
    """What the configuration says beside the page's own settings."""

    budget: float = 0.0
    """False alarms a week that are allowed."""
    organisation: Organisation = Organisation()
    """Who reports."""


log = logging.getLogger(__name__)

_UNSAID = Site()
_OF_CASE = re.compile(r"/cases/(\d{1,10})/")
_ALONE = partial(Health, watching=False)


class Desk:
    """One page's surroundings; its methods may be called from any thread."""

    def __init__(
        self,
        store: Store,
        settings: PageSettings,
        pulse: Pulse = _ALONE,
        site: Site = _UNSAID,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises Problem or BadConfig where the users' file cannot be used."""
        self.store = store
        self.settings = settings
        self.pulse = pulse
        self.site = site
        self.clock = clock
        self.tally: Tally = Counter()
        self.times = Times(settings.timezone)
        self.runbooks = Runbooks(settings.runbooks)
        self.users = Users(settings.users) if settings.users else None
        self.sessions = Sessions(settings.idle_minutes * 60, settings.session_hours * 3600, time.monotonic)
        self.tries = Throttle(TRIES, TRY_SECONDS, time.monotonic)
        self.tries_of_name = Throttle(TRIES_OF_NAME, TRY_SECONDS, time.monotonic)
        self.cookie = "__Host-nigrani" if settings.tls.certificate else "nigrani"
        self._templates = _templates(self.times)

    def now(self) -> datetime:
        """By this host's clock."""
        return datetime.fromtimestamp(self.clock(), UTC)

    def session(self, request: Request) -> Session | None:
        """Of a browser that has logged in; none once the user's line in the file has changed."""
        key = request.cookies.get(self.cookie, "")
        session = self.sessions.get(key, used=FRESH not in request.headers) if key else None
        if session is not None and self.users is not None and self.users.get(session.user.name) != session.user:
            self.sessions.end(key)
            return None
        return session

    def viewed(self, session: Session, what: str, number: int | None, action: str, text: str = "") -> None:
        """Note a read: the first of a session, and of each hour. What cannot be noted is read, and told in the log."""
        if session.first_view(what, self.clock()):
            try:
                self.store.record(number, session.user.name, action, text)
            except (sqlite3.Error, Problem) as error:
                log.warning("%s read %s, which the history cannot take: %s", session.user.name, what, error)

    def page(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page from its template."""
        session: Session | None = request.state.session
        now = self.now()
        values |= {
            "session": session,
            "user": session.user if session else None,
            "login": self.users is not None,
            "now": now,
            "ago": partial(ago, now=now),
            "strip": health.lines(self._health(status)) if session else [],
            "path": request.url.path,
        }
        return HTMLResponse(self._templates.get_template(template).render(values), status)

    def _health(self, status: int) -> Health:
        """Also what the page itself just met, which whoever fills the store may not have."""
        known = self.pulse()
        return known._replace(trouble=known.trouble or "cannot be used") if status == UNAVAILABLE else known

    def refusal(self, request: Request, refused: Refused) -> Response:
        """The page that says why not."""
        case = _OF_CASE.match(request.url.path)
        number = case[1] if case and refused.status != 404 else ""
        return self.page(request, "refused.html", refused.status, title=refused.title, text=refused.text, number=number)


@cache
def _templates(times: Times) -> Environment:
    """Templates that tell times in a zone, each compiled once."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=text.plain,
        auto_reload=False,  # an update of the package under a running service must not mix with its code
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"times": times, "span": span, "version": __version__, "asset": _asset, "technique": technique}
    made.globals["number"] = number
    made.filters |= {"short": text.short, "day": times.day, "clock": times.clock, "utc": times.utc, "full": times.full}
    return made


@cache
def _asset(name: str) -> str:
    """A static file's address, another one whenever its content is another."""
    return f"/static/{name}?{blake2b((HERE / 'static' / name).read_bytes(), digest_size=6).hexdigest()}"
