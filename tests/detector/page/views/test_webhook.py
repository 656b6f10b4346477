"""What Alertmanager posts, and who may."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.cases.store import Store
from detector.page.desk import Desk
from detector.page.settings import PageSettings, PageTls
from tests.detector.page.visitor import Visitor, notice

NOTICE = notice()
PATH = "/api/alertmanager"
JSON = {"content_type": "application/json"}


def test_it_makes_a_case_once(visitor: Visitor, store: Store) -> None:
    for _ in range(3):
        assert visitor.send(PATH, NOTICE, **JSON).status == 200
    assert [case.source for case in store.cases().items] == ["pipeline"]


def test_what_is_none_says_why(visitor: Visitor) -> None:
    assert visitor.send(PATH, b"{", **JSON).status == 400
    assert visitor.send(PATH, b'{"a":' * 10_000 + b"1" + b"}" * 10_000, **JSON).status == 400
    assert (
        visitor.send(PATH, NOTICE, content_type="text/plain").status == 415
    )  # what a foreign page could make a browser send
    assert visitor.get(PATH).status in {404, 405}


def test_with_a_token(tmp_path: Path, store: Store) -> None:
    token = tmp_path / "token"
    visitor = Visitor(Desk(store, PageSettings(webhook_token=token)))
    assert visitor.send(PATH, NOTICE, **JSON).status == 403
    token.write_text("short\n")
    assert visitor.send(PATH, NOTICE, **JSON, authorization="Bearer short").status == 403
    token.write_text("a-token-of-some-length\n")
    assert visitor.send(PATH, NOTICE, **JSON).status == 403
    assert visitor.send(PATH, NOTICE, **JSON, authorization="Bearer another-token-of-length").status == 403
    assert store.cases().total == 0
    assert visitor.send(PATH, NOTICE, **JSON, authorization="Bearer a-token-of-some-length").status == 200
    visitor.close()


def test_elsewhere_than_on_loopback_it_needs_one(store: Store, users_file: Path) -> None:
    settings = PageSettings(listen="10.0.0.1:1", tls=PageTls(Path("a"), Path("b")), users=users_file)
    visitor = Visitor(Desk(store, settings))
    answer = visitor.send(PATH, NOTICE, **JSON)
    assert answer.status == 403
    assert "page.webhook_token" in answer.text
    visitor.close()


@pytest.mark.parametrize("host", ["evil.example"])
def test_another_name_is_refused_here_too(visitor: Visitor, host: str) -> None:
    assert visitor.send(PATH, NOTICE, **JSON, host=host).status == 421
