"""What a person does to a case: forms in, history out, and back to the case."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse

from detector.page import text
from detector.page.guard import Refused
from detector.page.query import LARGEST
from detector.page.views.case import found

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from detector.cases.store import Store
    from detector.page.desk import Desk

LONGEST_SUPPRESSION = timedelta(days=90)
LEAST_REASON, MOST_REASON = 10, 400
MAX_TOKENS = 50

Form = Mapping[str, str]


def act(desk: Desk, request: Request) -> Response:
    """Carry out one action on a case, and show the case again."""
    case, form, user = found(desk, request), request.state.form, request.state.session.user
    action = ACTIONS.get(request.path_params["action"])
    if action is None:
        raise Refused(404, "There is no such page")
    try:
        done = action(desk.store, case.number, user.name, form)
    except ValueError as error:
        raise Refused(400, "This was not done", str(error)) from None
    place = "steps-h" if done == "step" else "done"
    return RedirectResponse(f"/cases/{case.number}?done={done}#{place}", 303)


def _acknowledge(store: Store, number: int, by: str, _form: Form) -> str:
    store.acknowledge(number, by)
    return "acknowledged"


def _assign(store: Store, number: int, by: str, form: Form) -> str:
    store.assign(number, by, form.get("to", "").strip())
    return "assigned"


def _note(store: Store, number: int, by: str, form: Form) -> str:
    store.note(number, by, _said(form, "A note needs words."))
    return "noted"


def _close(store: Store, number: int, by: str, form: Form) -> str:
    verdict = form.get("verdict", "")
    if not verdict:
        raise ValueError("Choose a verdict: it is what the budget of false alarms is counted by.")
    store.close(number, by, verdict, form.get("text", "").strip())
    return "closed"


def _reopen(store: Store, number: int, by: str, form: Form) -> str:
    store.reopen(number, by, form.get("text", "").strip())
    return "reopened"


def _step(store: Store, number: int, by: str, form: Form) -> str:
    store.step(number, by, form.get("step", ""), done=form.get("done") == "1")
    return "step"


def _deadline(store: Store, number: int, by: str, form: Form) -> str:
    store.deadline(number, by, form.get("authority", ""), form.get("state", ""), form.get("reference", "").strip())
    return "deadline"


ACTIONS: dict[str, Callable[[Store, int, str, Form], str]] = {
    "acknowledge": _acknowledge,
    "assign": _assign,
    "note": _note,
    "close": _close,
    "reopen": _reopen,
    "step": _step,
    "deadline": _deadline,
}
"""Last part of the address → what it does; each returns the word that the case's page then says."""


def suppress(desk: Desk, request: Request) -> Response:
    """Keep findings of a kind silent for a while."""
    case, form, user = found(desk, request), request.state.form, request.state.session.user
    kind, scope = form.get("kind", ""), form.get("scope", "")
    if case.source != "finding" or kind not in case.kinds or scope not in {"device", "all"}:
        raise Refused(400, "This was not done", "Choose one of the case's kinds, and this device or all devices.")
    try:
        said = _said(form, "Say why, for those who come after you.")
        device = case.device if scope == "device" else None
        desk.store.suppress(user.name, kind, device, _until(desk, form), said, case.number)
    except ValueError as error:
        raise Refused(400, "This was not done", str(error)) from None
    return RedirectResponse(f"/cases/{case.number}?done=suppressed#done", 303)


def unsuppress(desk: Desk, request: Request) -> Response:
    """Let findings be heard again, before their time."""
    number = int(request.path_params["id"])
    if number > LARGEST:
        raise Refused(404, "There is no such suppression")
    desk.store.unsuppress(number, request.state.session.user.name)
    return RedirectResponse("/suppressions?done=ended", 303)


AGENT = ("--state", "/var/lib/nigrani", "--config", "/etc/nigrani/agent.yaml")
"""Where the packages have the agent's map."""


def reveal(desk: Desk, request: Request) -> Response:
    """Note who asks for tokens' meaning and why, and show the command; nothing is opened here."""
    case, form, user = found(desk, request), request.state.form, request.state.session.user
    tokens = [name.removeprefix("token.") for name in form if name.startswith("token.")]
    reason = " ".join(form.get("reason", "").split())
    if not tokens or len(tokens) > MAX_TOKENS or not all(text.is_token(token) for token in tokens):
        raise Refused(400, "This was not done", f"Choose the tokens that are needed, at most {MAX_TOKENS}.")
    if not LEAST_REASON <= len(reason) <= MOST_REASON:
        raise Refused(400, "This was not done", f"Say why, in {LEAST_REASON} to {MOST_REASON} letters; the trail keeps it.")
    desk.store.record(case.number, user.name, "reveal-asked", f"{' '.join(tokens)}: {reason}")
    why = f"case {case.number}, {user.name}: {reason}"
    words = ["nigrani", "agent", "reveal", *tokens, *AGENT, "--reason", why, "--key", "FILE"]
    return desk.page(request, "reveal.html", case=case, tokens=tokens, command=shlex.join(words))


def _said(form: Form, otherwise: str) -> str:
    said = form.get("text", "").strip()
    if not said:
        raise ValueError(otherwise)
    return said


def _until(desk: Desk, form: Form) -> datetime:
    """The moment that was written down, else so many hours from now."""
    now, hours, moment = desk.now(), form.get("for", ""), form.get("until", "")
    try:
        if moment:
            until = datetime.fromisoformat(moment).replace(tzinfo=desk.times.zone).astimezone(UTC)
        else:
            until = now + timedelta(hours=min(int(hours), 10_000))
    except (ValueError, OverflowError):
        raise ValueError("Choose for how long, or until when.") from None
    if not now < until <= now + LONGEST_SUPPRESSION:
        raise ValueError(f"A suppression ends, within {LONGEST_SUPPRESSION.days} days: what must stay is a rule's filter.")
    return until
