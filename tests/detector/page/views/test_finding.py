"""A finding under its own address."""

from __future__ import annotations

import json
from urllib.parse import quote

import msgspec

from detector.cases.store import Store
from tests.detector.cases.made import alert
from tests.detector.page.visitor import Visitor


def test_its_page_and_its_document(visitor: Visitor, store: Store, case: int) -> None:
    uid = store.findings().items[1].uid
    answer = visitor.get(f"/findings/{uid}")
    assert answer.status == 200
    assert "Port scan" in answer.words
    assert "Case 1" in answer.words
    document = visitor.get(f"/findings/{uid}.json")
    assert document.headers["content-disposition"] == f'attachment; filename="finding-{uid}.json"'
    assert json.loads(document.body)["finding_info"]["uid"] == uid
    assert [entry.text for entry in store.history(1) if entry.action == "viewed-finding"] == [uid]


def test_one_that_is_not_there(visitor: Visitor) -> None:
    assert visitor.get("/findings/none").status == 404
    assert visitor.get("/findings/%0d%0aSet-Cookie:x.json").status == 404


def test_an_id_of_anybodys_making_makes_no_header(visitor: Visitor, store: Store) -> None:
    whole = alert().ocsf()
    whole["metadata"]["uid"] = whole["finding_info"]["uid"] = 'a"; filename="evil.exe\r\nX: \u0101'
    store.add([msgspec.json.encode(whole)])
    for one in store.findings().items:
        answer = visitor.get(f"/findings/{quote(one.uid, safe='')}.json")
        assert answer.headers["content-disposition"] == 'attachment; filename="finding.json"'
        assert visitor.get(f"/findings/{quote(one.uid, safe='')}").status == 200
