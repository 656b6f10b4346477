"""Logging in: sessions, bounds, and traces."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.cases.store import Store
from detector.page import users
from detector.page.desk import TRIES, Desk
from detector.page.settings import PageSettings, PageTls
from tests.detector.page.conftest import PASSWORD
from tests.detector.page.visitor import Visitor


@pytest.fixture
def settings(users_file: Path) -> PageSettings:
    return PageSettings(users=users_file)


def test_in_and_out(visitor: Visitor, store: Store, case: int) -> None:
    assert "Log in" in visitor.get("/login").words
    answer = visitor.login("respond", PASSWORD, "/cases/1")
    assert (answer.status, answer.headers["location"]) == (303, "/cases/1")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert visitor.get("/cases/1").status == 200
    assert visitor.get("/login").status == 303
    visitor.post("/cases/1/acknowledge")
    key = dict(visitor.cookies)
    assert visitor.post("/logout").headers["location"] == "/login"
    assert visitor.cookies == {}
    visitor.cookies = key
    assert visitor.get("/cases").status == 303
    acts = [(entry.by, entry.action) for entry in store.history(1)]
    assert ("respond", "viewed") in acts
    assert ("respond", "acknowledged") in acts
    assert [(entry.by, entry.action) for entry in store.history(0)] == [("respond", "logged-in"), ("respond", "logged-out")]


@pytest.mark.parametrize(
    ("name", "password"), [("respond", "wrong"), ("nobody", PASSWORD), ("", ""), ("a\u202eb", "x" * 5000)]
)
def test_every_wrong_pair_gets_one_sentence(visitor: Visitor, store: Store, name: str, password: str) -> None:
    answer = visitor.login(name, password)
    assert answer.status == 403
    assert "Name and password do not match." in answer.words
    assert "set-cookie" not in answer.headers
    assert PASSWORD not in answer.text
    (entry,) = store.history(0)
    assert (entry.action, entry.text) == ("login-refused", "from 127.0.0.1")


def test_guessing_is_bounded(visitor: Visitor, store: Store) -> None:
    for _ in range(TRIES):
        visitor.login("respond", "wrong")
    answer = visitor.login("respond", PASSWORD)
    assert answer.status == 429
    assert "Try again in 14 min" in answer.words
    assert len(store.history(0)) == TRIES


@pytest.mark.parametrize(
    ("target", "place"),
    [("/cases/7?x=1", "/cases/7?x=1"),
     ("https://evil.example", "/cases"), ("//evil.example", "/cases"), ("/\\evil", "/cases"),
     ("/a\r\nSet-Cookie: x", "/cases"), ("/login", "/cases"), ("", "/cases")],
)  # fmt: skip
def test_it_leads_inside_alone(visitor: Visitor, target: str, place: str) -> None:
    assert visitor.login("view", PASSWORD, target).headers["location"] == place


def test_sessions_end_with_the_users_line(visitor: Visitor, users_file: Path, hashed: str) -> None:
    visitor.login("reveal", PASSWORD)
    assert visitor.get("/cases").status == 200
    users.write(users_file, {"reveal": users.User("reveal", "view", hashed)})
    assert visitor.get("/cases").status == 303


def test_a_sessions_proof_is_its_own(desk: Desk, case: int) -> None:
    one, two = Visitor(desk), Visitor(desk)
    one.login("respond", PASSWORD)
    two.login("reveal", PASSWORD)
    assert one.post("/cases/1/acknowledge", csrf=two.csrf()).status == 403
    assert one.post("/cases/1/acknowledge").status == 303
    one.close()
    two.close()


def test_over_tls_the_cookie_is_secure(store: Store, users_file: Path) -> None:
    settings = PageSettings(listen="10.0.0.1:9466", tls=PageTls(Path("page.pem"), Path("page.key")), users=users_file)
    visitor = Visitor(Desk(store, settings))
    answer = visitor.login("view", PASSWORD)
    assert answer.headers["set-cookie"].startswith("__Host-nigrani=")
    assert "Secure" in answer.headers["set-cookie"]
    assert answer.headers["strict-transport-security"]
    visitor.close()


class TestWithoutUsers:
    """A page on loopback that has no login."""

    @pytest.fixture
    def settings(self) -> PageSettings:
        return PageSettings()

    def test_there_is_none(self, visitor: Visitor, case: int) -> None:
        assert visitor.get("/login").status == 303
        assert visitor.post("/login", {"name": "respond", "password": PASSWORD}).status == 404
        assert "Log out" not in visitor.get("/cases").words
