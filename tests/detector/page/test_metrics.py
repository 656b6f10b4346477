"""What the page counts of itself."""

from __future__ import annotations

from pathlib import Path
from urllib.request import urlopen

import pytest

from detector.cases.store import Store
from detector.page.desk import Desk
from detector.page.metrics import PageMetrics
from detector.page.server import PageServer
from detector.page.settings import PageSettings
from tests.detector.page.visitor import Visitor, serving


def series(page: PageServer | None) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in PageMetrics(page).collect()
        for sample in family.samples
    }


def test_all_series_are_there_at_0() -> None:
    found = series(None)
    assert len(found) == 8
    assert set(found.values()) == {0}


def test_a_page_that_is_served(store: Store) -> None:
    page = serving(store, PageSettings(listen="127.0.0.1:0"))
    with urlopen(f"{page.url}cases", timeout=10) as answer:
        answer.read()
    assert series(page)["nigrani_page_up",] == 1
    assert series(page)["nigrani_page_requests_total", "2xx"] == 1
    page.close()
    assert series(page)["nigrani_page_up",] == 0


class TestLogins:
    """Refused ones."""

    @pytest.fixture
    def settings(self, users_file: Path) -> PageSettings:
        return PageSettings(users=users_file)

    def test_they_are_counted(self, visitor: Visitor, desk: Desk) -> None:
        visitor.login("view", "wrong")
        assert desk.tally["login"] == 1
        assert desk.tally["4xx"] == 1
