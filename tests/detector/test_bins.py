"""A histogram counts each value once, in every bucket that holds it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detector.bins import Bins

BOUNDS = (0.01, 0.1, 1.0)


@given(st.lists(st.floats(0, 5)))
def test_a_bucket_has_all_values_at_or_under_its_bound(found: list[float]) -> None:
    bins = Bins(BOUNDS)
    for value in found:
        bins.add(value)
    samples = {sample.labels.get("le", sample.name): sample.value for sample in bins.family("x", "X.").samples}
    for bound in BOUNDS:
        assert samples[repr(bound)] == sum(value <= bound for value in found)
    assert samples["+Inf"] == samples["x_count"] == len(found)
    assert abs(samples["x_sum"] - sum(found)) < 1e-9 * (1 + sum(found))


def test_two_histograms_share_nothing() -> None:
    one, other = Bins(BOUNDS), Bins(BOUNDS)
    one.add(0.5)
    assert sum(other.counts) == 0


def test_every_bucket_exists_before_anything_happens() -> None:
    assert [sample.value for sample in Bins(BOUNDS).family("x", "X.").samples] == [0] * 6
