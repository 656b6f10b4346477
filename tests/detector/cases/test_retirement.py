"""What is old goes, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from detector.cases import retirement
from detector.cases.case import Filter
from detector.cases.reading import ms
from detector.cases.store import Store
from tests.detector.cases.made import NOW, Clock, finding


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retirement, "AT_ONCE", 3)


def test_closed_cases_go_whole_and_open_ones_stay(store: Store, clock: Clock) -> None:
    store.add([finding("port_scan", "ip:a", minutes=number) for number in range(10)])
    store.add([finding("tunnel", "ip:b", level="high"), finding("copy", "ip:c")])
    store.step(1, "asha", "look", True)
    for number in (1, 2):
        store.close(number, "asha", "expected", "x")
    clock.go(days=300)
    store.note(2, "asha", "still of interest")
    assert store.retire() == 0
    clock.go(days=66)
    assert store.retire() == 1
    assert [case.number for case in store.cases().items] == [3, 2]
    assert store.history(1) == []
    assert store.steps(1) == set()
    assert store.findings(Filter(case=1)).total == 0
    assert store.findings().total == 2
    assert store.counts().retired == 1
    assert store.history(0)[-1].text == "1 closed case past the retention"
    clock.go(days=10_000)
    assert store.retire() == 1
    assert [case.number for case in store.cases().items] == [3], "an open one stays for ever"


def test_numbers_are_not_used_again(store: Store, clock: Clock) -> None:
    store.add([finding()])
    store.close(1, "asha", "expected", "x")
    clock.go(days=400)
    store.retire()
    store.add([finding("tunnel", "ip:b", minutes=60 * 24 * 400)])
    assert store.cases().items[0].number == 2


def test_suppressed_findings_of_no_case_go_too(store: Store, clock: Clock) -> None:
    store.suppress("asha", "port_scan", None, NOW + timedelta(hours=1), "a drill")
    store.add([finding("port_scan", f"ip:{number}") for number in range(7)])
    clock.go(days=366)
    store.retire()
    assert store.findings().total == 0


def test_what_was_deleted_for_its_age_does_not_come_back(store: Store, clock: Clock) -> None:
    line = finding(logged=NOW)
    store.add([line])
    store.close(1, "asha", "expected", "x")
    clock.go(days=366)
    store.retire()
    assert store.add([line]) == 0
    assert (store.findings().total, store.counts().repeated) == (0, 1)


def test_room_is_given_back(store: Store, clock: Clock) -> None:
    store.add([finding("port_scan", "ip:a", minutes=number / 60) for number in range(500)])
    store.close(1, "asha", "expected", "x")
    with store._database.read() as connection:
        before = connection.execute("PRAGMA page_count").fetchone()[0]
    clock.go(days=366)
    store.retire()
    with store._database.read() as connection:
        assert connection.execute("PRAGMA page_count").fetchone()[0] < before / 2


def test_a_case_that_is_reopened_while_it_goes_keeps_what_is_left(store: Store, clock: Clock) -> None:
    store.add([finding("port_scan", "ip:a", minutes=number) for number in range(10)])
    store.close(1, "asha", "expected", "x")
    clock.go(days=400)
    round_ = retirement.Retirement(store._database, ms(clock()), ms(clock() - timedelta(days=365)))
    assert round_._oldest() == 1
    store.reopen(1, "asha", "it came again")
    assert round_._some(retirement._OF_CLOSED, 1) == 0
    assert round_._case(1) == 0
    assert store.findings(Filter(case=1)).total == 10
