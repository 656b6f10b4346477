"""Drafts, PDF and STIX from a case's page."""

from __future__ import annotations

import json

import pytest

from detector.cases.store import Store
from tests.detector.page.visitor import Visitor


@pytest.mark.parametrize("authority", ["cert-in", "dpdp"])
def test_a_draft_to_read_and_to_take_along(visitor: Visitor, store: Store, case: int, authority: str) -> None:
    answer = visitor.get(f"/cases/1/report/{authority}")
    assert answer.status == 200
    assert "TO FILL" in answer.words
    text = visitor.get(f"/cases/1/report/{authority}.md")
    assert text.headers["content-disposition"] == f'attachment; filename="case-1-{authority}.md"'
    assert text.text.startswith("# ")
    paper = visitor.get(f"/cases/1/report/{authority}.pdf")
    assert paper.body.startswith(b"%PDF-")
    assert [entry.text for entry in store.history(1) if entry.action == "exported"] == [
        f"{authority}.md",
        f"{authority}.pdf",
    ]


def test_stix(visitor: Visitor, case: int) -> None:
    bundle = json.loads(visitor.get("/cases/1/stix").body)
    assert bundle["type"] == "bundle"


def test_evidence_says_how_it_is_taken(visitor: Visitor, case: int) -> None:
    assert "nigrani case evidence 1 --config" in visitor.get("/cases/1/evidence").words


@pytest.mark.parametrize(
    "address",
    ["/cases/1/report/nobody", "/cases/1/report/nobody.pdf", "/cases/9/report/dpdp", "/cases/9/stix", "/cases/9/evidence"],
)
def test_what_is_not_there(visitor: Visitor, case: int, address: str) -> None:
    assert visitor.get(address).status == 404
