"""One case: its story, why we think so, what to do, and what was done."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from detector.cases.case import (
    AUTHORITIES,
    DEADLINE_STATES,
    MAX_PAGE,
    SEVERITIES,
    VERDICTS,
    Case,
    Filter,
    Finding,
)
from detector.page import reasonplot, story, timeline
from detector.page.guard import Refused
from detector.page.query import LARGEST
from detector.page.reasonplot import ReasonPlot
from detector.page.story import Story
from detector.page.text import tokens
from detector.response import CARE

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from detector.alert import Reason
    from detector.page.desk import Desk

MAX_TOKENS = 30
DRAWN = 5 * MAX_PAGE
"""Findings of a case in its story, the newest."""
SHOWN = 12
"""Findings of a case told in full, the most severe first."""
DONE = {
    "acknowledged": "The case is yours now.",
    "assigned": "Assigned.",
    "noted": "The note is kept.",
    "closed": "Closed.",
    "reopened": "Open again.",
    "suppressed": "Findings like these are kept silently from now on, until the time you set.",
    "step": "Noted.",
    "deadline": "The report's state is kept.",
}
"""What a page says after an action; the address names only the word."""


_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


class Told(NamedTuple):
    """One finding in full."""

    finding: Finding
    story: Story
    plots: list[tuple[Reason, ReasonPlot]]
    alike: int
    """How many more of its kind and device are in the case."""


def show(desk: Desk, request: Request) -> Response:
    """The page of a case. A read is history too: the first of a session, and of each hour."""
    case = found(desk, request)
    desk.viewed(request.state.session, f"case {case.number}", case.number, "viewed")
    findings, total = _findings(desk, case)
    told = [tell(desk, one, alike) for one, alike in _chosen(findings)]
    return desk.page(
        request,
        "case.html",
        case=case,
        told=told,
        drawn=len(findings),
        inside=total,
        timeline=timeline.draw(findings, desk.times.zone),
        table=findings[:100],
        care=CARE,
        steps=steps(told),
        ticked=desk.store.steps(case.number),
        history=desk.store.history(case.number),
        related=desk.store.related(case.number),
        done=DONE.get(request.query_params.get("done", ""), ""),
        verdicts=VERDICTS,
        authorities=AUTHORITIES,
        deadline_states=DEADLINE_STATES,
        runbooks=_runbooks(desk, case, told),
        tokens=_tokens(case, told),
    )


def found(desk: Desk, request: Request) -> Case:
    """The case that the address names. Raises Refused."""
    number = int(request.path_params["number"])
    case = desk.store.case(number) if number <= LARGEST else None
    if case is None:
        raise Refused(404, f"There is no case {number}", "It may be gone with its age: closed cases are kept for a year.")
    return case


def tell(desk: Desk, finding: Finding, alike: int = 0) -> Told:
    """A finding with all that is in it."""
    whole = desk.store.finding(finding.uid) or finding
    told = story.read(whole.ocsf)
    return Told(whole, told, [(reason, reasonplot.draw(reason)) for reason in told.reasons], alike)


def steps(told: Iterable[Told]) -> list[tuple[str, list[str]]]:
    """Title → first steps of each finding, each step once; the care for patients stands apart."""
    seen = {CARE}
    found = []
    for one in told:
        new = [step for step in dict.fromkeys(one.story.first_steps) if step not in seen]
        seen.update(new)
        if new:
            found.append((one.finding.title, new))
    return found


def _findings(desk: Desk, case: Case) -> tuple[list[Finding], int]:
    """The newest DRAWN, and how many there are."""
    found: list[Finding] = []
    page = desk.store.findings(Filter(case=case.number), limit=MAX_PAGE)
    found.extend(page.items)
    while page.after and len(found) < DRAWN:
        page = desk.store.findings(Filter(case=case.number), limit=MAX_PAGE, after=page.after)
        found.extend(page.items)
    return found, page.total


def _chosen(findings: Sequence[Finding]) -> list[tuple[Finding, int]]:
    """One of each kind and device, of too many devices one of each kind; and how many more there are of it.

    Of a group the most severe, and of those the first.
    """
    apart = len({(one.kind, one.device) for one in findings}) <= SHOWN
    groups: dict[tuple[str, str], list[Finding]] = {}
    for one in sorted(findings, key=lambda one: one.when):
        groups.setdefault((one.kind, one.device if apart else ""), []).append(one)
    ranked = sorted(groups.values(), key=lambda group: (-_worst(group), group[0].when))
    return [(max(group, key=lambda one: SEVERITIES.index(one.severity)), len(group) - 1) for group in ranked[:SHOWN]]


def _worst(group: Iterable[Finding]) -> int:
    return max(SEVERITIES.index(one.severity) for one in group)


def _runbooks(desk: Desk, case: Case, told: Iterable[Told]) -> list[tuple[str, str]]:
    """Name and title of each runbook that is here: those that the findings point to, of trouble the alerts' own."""
    names = [one.story.runbook for one in told]
    if case.source == "pipeline":
        names += [_CAPITAL.sub("-", kind.removeprefix("Nigrani")).lower() for kind in case.kinds]
    return [(book.name, book.title) for name in dict.fromkeys(names) if (book := desk.runbooks.find(name)) is not None]


def _tokens(case: Case, told: Iterable[Told]) -> list[str]:
    """Those that the case names, which somebody may have to reveal."""
    texts = (text for one in told for text in (one.finding.device, *one.story.because, *one.story.about))
    return tokens((case.device, *texts))[:MAX_TOKENS]
