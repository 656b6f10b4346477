"""How an outbreak comes together in the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bench.cases import storm
from detector.cases.case import ACTIVE, Filter
from detector.cases.store import Store
from detector.cases.taking import MAX_TOLD
from tests.detector.cases.made import Clock, finding


def test_cases_that_nobody_has_taken_are_merged_into_an_outbreak(store: Store) -> None:
    store.add([finding("sweep", "ip:a"), finding("sweep", "ip:b", minutes=1, level="high")])
    store.add([finding("sweep", "ip:c", minutes=2), finding("copy", "ip:b", minutes=3)])
    case, gone = store.case(1), store.case(2)
    assert case is not None
    assert gone is not None
    assert (case.findings, case.devices, case.outbreak, case.severity, case.kinds) == (4, 3, True, "high", ("sweep", "copy"))
    assert (gone.state, gone.findings, gone.verdict, gone.deadlines) == ("closed", 0, "", ())
    assert store.history(2)[-1].data == {"into": 1}
    assert {found.case for found in store.findings().items} == {1}
    assert store.cases(Filter(device="ip:b")).total == 1
    assert len(case.deadlines) == 2


def test_what_a_person_has_taken_is_left_to_them(store: Store) -> None:
    store.add([finding("sweep", "ip:a"), finding("sweep", "ip:b", minutes=1)])
    store.acknowledge(2, "asha")
    store.add([finding("sweep", "ip:c", minutes=2), finding("sweep", "ip:d", minutes=3)])
    assert [(case.number, case.findings, case.state) for case in store.cases().items] == [
        (1, 3, "open"),
        (2, 1, "acknowledged"),
    ]


def test_a_storm_ends_as_few_cases_with_a_short_history(store: Store) -> None:
    alerts = list(storm(5000, devices=300))
    for at in range(0, len(alerts), 500):
        store.add(alerts[at : at + 500])
    assert store.cases().total <= 20
    assert store.cases(Filter(state=ACTIVE)).total <= 3
    assert sum(case.findings for case in store.cases().items) == 5000
    assert sum(len(store.history(case.number)) for case in store.cases().items) < 60


def test_a_case_of_many_kinds_tells_of_the_first_alone(store: Store) -> None:
    store.add([finding(f"kind_{number}", "ip:a", minutes=number) for number in range(50)])
    case = store.case(1)
    assert case is not None
    assert (case.findings, len(case.kinds)) == (50, 20)
    assert len(store.history(1)) == MAX_TOLD


def test_one_more_of_a_large_case_writes_little(store: Store) -> None:
    alerts = list(storm(2000, devices=300))
    store.add(alerts)
    writer = store._database._writer
    before = writer.total_changes
    store.add([finding("sweep", "ip:new", minutes=1)])
    assert writer.total_changes - before < 20


def test_a_clock_that_is_years_ahead_scatters_nothing(store: Store, clock: Clock) -> None:
    years = 10 * 365 * 24 * 60
    for number in range(5):
        store.add([finding("sweep", "ip:a", minutes=number), finding("login", "ip:a", minutes=years + number)])
    (case,) = store.cases().items
    assert (case.findings, case.last <= clock() + timedelta(days=1)) == (10, True)
    assert store.add([finding("copy", "ip:a", minutes=9)]) == 1
    assert store.cases().total == 1


def test_what_a_clock_of_long_ago_logged_is_taken(store: Store) -> None:
    """The detector's was wrong when it told it; the event's own time is of today."""
    assert store.add([finding("sweep", "ip:a", logged=datetime(2001, 1, 1, tzinfo=UTC))]) == 1
    assert store.add([finding("login", "ip:a", minutes=-400 * 24 * 60, logged=datetime(2001, 1, 1, tzinfo=UTC))]) == 0
