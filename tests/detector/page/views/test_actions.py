"""What a person does, and that history has it."""

from __future__ import annotations

import shlex

import pytest

from detector.cases.case import Case, Entry
from detector.cases.store import Store
from tests.detector.cases.made import Clock, finding
from tests.detector.page.visitor import Visitor


def now(store: Store) -> Case:
    found = store.case(1)
    assert found is not None
    return found


def last(store: Store) -> Entry:
    return [entry for entry in store.history(1) if not entry.action.startswith("viewed")][-1]


def test_from_open_to_closed_and_back(visitor: Visitor, store: Store, case: int) -> None:
    answer = visitor.post("/cases/1/acknowledge")
    assert (answer.status, answer.headers["location"]) == (303, "/cases/1?done=acknowledged#done")
    assert now(store).state == "acknowledged"
    assert "The case is yours now." in visitor.get("/cases/1?done=acknowledged").words
    visitor.post("/cases/1/assign", {"to": "asha"})
    assert now(store).assignee == "asha"
    visitor.post("/cases/1/note", {"text": "Called radiology."})
    assert (last(store).action, last(store).text, last(store).by) == ("noted", "Called radiology.", "local")
    visitor.post("/cases/1/close", {"verdict": "expected", "text": "a planned scan"})
    assert (now(store).state, now(store).verdict) == ("closed", "expected")
    visitor.post("/cases/1/reopen", {"text": "it was not planned"})
    assert now(store).state == "open"


@pytest.mark.parametrize(
    ("action", "form", "words"),
    [
        ("close", {"text": "why"}, "Choose a verdict"),
        ("close", {"verdict": "nonsense", "text": "why"}, "is none of"),
        ("close", {"verdict": "expected", "text": " "}, "say in words why"),
        ("note", {"text": "  "}, "A note needs words"),
        ("reopen", {"text": "why"}, "is not closed"),
        ("assign", {"to": "a\u202eb"}, "is no name"),
        ("deadline", {"authority": "nobody", "state": "sent"}, "is none of"),
        ("suppress", {"kind": "other", "scope": "all", "for": "4", "text": "why"}, "Choose one of the case's kinds"),
        ("suppress", {"kind": "flood", "for": "4", "text": "why"}, "this device or all devices"),
        ("suppress", {"kind": "flood", "scope": "all", "for": "", "text": "why"}, "Choose for how long"),
        ("suppress", {"kind": "flood", "scope": "all", "for": "9999", "text": "why"}, "within 90 days"),
        (
            "suppress",
            {"kind": "flood", "scope": "all", "for": "", "until": "2020-01-01T00:00", "text": "why"},
            "within 90 days",
        ),
        ("suppress", {"kind": "flood", "scope": "all", "for": "4"}, "Say why"),
    ],
)
def test_what_cannot_be_done_says_why_and_changes_nothing(
    visitor: Visitor, store: Store, case: int, action: str, form: dict[str, str], words: str
) -> None:
    before = now(store)
    answer = visitor.post(f"/cases/1/{action}", form)
    assert answer.status == 400
    assert words in answer.words
    assert now(store) == before


def test_two_close_at_once_and_one_of_them_is_told(visitor: Visitor, store: Store, case: int) -> None:
    forms = [{"verdict": verdict, "text": "seen"} for verdict in ("expected", "true-positive")]
    assert [visitor.post("/cases/1/close", form).status for form in forms] == [303, 400]
    answer = visitor.post("/cases/1/close", forms[1])
    assert "case 1 is closed already" in answer.words
    assert '<a href="/cases/1">Back to case 1</a>' in answer.text
    assert now(store).verdict == "expected"


def test_an_action_that_is_none_and_a_case_that_is_not_there(visitor: Visitor, case: int) -> None:
    assert visitor.post("/cases/1/delete").status == 404
    assert visitor.post("/cases/77/note", {"text": "x"}).status == 404


