"""What Alertmanager posts."""

from __future__ import annotations

import hmac
import logging
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from detector.page.desk import Desk

log = logging.getLogger(__name__)


def take(desk: Desk, request: Request) -> Response:
    """Into the store. What is refused says why, for Alertmanager's log."""
    reason = _refusal(desk, request)
    if reason:
        return PlainTextResponse(f"{reason}\n", 403)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return PlainTextResponse("Content-Type must be application/json\n", 415)
    try:
        desk.store.notify(request.state.body)
    except (ValueError, RecursionError) as error:
        return PlainTextResponse(f"{error}\n", 400)
    return PlainTextResponse("taken\n")


def _refusal(desk: Desk, request: Request) -> str:
    path = desk.settings.webhook_token
    if path is None:
        return (
            "" if desk.settings.loopback else "page.webhook_token is not set: elsewhere than on loopback a token is needed"
        )
    try:
        token = path.read_bytes()[:4096].strip()
    except OSError as error:
        log.warning("page.webhook_token %s: %s", path, error.strerror or error)
        return "the token cannot be checked; see the detector's log"
    given = request.headers.get("authorization", "").encode()
    right = len(token) >= 16 and hmac.compare_digest(given, b"Bearer " + token)
    return "" if right else "the token is not the one of page.webhook_token, or that has under 16 characters"
