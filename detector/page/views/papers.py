"""A case's papers: drafts of reports to read, to take along as Markdown or PDF, and its STIX bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from detector.page import markdown
from detector.page.guard import Refused
from detector.page.views.case import found
from detector.reports import cert_in, dpdp
from detector.reports.dossier import gather

if TYPE_CHECKING:
    from starlette.requests import Request

    from detector.page.desk import Desk

DRAFTS = {"cert-in": cert_in.draft, "dpdp": dpdp.draft}
MAX_FINDINGS = 2000
"""Of a draft made here; `nigrani case report` takes more."""


def draft(desk: Desk, request: Request) -> Response:
    """The draft on a page."""
    case, authority = found(desk, request), _authority(request)
    deadline = next((one for one in case.deadlines if one.authority == authority), None)
    title, html = markdown.render(_text(desk, request, authority))
    return desk.page(request, "draft.html", case=case, authority=authority, deadline=deadline, title=title, html=html)


def draft_markdown(desk: Desk, request: Request) -> Response:
    """The draft to be worked on."""
    authority = _authority(request)
    return _file(desk, request, _text(desk, request, authority).encode(), f"{authority}.md", "text/markdown")


def draft_pdf(desk: Desk, request: Request) -> Response:
    """The draft to be printed."""
    from detector.reports import pdf  # noqa: PLC0415 - loaded only where somebody wants one

    authority = _authority(request)
    content = pdf.render(_text(desk, request, authority), desk.now())
    return _file(desk, request, content, f"{authority}.pdf", "application/pdf")


def stix(desk: Desk, request: Request) -> Response:
    """The case as a STIX 2.1 bundle, redacted."""
    from detector.reports.stix import bundle  # noqa: PLC0415 - as above

    dossier = gather(desk.store, found(desk, request).number, MAX_FINDINGS)
    content = msgspec.json.format(msgspec.json.encode(bundle(dossier.case, dossier.findings, desk.site.organisation)))
    return _file(desk, request, content, "stix.json", "application/stix+json")


def evidence(desk: Desk, request: Request) -> Response:
    """How the evidence is taken: it reads the whole bus, so it is a command's work and not a page's."""
    return desk.page(request, "evidence.html", case=found(desk, request))


def _authority(request: Request) -> str:
    authority = request.path_params["authority"]
    if authority not in DRAFTS:
        raise Refused(404, "There is no such report")
    return str(authority)


def _text(desk: Desk, request: Request, authority: str) -> str:
    dossier = gather(desk.store, found(desk, request).number, MAX_FINDINGS)
    return DRAFTS[authority](*dossier, desk.site.organisation, now=desk.now())


def _file(desk: Desk, request: Request, content: bytes, name: str, kind: str) -> Response:
    number = int(request.path_params["number"])
    desk.store.record(number, request.state.session.user.name, "exported", name)
    return Response(
        content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="case-{number}-{name}"'}
    )