def test_steps_are_ticked_on_and_off(visitor: Visitor, store: Store, case: int) -> None:
    visitor.post("/cases/1/step", {"step": "Ask the network team.", "done": "1"})
    assert store.steps(1) == {"Ask the network team."}
    visitor.post("/cases/1/step", {"step": "Ask the network team.", "done": "0"})
    assert store.steps(1) == set()
    assert last(store).action == "step-undone"


def test_a_report_was_sent(visitor: Visitor, store: Store, case: int) -> None:
    visitor.post("/cases/1/deadline", {"authority": "cert-in", "state": "sent", "reference": "CERTIn-4711"})
    deadline = next(one for one in now(store).deadlines if one.authority == "cert-in")
    assert (deadline.state, deadline.reference) == ("sent", "CERTIn-4711")
    assert "CERTIn-4711" in visitor.get("/cases/1").words


def test_suppressed_and_heard_again(visitor: Visitor, store: Store, clock: Clock, case: int) -> None:
    visitor.post("/cases/1/suppress", {"kind": "flood", "scope": "device", "for": "24", "text": "maintenance"})
    (one,) = store.suppressions()
    assert (one.kind, one.device, one.by, one.case) == ("flood", "ip:0123456789abcdef", "local", 1)
    assert (one.until - clock()).total_seconds() == 86_400
    words = visitor.get("/suppressions").words
    assert "maintenance" in words
    store.add([finding("flood", "ip:0123456789abcdef", minutes=70)])
    assert "suppressed" in visitor.get("/findings?suppressed=yes").words
    assert visitor.post(f"/suppressions/{one.id}/end").status == 303
    assert store.suppressions() == []
    assert visitor.post(f"/suppressions/{one.id}/end").status == 404
    assert visitor.post(f"/suppressions/{'9' * 30}/end").status == 404


def test_until_is_meant_in_the_sites_time(visitor: Visitor, store: Store, case: int) -> None:
    """And what somebody wrote goes before what the form chose for them."""
    form = {"kind": "flood", "scope": "all", "for": "24", "until": "2026-03-03T00:00", "text": "maintenance"}
    visitor.post("/cases/1/suppress", form)
    assert store.suppressions()[0].until.strftime("%d %H:%M") == "02 18:30"
    assert "until 2026-03-02 18:30 UTC" in store.history(1)[-1].text


class TestReveal:
    """The page opens nothing; it notes who asked, and says where."""

    def test_the_command_is_exact_and_the_asking_is_kept(self, visitor: Visitor, store: Store, case: int) -> None:
        page = visitor.get("/cases/1").text
        assert 'name="token.ip:0123456789abcdef" checked' in page
        assert 'name="token.ip:fedcba9876543210"' in page
        form = {"token.ip:0123456789abcdef": "on", "token.ip:fedcba9876543210": "on", "reason": "CERT-In asks; it's urgent"}
        answer = visitor.post("/cases/1/reveal", form)
        assert answer.status == 200
        command = next(part for part in answer.text.split("</code>") if 'id="command"' in part).partition('id="command">')[2]
        words = shlex.split(command.replace("&#39;", "'").replace("&#34;", '"'))
        assert words == [
            "nigrani", "agent", "reveal", "ip:0123456789abcdef", "ip:fedcba9876543210",
            "--state", "/var/lib/nigrani", "--config", "/etc/nigrani/agent.yaml", "--reason",
            "case 1, local: CERT-In asks; it's urgent", "--key", "FILE",
        ]  # fmt: skip
        assert last(store).action == "reveal-asked"
        assert "ip:fedcba9876543210: CERT-In asks" in last(store).text

    @pytest.mark.parametrize(
        "form",
        [
            {"reason": "a good reason it is"},
            {"token.ip:0123456789abcdef": "on", "reason": "short"},
            {"token.ip:0123456789abcdef; reboot": "on", "reason": "a good reason it is"},
            {"token.--key=/etc/shadow": "on", "reason": "a good reason it is"},
        ],
    )
    def test_what_is_refused(self, visitor: Visitor, store: Store, case: int, form: dict[str, str]) -> None:
        assert visitor.post("/cases/1/reveal", form).status == 400
        assert not [entry for entry in store.history(1) if entry.action == "reveal-asked"]
