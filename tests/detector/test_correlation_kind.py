"""What each type of correlation keeps, against plain arithmetic; bounds; order; and that kept state goes on."""

from __future__ import annotations

import statistics
from math import ceil

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.correlation_kind import KINDS, MAX_TIMES, MAX_VALUES, Expression, Item, Plan, Window

STEPS = 10


def window(kind: str, **plan: object) -> Window:
    return KINDS[kind](Plan(kind, (), 60, **plan), STEPS)  # type: ignore[arg-type]


def fill(one: Window, *values: tuple[int, object]) -> Window:
    for step, value in values:
        one.add(step, Item(1, (value,), 0, float(step)))
    return one


class TestNumbers:
    def test_sum_and_average(self) -> None:
        values = [(1, 10), (2, 20), (2, 5), (3, None), (12, 1)]
        assert fill(window("value_sum"), *values).count(12) == 1
        assert fill(window("value_sum"), *values).count(11) == 26
        assert fill(window("value_sum"), *values).count(10) == 36
        assert fill(window("value_avg"), *values).count(10) == 9
        assert fill(window("value_sum"), *values).oldest() == 1

    def test_nothing_is_compared_where_there_is_no_value(self) -> None:
        for kind in ("value_sum", "value_avg", "value_median", "value_percentile"):
            assert fill(window(kind), (1, None)).count(1) is None

    def test_median_is_the_middle_or_the_mean_of_two(self) -> None:
        assert fill(window("value_median"), (1, 5), (2, 1), (3, 9)).count(3) == 5
        assert fill(window("value_median"), (1, 5), (2, 1), (3, 9), (3, 6)).count(3) == 5.5

    def test_percentile_is_a_value_that_was_there(self) -> None:
        values = [(1, number) for number in range(1, 101)]
        assert fill(window("value_percentile", percentile=95), *values).count(1) == 95
        assert fill(window("value_percentile", percentile=1), *values).count(1) == 1
        assert fill(window("value_percentile", percentile=100), *values).count(1) == 100

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 30), st.integers(-5, 5)), min_size=1, max_size=60))
    def test_agrees_with_arithmetic_in_any_order(self, values: list[tuple[int, int]]) -> None:
        kinds = ("value_sum", "value_avg", "value_median", "value_percentile")
        windows = {kind: window(kind, percentile=90) for kind in kinds}
        newest = 0
        for number, (step, value) in enumerate(values):
            newest = max(newest, step)
            there = [other for when, other in values[: number + 1] if when > newest - STEPS]
            if step <= newest - STEPS:  # a correlation does not hand on what is too late
                continue
            found = {}
            for kind, one in windows.items():
                fill(one, (step, value))
                found[kind] = one.count(newest)
            seen = sorted(other for when, other in kept(values[: number + 1]) if when > newest - STEPS)
            assert len(there) >= len(seen)
            assert found["value_sum"] == sum(seen)
            assert found["value_avg"] == pytest.approx(sum(seen) / len(seen))
            assert found["value_median"] == statistics.median(seen)
            assert found["value_percentile"] == seen[ceil(0.9 * len(seen)) - 1]

    def test_values_are_bounded_and_the_oldest_goes(self) -> None:
        one = window("value_median")
        forgotten = sum(one.add(number // 1000, Item(1, (number,), 0, 0.0)) for number in range(MAX_VALUES + 500))
        assert forgotten == 500
        assert len(one) == MAX_VALUES
        assert one.count(1) == 500 + (MAX_VALUES - 1) / 2


def kept(values: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What was not too late when it came."""
    found, newest = [], 0
    for step, value in values:
        newest = max(newest, step)
        if step > newest - STEPS:
            found.append((step, value))
    return found


def matches(kind: str, expression: Expression, *moments: tuple[int, float], newest: int = 5) -> bool:
    one = window(kind, expression=expression)
    for base, when in moments:
        one.add(int(when), Item(1, (), base, when))
    return one.count(newest) == 1


A_AND_B: Expression = ("and", (0, 1))


class TestTemporal:
    def test_all_are_awaited_in_any_order(self) -> None:
        assert not matches("temporal", A_AND_B, (0, 1.0))
        assert matches("temporal", A_AND_B, (0, 1.0), (1, 2.0))
        assert matches("temporal", A_AND_B, (1, 1.0), (0, 2.0))

    def test_in_order(self) -> None:
        assert matches("temporal_ordered", A_AND_B, (0, 1.0), (1, 1.5))
        assert not matches("temporal_ordered", A_AND_B, (1, 1.0), (0, 1.5))
        assert matches("temporal_ordered", A_AND_B, (1, 1.0), (0, 1.5), (1, 1.6))
        assert matches("temporal_ordered", A_AND_B, (0, 1.0), (1, 1.0)), "of one moment is in order"

    def test_order_is_that_of_the_events_and_not_of_their_arrival(self) -> None:
        assert matches("temporal_ordered", A_AND_B, (1, 2.0), (0, 1.0))

    def test_three_in_order_within_one_step(self) -> None:
        chain: Expression = ("and", (0, 1, 2))
        assert matches("temporal_ordered", chain, (2, 1.9), (0, 1.1), (1, 1.5))
        assert not matches("temporal_ordered", chain, (1, 1.1), (0, 1.5), (2, 1.9))

    def test_what_has_passed_does_not_count(self) -> None:
        assert not matches("temporal", A_AND_B, (0, 1.0), (1, 12.0), newest=12)

    def test_expressions(self) -> None:
        both: Expression = ("and", (("or", (0, 1)), ("not", (2,))))
        assert matches("temporal", both, (1, 1.0))
        assert not matches("temporal", both, (1, 1.0), (2, 1.0))
        either: Expression = ("and", (("or", (0, 1)), 2))
        assert matches("temporal_ordered", either, (0, 3.0), (1, 1.0), (2, 2.0))
        assert not matches("temporal_ordered", either, (0, 3.0), (2, 2.0))

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), max_size=30))
    def test_a_chain_is_found_where_there_is_one(self, moments: list[tuple[int, int]]) -> None:
        found = matches("temporal_ordered", ("and", (0, 1, 2)), *[(base, float(when)) for base, when in moments], newest=9)
        times = [[when for base, when in moments if base == rule] for rule in range(3)]
        there = any(a <= b <= c for a in times[0] for b in times[1] for c in times[2])
        assert found is there

    def test_matches_are_bounded_and_a_flood_hides_no_chain(self) -> None:
        one = window("temporal_ordered", expression=("and", (0, 1, 2)))
        one.add(1, Item(1, (), 0, 1.0))
        forgotten = sum(one.add(2, Item(1, (), 1, 2.0 + number / 1e6)) for number in range(10_000))
        one.add(3, Item(1, (), 2, 3.0))
        assert forgotten == 10_000 - MAX_TIMES
        assert len(one) == MAX_TIMES + 2
        assert one.count(5) == 1
        assert one.oldest() == 1


PLANS = {"temporal": {"expression": A_AND_B}, "temporal_ordered": {"expression": A_AND_B}}


@pytest.mark.parametrize("kind", KINDS)
def test_kept_state_goes_on(kind: str) -> None:
    first, second = window(kind, **PLANS.get(kind, {})), window(kind, **PLANS.get(kind, {}))
    for step, base in ((1, 0), (3, 1), (2, 0)):
        first.add(step, Item(2, (step * 10,), base, float(step)))
    first.count(3)
    second.resume(msgspec.msgpack.decode(msgspec.msgpack.encode(first.state())))
    for one in (first, second):
        one.add(11, Item(1, (7,), 1, 11.0))
    assert first.count(11) == second.count(11)
    assert (first.oldest(), len(first)) == (second.oldest(), len(second))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", ["x", 3, [[1, "a"]], {"a": 1}])
def test_a_broken_state_is_refused(kind: str, state: object) -> None:
    with pytest.raises(ValueError, match="Expected"):
        window(kind).resume(state)
