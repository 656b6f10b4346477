"""How far the furthest member is from the others, against plain arithmetic, whatever the values are."""

from __future__ import annotations

import math
import statistics

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.correlation_kind import Item, Plan
from detector.outlier import LEAST_DEVIATION, MAX_MEMBERS, NORMAL, ValueOutlier


def window(others: int = 3) -> ValueOutlier:
    return ValueOutlier(Plan("value_outlier", (), 60, others=others), 10)


def fill(values: dict[str, float], one: ValueOutlier | None = None) -> ValueOutlier:
    one = window() if one is None else one
    for who, value in values.items():
        one.add(1, Item(1, (value, who), 0, 1.0))
    return one


def distances(values: dict[str, float]) -> dict[str, float]:
    found = {}
    for who, value in values.items():
        others = [other for name, other in values.items() if name != who]
        middle = statistics.median(others)
        spread = NORMAL * statistics.median(abs(other - middle) for other in others)
        found[who] = abs(value - middle) / max(spread, LEAST_DEVIATION * abs(middle), 1e-12)
    return found


@settings(deadline=None)
@given(st.dictionaries(st.text(min_size=1), st.floats(-1e6, 1e6), min_size=4, max_size=40))
def test_agrees_with_arithmetic(values: dict[str, float]) -> None:
    """The member that is furthest out is the least or the greatest, or as far out as one of them."""
    ends = {who for who in values if values[who] in {min(values.values()), max(values.values())}}
    assert fill(values).count(1) == pytest.approx(max(distances(values)[who] for who in ends))


def test_one_that_is_far_out_does_not_widen_the_range() -> None:
    one = fill({"a": 1.9, "b": 2.2, "c": 2.0, "d": 31.0, "e": 2.1})
    count = one.count(1)
    assert count is not None
    assert count > 100
    assert one.told() == "d has 31, the others about 2.05"


def test_few_others_are_not_judged() -> None:
    assert fill({"a": 1, "b": 2, "c": 900}).count(1) is None
    assert fill({"a": 1, "b": 2, "c": 900}, window(others=2)).count(1) is not None


def test_the_newest_value_of_a_member_counts() -> None:
    one = fill({"a": 2, "b": 2, "c": 2, "d": 900})
    one.add(2, Item(1, (2, "d"), 0, 2.0))
    one.add(1, Item(1, (900, "d"), 0, 1.0))
    assert one.count(2) == 0


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e308])
def test_what_is_no_number_is_far_out(value: float) -> None:
    count = fill({"a": 2.0, "b": 2.1, "c": 2.2, "d": value}).count(1)
    assert count is not None
    assert count > 6


@pytest.mark.parametrize("value", [(None, "a"), (1.0, ""), (1.0, None)])
def test_what_is_of_nobody_is_none(value: tuple[object, object]) -> None:
    one = window()
    assert one.add(1, Item(1, value, 0, 1.0)) == 0
    assert len(one) == 0


def test_members_pass_and_the_cap_holds() -> None:
    one = fill({"a": 1, "b": 1, "c": 1, "d": 1})
    assert one.oldest() == 1
    assert one.count(11) is None
    assert len(one) == 0
    dropped = sum(one.add(12, Item(1, (1, f"m{number}"), 0, 12.0)) for number in range(MAX_MEMBERS + 5))
    assert (len(one), dropped) == (MAX_MEMBERS, 5)


def test_kept_state_goes_on() -> None:
    one = fill({"a": 2, "b": 2.5, "c": 2, "d": 9})
    twin = window()
    twin.resume(msgspec.msgpack.decode(msgspec.msgpack.encode(one.state())))
    assert twin.count(1) == one.count(1)
    with pytest.raises(msgspec.ValidationError):
        twin.resume([["a"]])
