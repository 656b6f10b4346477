"""Every address, and who may use it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from detector.cases.store import Store
from detector.page.app import WAYS
from detector.page.desk import Desk
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
