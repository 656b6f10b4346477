"""Sessions end by idleness, by age and by number."""

from __future__ import annotations

from detector.page.sessions import MAX_SESSIONS, MAX_VIEWED, Sessions, local_session
from detector.page.users import User

ASHA = User("asha", "respond", "")


class Now:
    """A clock."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def test_idleness_and_age() -> None:
    now = Now()
    sessions = Sessions(60, 600, now)
    idle, busy = sessions.begin(ASHA), sessions.begin(ASHA)
    for _ in range(11):
        now.time += 50
        assert sessions.get(busy) is not None
    assert sessions.get(idle) is None
    now.time += 50
    assert sessions.get(busy) is None
    assert len(sessions) == 0


def test_an_open_page_alone_is_no_use() -> None:
    now = Now()
    sessions = Sessions(60, 600, now)
    key = sessions.begin(ASHA)
    for _ in range(5):
        now.time += 11
        assert sessions.get(key, used=False) is not None
    now.time += 11
    assert sessions.get(key, used=False) is None


def test_keys_are_long_and_differ_and_end() -> None:
    sessions = Sessions(60, 600, Now())
    first, second = sessions.begin(ASHA), sessions.begin(ASHA)
    assert first != second
    assert len(first) >= 43
    one, two = sessions.get(first), sessions.get(second)
    assert one is not None
    assert two is not None
    assert one.csrf != two.csrf
    sessions.end(first)
    assert sessions.get(first) is None
    assert sessions.get("") is None


def test_there_is_a_bound() -> None:
    sessions = Sessions(60, 600, Now())
    first = sessions.begin(ASHA)
    second = sessions.begin(ASHA)
    sessions.get(first)
    for _ in range(MAX_SESSIONS - 1):
        sessions.begin(ASHA)
    assert len(sessions) == MAX_SESSIONS
    assert sessions.get(second) is None
    assert sessions.get(first) is not None


def test_a_read_is_noted_once_an_hour() -> None:
    session = local_session()
    assert session.first_view("case 1", 0.0)
    assert not session.first_view("case 1", 3599.0)
    assert session.first_view("case 1", 3600.0)
    for number in range(MAX_VIEWED + 5):
        session.first_view(f"case {number}", 4000.0)
    assert len(session.viewed) == MAX_VIEWED
