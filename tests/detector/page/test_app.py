"""Every address, and who may use it."""

from __future__ import annotations

import re
import time
from pathlib import Path
from urllib.parse import quote, urlencode

import hypothesis
import pytest
from hypothesis import strategies as st

from detector.cases.store import Store
from detector.page.app import GONE, WAYS
from detector.page.desk import Desk
from detector.page.query import FIELDS
from detector.page.settings import PageSettings
from tests.detector.page.conftest import PASSWORD
from tests.detector.page.visitor import Visitor


def test_changes_are_posted_and_never_of_a_viewer() -> None:
    for way in WAYS:
        if way.method == "POST" and way.path not in {"/login", "/logout", "/api/alertmanager"}:
            assert way.role in {"respond", "reveal"}, way.path
        if not way.role:
            assert way.path.startswith(("/login", "/static/", "/api/alertmanager")), way.path


def test_home_and_nowhere(visitor: Visitor) -> None:
    assert visitor.get("/").headers["location"] == "/cases"
    answer = visitor.get("/nowhere")
    assert answer.status == 404
    assert "There is no such page" in answer.words


def test_whatever_is_asked_the_detector_has_its_share(desk: Desk) -> None:
    """Both slots rest many times as long as they worked before a third request is worked on."""
    visitor = Visitor(desk, rest=40)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        assert visitor.get("/cases").status == 200
        times.append(time.perf_counter() - began)
    assert times[2] > 10 * min(times[:2])
    visitor.close()


def test_who_asks_and_leaves_makes_nobody_wait(desk: Desk) -> None:
    visitor = Visitor(desk)
    assert visitor.get("/cases").status == 200
    start, body = visitor.abandon("/cases")
    assert (start["status"], body["body"]) == (GONE, b"")
    visitor.close()


ANY = st.sampled_from(
    ["1", "0", "-1", "9" * 30, "all", "high", "close", "suppress", "cert-in", "true-positive", "port_scan", "device", "yes",
     "..", "ip:0123456789abcdef", "9999-12-31T23:59", "0001-01-01T00:00+14:00", "\0", "\u202e", "<b>", "'--", "a" * 300]
) | st.text(max_size=30)  # fmt: skip
WORDS = [
    *FIELDS,
    "order",
    "after",
    "done",
    "next",
    "text",
    "to",
    "for",
    "scope",
    "step",
    "reason",
    "authority",
    "reference",
    "name",
]
FORM = st.dictionaries(st.sampled_from([*WORDS, "password", "token.ip:0123456789abcdef"]), ANY, max_size=6)
HEADS = st.dictionaries(
    st.sampled_from(["origin", "host", "cookie", "range"]), st.sampled_from(["http://[", "[::1]", "nigrani=x"])
)


class TestWhateverIsAsked:
    """No answer is a fault of ours, and every one has its headers."""

    @pytest.fixture(params=["", "reveal"])
    def role(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def settings(self, users_file: Path, role: str) -> PageSettings:
        return PageSettings(users=users_file if role else None)

    @hypothesis.settings(max_examples=150, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(data=st.data())
    def test_it_is_answered(self, visitor: Visitor, case: int, role: str, data: st.DataObject) -> None:
        if role and not visitor.cookies:
            visitor.login(role, PASSWORD)
        way = data.draw(st.sampled_from(WAYS))
        path = re.sub(r"\{\w+(:\w+)?\}", lambda _: quote(data.draw(st.just("1") | ANY), safe=""), way.path)
        address = f"{path}?{urlencode(data.draw(FORM))}"
        heads = data.draw(st.just({}) | HEADS)
        if way.method == "POST" and data.draw(st.booleans()):
            answer = visitor.post(address, data.draw(FORM), **heads)
        else:
            answer = visitor.send(address, data.draw(st.binary(max_size=40)), method=way.method, **heads)
        assert answer.status < 500
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store" or path.startswith("/static/")


class TestRoles:
    """What each role may."""

    @pytest.fixture
    def settings(self, users_file: Path) -> PageSettings:
        return PageSettings(users=users_file)

    @pytest.mark.parametrize(
        ("role", "acknowledged", "revealed"), [("view", 403, 403), ("respond", 303, 403), ("reveal", 303, 200)]
    )
    def test_what_each_may(
        self, visitor: Visitor, store: Store, case: int, role: str, acknowledged: int, revealed: int
    ) -> None:
        visitor.login(role, PASSWORD)
        assert visitor.get("/cases/1").status == 200
        proof = visitor.csrf() or visitor.get("/cases").text.partition('csrf" value="')[2].partition('"')[0]
        assert visitor.post("/cases/1/acknowledge", csrf=proof).status == acknowledged
        form = {"token.ip:0123456789abcdef": "on", "reason": "report to CERT-In"}
        assert visitor.post("/cases/1/reveal", form, csrf=proof).status == revealed
        asked = [entry for entry in store.history(1) if entry.action == "reveal-asked"]
        assert [entry.by for entry in asked] == (["reveal"] if role == "reveal" else [])

    def test_a_viewer_sees_no_buttons(self, visitor: Visitor, case: int) -> None:
        visitor.login("view", PASSWORD)
        words = visitor.get("/cases/1").words
        assert "Acknowledge" not in words
        assert "Close with a verdict" not in words
        assert "Ask what a token stands for" not in words
