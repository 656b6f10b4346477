"""The histogram finds gaps as well as extremes."""

import numpy as np
import pytest

from detector.models.histogram import Histogram


def test_a_gap_between_two_habits_is_as_strange_as_an_extreme() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(-10, 0.5, 500), rng.normal(10, 0.5, 500)])[:, np.newaxis]
    model = Histogram.fit(x)
    usual, gap, extreme = model.score(np.array([[10.0], [0.0], [40.0]]))
    assert gap == extreme == pytest.approx(np.log(1000.5 / 0.5))
    assert usual < 1


def test_counts_the_rows_within_half_a_deviation() -> None:
    x = np.array([0.0, 0.0, 0.0, 1.0])
    reach = x.std() / 2
    assert reach < 0.5
    score = Histogram.fit(x[:, np.newaxis]).score(np.array([[-1.0], [0.0], [0.5], [1.0], [2.0]]))
    assert np.allclose(np.exp(-score) * 4.5, [0.5, 3.5, 0.5, 1.5, 0.5])


def test_a_constant_feature_tells_its_value_from_any_other() -> None:
    score = Histogram.fit(np.full((99, 1), 3.0)).score(np.array([[3.0], [np.nextafter(3.0, 4.0)], [0.0]]))
    assert score[0] == 0
    assert score[1] == score[2] > 5


def test_contributions_sum_to_the_score() -> None:
    x = np.random.default_rng(1).standard_normal((2000, 4))
    model = Histogram.fit(x)
    assert np.allclose(model.contributions(x).sum(axis=1), model.score(x))
