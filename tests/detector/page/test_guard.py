"""What does not get past the door, and what every answer carries."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from detector.cases.store import Store
from detector.page.desk import Desk
from detector.page.guard import MAX_FORM, MAX_JSON
from detector.page.settings import PageSettings
from tests.detector.page.visitor import Visitor

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    "host", ["localhost:9466", "127.0.0.1:9466", "127.0.0.1", "[::1]:9466", "10.20.1.20:9466", "LOCALHOST"]
)
def test_names_that_are_ours(visitor: Visitor, host: str) -> None:
    assert visitor.get("/cases", host=host).status == 200


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:9466", "localhost.evil.example", "127.0.0.1.evil.example", "a b"]
)
def test_another_sites_name_turned_to_us_is_refused(visitor: Visitor, host: str) -> None:
    assert visitor.get("/cases", host=host).status == 421


@pytest.mark.parametrize("settings", [PageSettings(hosts=("cases.hospital.example",))])
def test_the_site_names_its_own(visitor: Visitor) -> None:
    assert visitor.get("/cases", host="cases.hospital.example:9466").status == 200


@pytest.mark.parametrize("address", ["/cases", "/nothing", "/static/page.css", "/login", "/api/cases", "/cases/99"])
def test_every_answer_has_its_headers(visitor: Visitor, address: str) -> None:
    headers = visitor.get(address).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == ("no-store" if "static" not in address else "public, max-age=31536000, immutable")
    assert "server" not in headers


@pytest.mark.parametrize("address", ["/cases", "/cases/1", "/findings", "/about", "/suppressions", "/runbooks"])
def test_no_page_has_scripts_or_styles_within(visitor: Visitor, case: int, address: str) -> None:
    text = visitor.get(address).text
    assert "style=" not in text
    assert "javascript:" not in text
    assert " on" not in {part[:3] for part in text.split('"')[::2] if part.endswith("=")}
    assert text.count("<script") == 1


def test_a_forged_form_changes_nothing(visitor: Visitor, store: Store, case: int) -> None:
    action = f"/cases/{case}/acknowledge"
    assert visitor.post(action, csrf="").status == 403
    assert visitor.post(action, csrf="guessed").status == 403
    good = visitor.csrf()
    assert visitor.post(action, csrf=good, origin="https://evil.example").status == 403
    for strange in (
        "null",
        "",
        "http://[",
        "http://[v1]",
        "http://localhost:9466.evil.example",
        "http://evil@localhost:9466",
    ):
        assert visitor.post(action, csrf=good, origin=strange).status == 403, strange
    assert visitor.post(action, csrf=good, sec_fetch_site="cross-site").status == 403
    assert visitor.post(action, csrf=good, sec_fetch_site="same-site").status == 403
    found = store.case(case)
    assert found is not None
    assert found.state == "open"
    assert visitor.post(action, csrf=good, origin="http://localhost:9466", sec_fetch_site="same-origin").status == 303


def test_reading_never_changes(visitor: Visitor, store: Store, case: int) -> None:
    for action in ("acknowledge", "close", "suppress", "reveal"):
        assert visitor.get(f"/cases/{case}/{action}").status in {404, 405}
    found = store.case(case)
    assert found is not None
    assert found.state == "open"


def test_bodies_are_bounded(visitor: Visitor, case: int) -> None:
    answer = visitor.post(f"/cases/{case}/note", {"text": "x" * MAX_FORM})
    assert answer.status == 413
    assert "At most 64 KB" in answer.words
    assert visitor.send("/api/alertmanager", b"x" * (MAX_JSON + 1), content_type="application/json").status == 413


def test_what_is_no_form_is_refused(visitor: Visitor, case: int) -> None:
    assert visitor.send(f"/cases/{case}/note", b"{}", content_type="application/json").status == 415
    assert visitor.send(f"/cases/{case}/note", b"text=\xff", **FORM).status == 400
    assert visitor.send(f"/cases/{case}/note", b"&".join(b"a%d=1" % n for n in range(99)), **FORM).status == 400


def test_other_methods_and_long_addresses(visitor: Visitor) -> None:
    assert visitor.send("/cases", b"", method="DELETE").status == 405
    assert visitor.send("/cases", b"", method="PUT").status == 405
    assert visitor.get("/cases?q=" + "x" * 5000).status == 414
    assert visitor.send("/cases", b"", method="HEAD").status == 200


def test_a_fault_of_ours_is_told_without_its_insides(visitor: Visitor, desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> None:
        raise RuntimeError("the insides")

    desk.pulse = broken  # type: ignore[assignment, return-value]
    answer = visitor.get("/cases")
    assert answer.status == 500
    assert "insides" not in answer.text
    assert "content-security-policy" in answer.headers
    assert "the insides" in caplog.text


class TestWithLogin:
    """A page that has users."""

    @pytest.fixture
    def settings(self, users_file: object) -> PageSettings:
        return PageSettings(users=users_file)  # type: ignore[arg-type]

    @pytest.fixture
    def guest(self, desk: Desk) -> Iterator[Visitor]:
        made = Visitor(desk)
        yield made
        made.close()

    @pytest.mark.parametrize(
        "address", ["/", "/cases", "/cases/1", "/findings", "/about", "/runbooks", "/nothing", "/devices/a"]
    )
    def test_nothing_is_read_without_a_session(self, guest: Visitor, case: int, address: str) -> None:
        answer = guest.get(address)
        assert answer.status == 303
        assert answer.headers["location"].startswith("/login?next=%2F")
        assert answer.body == b""

    @pytest.mark.parametrize("address", ["/cases/1/close", "/suppressions/1/end", "/logout"])
    def test_nothing_is_done_without_a_session(self, guest: Visitor, address: str) -> None:
        answer = guest.post(address, csrf="x")
        assert answer.status == 401
        assert "Your session is over Nothing was changed." in answer.words

    def test_programs_are_told_so(self, guest: Visitor) -> None:
        assert guest.get("/api/cases").status == 401
        assert guest.get("/api/pulse").status == 401

    def test_a_link_from_elsewhere_is_followed_once_more_for_its_cookie(self, guest: Visitor) -> None:
        """Browsers keep a SameSite=Strict cookie back from a click on another site's link."""
        answer = guest.get("/cases/1", sec_fetch_site="cross-site", sec_fetch_mode="navigate")
        assert answer.status == 200
        assert "refresh" in answer.text
        assert guest.get("/cases/1", sec_fetch_site="same-origin", sec_fetch_mode="navigate").status == 303
