"""A browser as far as the page's own answers go: the whole application, asked without a network between."""

from __future__ import annotations

import asyncio
import html
import json
import re
from typing import Any, NamedTuple
from urllib.parse import unquote, urlencode, urlsplit

from detector.cases.store import Store
from detector.page.app import make_app
from detector.page.desk import Desk
from detector.page.server import PageServer
from detector.page.settings import PageSettings
from tests.detector.cases.made import NOW

CSRF = re.compile(r'name="csrf" value="([^"]+)"')


def serving(store: Store, settings: PageSettings) -> PageServer:
    """The page of a store, served."""
    return PageServer(settings, lambda: Desk(store, settings))


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """Of the body."""
        return self.body.decode()

    @property
    def words(self) -> str:
        """What a person reads of it, in one line."""
        visible = re.sub(r"<script.*?</script>|<[^>]+>", " ", self.text, flags=re.DOTALL)
        return " ".join(html.unescape(visible).split())


class Visitor:
    """Keeps cookies and follows nothing by itself."""

    def __init__(self, desk: Desk, host: str = "localhost:9466", client: str = "127.0.0.1", rest: float = 0.0) -> None:
        self.desk = desk
        self.cookies: dict[str, str] = {}
        self._app = make_app(desk, rest)
        self._host = host
        self._client = client
        self._loop = asyncio.new_event_loop()

    def close(self) -> None:
        self._loop.close()

    def get(self, address: str, **headers: str) -> Answer:
        """Ask for a page."""
        return self._ask("GET", address, b"", headers)

    def post(self, address: str, form: dict[str, str] | None = None, *, csrf: str | None = None, **headers: str) -> Answer:
        """Send a form, with the proof that the session was given."""
        proof = csrf if csrf is not None else self.csrf()
        body = urlencode({**({"csrf": proof} if proof else {}), **(form or {})}).encode()
        return self._ask("POST", address, body, {"content-type": "application/x-www-form-urlencoded", **headers})

    def send(self, address: str, body: bytes, method: str = "POST", **headers: str) -> Answer:
        """Send anything."""
        return self._ask(method, address, body, headers)

    def csrf(self) -> str:
        """Of the session, out of a page that has a form."""
        found = CSRF.search(self.get("/cases/1").text) or CSRF.search(self.get("/cases").text)
        return found[1] if found else ""

    def login(self, name: str, password: str, target: str = "") -> Answer:
        """Log in."""
        return self.post("/login", {"name": name, "password": password, "next": target}, csrf="")

    def abandon(self, address: str) -> list[dict[str, Any]]:
        """Ask for a page, and be gone before it is made; what was sent to nobody."""
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        self._loop.run_until_complete(self._app(self._scope("GET", address, {}), receive, send))
        return sent

    def _ask(self, method: str, address: str, body: bytes, headers: dict[str, str]) -> Answer:
        return self._loop.run_until_complete(self._talk(self._scope(method, address, headers), body))

    def _scope(self, method: str, address: str, headers: dict[str, str]) -> dict[str, Any]:
        parts = urlsplit(address)
        given = {"host": self._host, **{name.replace("_", "-").lower(): value for name, value in headers.items()}}
        if self.cookies:
            given["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(parts.path),
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
            "client": (self._client, 5),
            "server": ("127.0.0.1", 9466),
        }

    async def _talk(self, scope: dict[str, Any], body: bytes) -> Answer:
        sent: list[dict[str, Any]] = []
        pieces = [body[at : at + 65_536] for at in range(0, len(body), 65_536)] or [b""]

        async def receive() -> dict[str, Any]:
            if not pieces:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        start = sent[0]
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
        if "set-cookie" in headers:
            name, _, rest = headers["set-cookie"].partition("=")
            value = rest.partition(";")[0]
            self.cookies.pop(name, None)
            if value.strip('"'):
                self.cookies[name] = value
        return Answer(start["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))


def notice(summary: str = "An agent is silent") -> bytes:
    """What Alertmanager posts of trouble in the pipeline."""
    labels = {"alertname": "AgentSilent", "severity": "high"}
    one = {"status": "firing", "labels": labels, "annotations": {"summary": summary}, "startsAt": NOW.isoformat()}
    whole = {
        "version": "4",
        "groupKey": "{}:{alertname='AgentSilent'}",
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "nigrani",
        "groupLabels": {"alertname": "AgentSilent"},
        "commonLabels": labels,
        "commonAnnotations": {"summary": summary},
        "externalURL": "",
        "alerts": [{**one, "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": "1"}],
    }
    return json.dumps(whole).encode()
