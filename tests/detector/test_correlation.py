"""Windows, thresholds, silence and bounds of correlations."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import correlation
from detector.correlation import LATE_RUN, MAX_ENTRIES, MAX_GROUPS, Correlation, Reading, definition, reader
from detector.correlation_kind import Plan
from detector.rule import Hit, Rule
from nigrani.stream.events.flow import NetworkFlow

START = datetime(2026, 1, 1, tzinfo=UTC)
RULE = Rule(id="r", title="t", path=Path("x.yml"), unit="connections")


def flow(second: float, host: str = "h", port: int = 0, count: int = 1, name: str = "") -> NetworkFlow:
    return NetworkFlow(
        timestamp=START + timedelta(seconds=second),
        id=name or f"e{second:g}",
        sequence=0,
        agent="a",
        host=host,
        count=count,
        source=host,
        destination="d",
        destination_port=port,
    )


def counting(
    op: str = "gt",
    limit: int = 3,
    timespan: int = 60,
    kind: str = "event_count",
    group: tuple[str, ...] = ("host",),
    value: tuple[str, ...] = (),
) -> Correlation:
    names = tuple({"host": "host.id", "destination_port": "destination.port"}[part] for part in group)
    plan = Plan(kind, names, timespan, op, limit)
    return Correlation(RULE, plan, [{NetworkFlow: Reading(reader(group), reader(value))}])


def ports(op: str = "gt", limit: int = 3, timespan: int = 60) -> Correlation:
    return counting(op, limit, timespan, "value_count", value=("destination_port",))


def hits(counted: Correlation, events: Iterable[NetworkFlow]) -> list[Hit]:
    return [hit for event in events if (hit := counted.take(event))]


class TestEventCount:
    def test_fires_where_the_condition_becomes_true(self) -> None:
        found = hits(counting(), [flow(n) for n in range(10)])
        assert [hit.when for hit in found] == [START + timedelta(seconds=3)]

    def test_a_hit_tells_all_that_it_counted(self) -> None:
        hit = hits(counting(), [flow(n + 0.5) for n in range(4)])[0]
        assert hit.rule is RULE
        assert hit.host == "h"
        assert hit.count == 4
        assert hit.threshold == "4 connections within 60 s (rule: more than 3)"
        assert hit.first == START
        assert hit.when == START + timedelta(seconds=3.5)
        assert hit.event_ids == ("e0.5", "e1.5", "e2.5", "e3.5")
        assert hit.group == (("host.id", "h"),)

    def test_adds_what_the_events_stand_for(self) -> None:
        found = hits(counting(limit=30), [flow(0), flow(58, count=62)])
        assert [hit.count for hit in found] == [63]

    def test_slides(self) -> None:
        assert not hits(counting(), [flow(n * 20) for n in range(100)])
        assert hits(counting(), [flow(n * 19) for n in range(4)])

    def test_never_spans_more_than_its_timespan(self) -> None:
        assert not hits(counting(limit=1), [flow(0), flow(60)])
        assert hits(counting(limit=1), [flow(0), flow(59)])
        assert not hits(counting(limit=1, timespan=3600), [flow(0), flow(3600)])

    def test_groups_are_apart(self) -> None:
        assert not hits(counting(), [flow(n, host=f"h{n % 3}") for n in range(9)])

    def test_without_group_all_are_one(self) -> None:
        found = hits(counting(group=()), [flow(n, host=f"h{n}") for n in range(4)])
        assert [(hit.host, hit.group) for hit in found] == [("h3", ())]

    def test_at_most_ten_event_ids_all_within_the_window(self) -> None:
        found = hits(counting(limit=20), [flow(n) for n in range(30)])
        assert found[0].event_ids == tuple(f"e{n}" for n in range(11, 21))
        found = hits(counting(limit=1), [flow(0), flow(100), flow(101)])
        assert found[0].event_ids == ("e100", "e101")


class TestSilence:
    def test_one_hit_a_group_and_window(self) -> None:
        found = hits(counting(), [flow(n) for n in range(200)])
        assert [(hit.when - START).seconds for hit in found] == [3, 63, 123, 183]

    def test_other_groups_are_heard(self) -> None:
        found = hits(counting(), [flow(n / 2, host=f"h{n % 2}") for n in range(20)])
        assert [hit.host for hit in found] == ["h0", "h1"]

    def test_the_same_events_give_the_same_hits(self) -> None:
        events = [flow(n * 7 % 90, host=f"h{n % 4}") for n in range(300)]
        assert hits(counting(), events) == hits(counting(), events)


class TestOrder:
    def test_late_within_the_window_counts(self) -> None:
        assert [hit.count for hit in hits(counting(), [flow(50), flow(10), flow(30), flow(20)])] == [4]

    def test_later_than_the_window_does_not(self) -> None:
        counted = counting(limit=1)
        assert not hits(counted, [flow(100), flow(40), flow(39)])
        assert counted.forgotten.late == 2

    def test_a_clock_set_back_starts_anew(self) -> None:
        counted = counting(limit=LATE_RUN + 5)
        events = [flow(10_000_000)] + [flow(n / 10, name=str(n)) for n in range(LATE_RUN + 70)]
        assert len(hits(counted, events)) == 1
        assert counted.forgotten.late == LATE_RUN - 1

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 5)), max_size=60))
    def test_agrees_with_counting_by_hand(self, arrivals: list[tuple[int, int]]) -> None:
        counted = counting(limit=10)
        kept: list[tuple[int, int]] = []
        newest, silent_until = -1000, -1000
        for second, count in arrivals:
            hit = counted.take(flow(second, count=count))
            if kept and second <= newest - 60:
                assert hit is None
                continue
            newest = max(newest, second)
            kept.append((second, count))
            total = sum(number for when, number in kept if when > newest - 60)
            fires = total > 10 and newest >= silent_until
            assert (hit is not None) is fires
            if hit:
                assert hit.count == total
                silent_until = newest + 60

    @pytest.mark.parametrize(
        "when",
        [
            datetime(1, 1, 1),  # noqa: DTZ001 an event may claim no zone
            datetime(2026, 1, 1),  # noqa: DTZ001 as above
            datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
            datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(-timedelta(hours=14))),
        ],
    )
    def test_any_date_is_counted(self, when: datetime) -> None:
        event = msgspec.structs.replace(flow(0), timestamp=when)
        assert hits(counting(limit=0), [event])[0].when is when


class TestValueCount:
    def test_counts_different_values(self) -> None:
        assert not hits(ports(), [flow(n, port=n % 3 + 1) for n in range(50)])
        assert [hit.count for hit in hits(ports(), [flow(n, port=n + 1) for n in range(50)])] == [4]

    def test_values_pass_with_the_window(self) -> None:
        assert not hits(ports(), [flow(n * 20, port=n + 1) for n in range(50)])

    def test_seen_again_is_seen_now(self) -> None:
        events = [flow(0, port=1), flow(40, port=1), flow(70, port=2), flow(75, port=3), flow(80, port=4)]
        found = hits(ports(), events)
        assert [(hit.count, hit.first - START) for hit in found] == [(4, timedelta(seconds=40))]

    def test_late_values_count_and_do_not_age_others(self) -> None:
        assert hits(ports(), [flow(50, port=1), flow(10, port=1), flow(20, port=2), flow(69, port=3), flow(70, port=4)])

    def test_absent_values_do_not_count(self) -> None:
        zones = counting(limit=1, kind="value_count", value=("destination_zone",))
        assert not hits(zones, [flow(n) for n in range(9)])

    def test_pairs_of_values(self) -> None:
        pairs = counting(kind="value_count", value=("destination", "destination_port"))
        assert hits(pairs, [flow(n, port=n) for n in range(4)])


@pytest.mark.parametrize(
    ("op", "words", "counts"),
    [
        ("gt", "more than", [3]),
        ("gte", "at least", [2]),
        ("eq", "exactly", [2]),
        ("lt", "fewer than", [1]),
        ("lte", "at most", [1]),
        ("neq", "other than", [1]),
    ],
)
def test_comparisons(op: str, words: str, counts: list[int]) -> None:
    found = hits(counting(op, 2), [flow(n) for n in range(5)])
    assert [hit.count for hit in found] == counts
    assert f"(rule: {words} 2)" in found[0].threshold


@pytest.mark.parametrize(
    ("timespan", "words"), [(45, "45 s"), (60, "60 s"), (90, "90 s"), (120, "2 min"), (3600, "60 min"), (7200, "2 h")]
)
def test_timespans_read_well(timespan: int, words: str) -> None:
    assert f"within {words} " in hits(counting(limit=0, timespan=timespan), [flow(0)])[0].threshold


class TestKeeping:
    def test_state_goes_on_where_it_was(self) -> None:
        first, second = counting(), counting()
        hits(first, [flow(n) for n in range(3)])
        assert second.resume(first.state())
        assert [hit.count for hit in hits(second, [flow(3)])] == [4]

    def test_state_of_another_definition_is_of_no_use(self) -> None:
        first, second = counting(limit=3), counting(limit=4)
        hits(first, [flow(n) for n in range(3)])
        assert not second.resume(first.state())
        assert len(second) == 0

    def test_what_the_release_before_kept_is_of_use(self) -> None:
        kept = (
            "Plan(kind='event_count', group_by=('host.id',), timespan=60, op='gt', limit=3, percentile=50, "
            "expression=('and', ()), fields=(), basis='a') of [['NetworkFlow']]"
        )
        plan = Plan("event_count", ("host.id",), 60, "gt", 3, basis="a")
        assert definition(plan, [{NetworkFlow: None}]) == kept

    def test_a_changed_basis_is_another_definition(self) -> None:
        first = Correlation(RULE, Plan("event_count", (), 60, basis="a"), [{NetworkFlow: Reading(reader(()), reader(()))}])
        second = Correlation(RULE, Plan("event_count", (), 60, basis="b"), [{NetworkFlow: Reading(reader(()), reader(()))}])
        hits(first, [flow(0)])
        assert not second.resume(first.state())

    def test_what_is_adopted_goes_on(self) -> None:
        first, second, third = counting(), counting(), counting(limit=9)
        hits(first, [flow(n) for n in range(3)])
        second.adopt(first)
        third.adopt(first)
        assert (len(second), second.entries, len(third)) == (1, 3, 0)
        assert hits(second, [flow(3)])


class TestBounds:
    def test_100k_groups(self) -> None:
        counted = counting()
        for number in range(100_000):
            counted.take(flow(number / 1000, host=f"h{number}"))
        assert len(counted) == MAX_GROUPS
        assert counted.entries == MAX_GROUPS
        assert counted.forgotten.groups == 100_000 - MAX_GROUPS

    def test_100k_groups_of_values(self) -> None:
        counted = ports()
        for number in range(100_000):
            counted.take(flow(number / 1000, host=f"h{number}", port=1))
        assert len(counted) == MAX_GROUPS

    def test_the_group_longest_unseen_goes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(correlation, "MAX_GROUPS", 2)
        counted = counting(limit=2)
        found = hits(counted, [flow(n, host=host) for n, host in enumerate("abacab")])
        assert [hit.host for hit in found] == ["a"]
        assert list(counted._groups) == [("a",), ("b",)]
        assert counted.forgotten.groups == 2

    def test_values_of_a_group(self) -> None:
        counted = ports(limit=1000)
        for number in range(65_536):
            counted.take(flow(0, port=number))
        assert counted.entries == 2002
        assert counted.forgotten.values == 65_536 - 2002

    def test_entries_over_all_groups(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(correlation, "MAX_ENTRIES", 100)
        counted = ports(limit=1000)
        for number in range(1000):
            counted.take(flow(0, host=f"h{number // 30}", port=number))
            assert counted.entries <= 100
        assert counted.forgotten.groups > 0

    def test_steps_of_a_group(self) -> None:
        counted = counting(limit=10**9, timespan=86_400)
        for number in range(20_000):
            counted.take(flow(number * 60))
        assert counted.entries <= 120

    def test_entries_are_counted_exactly(self) -> None:
        counted = counting(limit=5)
        for number in range(5000):
            counted.take(flow(number * 37 % 4001, host=f"h{number % 7}"))
        assert counted.entries == sum(len(group.window) for group in counted._groups.values()) <= MAX_ENTRIES
