"""One finding under its own address, whole, and as it was written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.responses import Response

from detector.page.guard import Refused
from detector.page.views.case import tell
from detector.response import CARE

if TYPE_CHECKING:
    from starlette.requests import Request

    from detector.cases.case import Finding
    from detector.page.desk import Desk

NAME = re.compile(r"[0-9A-Za-z_-]{1,64}")
"""Of a finding, that may be part of a file's; a finding may come from anywhere."""


def show(desk: Desk, request: Request) -> Response:
    """Its page."""
    finding = _found(desk, request)
    told = tell(desk, finding)
    book = desk.runbooks.find(told.story.runbook)
    return desk.page(request, "finding.html", told=told, care=CARE, runbooks=[(book.name, book.title)] if book else [])


def raw(desk: Desk, request: Request) -> Response:
    """The OCSF document."""
    finding = _found(desk, request)
    name = f"finding-{finding.uid}" if NAME.fullmatch(finding.uid) else "finding"
    headers = {"Content-Disposition": f'attachment; filename="{name}.json"'}
    return Response(finding.ocsf, media_type="application/json", headers=headers)


def _found(desk: Desk, request: Request) -> Finding:
    uid = request.path_params["uid"]
    finding = desk.store.finding(uid)
    if finding is None:
        raise Refused(404, "There is no such finding", "It is not in the case store yet, or gone with its age.")
    desk.viewed(request.state.session, f"finding {uid}", finding.case or None, "viewed-finding", uid)
    return finding
