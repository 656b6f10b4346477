"""What stands before every page: names it answers to, bodies, sessions, forged forms, headers, and faults.

A request that gets past it is of a browser that came to us under a name of ours, with a session where one is needed, and,
where it changes something, from a form that this very session was given.
"""

from __future__ import annotations

import hmac
import logging
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from detector.page.sessions import Session, local_session

if TYPE_CHECKING:
    from detector.page.desk import Desk

MAX_FORM = 64 * 1024
MAX_JSON = 1024 * 1024
MAX_FIELDS = 64
MAX_URL = 4096
WEBHOOK = "/api/alertmanager"
OPEN = ("/login", "/static/", WEBHOOK)
"""What needs no session."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "X-Robots-Tag": "noindex",
}
OUT_OF_DATE = (
    "It was opened in an earlier session, or before the service was started. Nothing was changed: go back, reload, and send "
    "it again."
)
SESSION_OVER = "Nothing was changed. Go back: what you wrote still stands there. Copy it, reload, log in, and send it again."
_ADDRESS = re.compile(r"\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:.]+\]")
_BOUNCE = '<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=0><title>nigrani</title><a href="">Go on</a>'

log = logging.getLogger(__name__)


class Refused(Exception):  # noqa: N818 - an answer, no fault of ours
    """A request that is not carried out, and how that is told."""

    def __init__(self, status: int, title: str, text: str = "") -> None:
        super().__init__(title)
        self.status, self.title, self.text = status, title, text


class Guard:
    """ASGI middleware, the outermost."""

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        self._app = app
        self._desk = desk
        self._everyone = local_session() if desk.users is None else None
        self._names = {"localhost", desk.settings.host, *desk.settings.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever it is."""
        if scope["type"] != "http":
            return
        headers = self._with_headers(send)
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await headers(message)

        try:
            await self._answer(scope, receive, watched)
        except ClientDisconnect:
            return
        except Exception:  # a request that was not foreseen ends no service
            log.exception("a page could not be made: %s", scope["path"])
            if not started:
                text = "Something went wrong here, and nothing was changed by halves. The service's log says what."
                await PlainTextResponse(text, 500)(scope, receive, watched)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        refusal = self._refusal(request)
        if refusal is not None:
            await PlainTextResponse(refusal.title, refusal.status)(scope, receive, send)
            return
        scope["state"] = {"session": self._session(request), "form": {}, "body": b""}
        session: Session | None = scope["state"]["session"]
        if session is None and not scope["path"].startswith(OPEN):
            answer = await self._turn_away(request)
            await answer(scope, receive, send)
            return
        try:
            if request.method == "POST":
                await self._read(request, session)
        except Refused as refused:
            answer = await run_in_threadpool(self._desk.refusal, request, refused)
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, request: Request) -> Refused | None:
        """Of what we do not even look into."""
        headers = request.headers
        if not self._ours(headers.get("host", "")):
            return Refused(421, "This is not a name of this page; page.hosts lists those that are.")
        if len(request.scope.get("raw_path", b"")) + len(request.scope["query_string"]) > MAX_URL:
            return Refused(414, "Address too long")
        if request.method not in {"GET", "HEAD", "POST"}:
            return Refused(405, "Method not allowed")
        if request.method == "POST" and request.scope["path"] != WEBHOOK and not self._same_origin(headers):
            return Refused(403, "A form of another site was sent here; nothing was changed.")
        return None

    def _ours(self, host: str) -> bool:
        """A plain address cannot be another site's name that was turned to us; a name must be one of ours."""
        name = re.sub(r":\d{1,5}$", "", host.lower())
        return name in self._names or _ADDRESS.fullmatch(name) is not None

    @staticmethod
    def _same_origin(headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != headers.get("host"):
            return False
        return headers.get("sec-fetch-site", "same-origin") in {"same-origin", "none"}

    def _session(self, request: Request) -> Session | None:
        if self._everyone is not None:
            return self._everyone
        return self._desk.session(request)

    async def _turn_away(self, request: Request) -> Response:
        """To the login; but a link from another site comes without our cookie at first, and is followed once more."""
        fetch = request.headers.get("sec-fetch-site"), request.headers.get("sec-fetch-mode")
        if request.url.path.startswith("/api/"):
            return PlainTextResponse("Log in first", 401)
        if request.method == "POST":
            return await run_in_threadpool(self._desk.refusal, request, Refused(401, "Your session is over", SESSION_OVER))
        if fetch[0] in {"cross-site", "same-site"} and fetch[1] == "navigate":
            return Response(_BOUNCE, media_type="text/html")
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(path, safe='')}", 303)

    async def _read(self, request: Request, session: Session | None) -> None:
        """The body, and of a form its proof. Raises Refused."""
        webhook = request.scope["path"] == WEBHOOK
        most = MAX_JSON if webhook else MAX_FORM
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise Refused(413, "Too much at once", f"At most {most // 1024} KB are taken.")
        request.scope["state"]["body"] = bytes(body)
        if webhook:
            return
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise Refused(415, "This is no form")
        try:
            form = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"))
        except ValueError:
            raise Refused(400, "This form cannot be read") from None
        request.scope["state"]["form"] = form
        if session is not None and not hmac.compare_digest(form.pop("csrf", "").encode(), session.csrf.encode()):
            raise Refused(403, "This form is out of date", OUT_OF_DATE)

    def _with_headers(self, send: Send) -> Send:
        secure = self._desk.settings.tls.certificate is not None

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._desk.tally[f"{message['status'] // 100}xx"] += 1
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
                if secure:
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
            await send(message)

        return sending
