"""Times and counts as questions have them; the pages themselves are in test_store."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.cases import reading
from detector.cases.case import Filter
from detector.cases.reading import moment, ms
from detector.cases.store import Store
from tests.detector.cases.made import finding


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(9999, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis asks for it so
def test_a_time_survives_to_the_millisecond(when: datetime) -> None:
    assert moment(ms(when)) == when.replace(microsecond=when.microsecond // 1000 * 1000)


def test_a_total_is_never_more_than_is_counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_COUNTED", 3)
    store.add([finding(f"kind_{number}", f"ip:{number}") for number in range(5)])
    assert store.cases(limit=2).total == 3
    assert len(store.cases().items) == 5


@pytest.mark.parametrize(
    "asked",
    [Filter(state="half"), Filter(severity="bad"), Filter(verdict="x"), Filter(source="y")],
    ids=lambda one: repr(one)[7:20],
)
def test_a_word_that_is_unknown_is_told(store: Store, asked: Filter) -> None:
    for ask in (store.cases, store.findings):
        with pytest.raises(ValueError, match="is none of"):
            ask(asked)


def test_cases_near_in_time_of_one_kind_are_related(store: Store) -> None:
    day = 24 * 60
    store.add([finding("scan", "ip:a"), finding("scan", "ip:b", minutes=600), finding("scan", "ip:c", minutes=-9 * day)])
    assert [case.number for case in store.related(1)] == [2]
    assert store.related(3) == []
