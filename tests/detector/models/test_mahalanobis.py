"""Mahalanobis sees what no feature shows alone."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

from detector.models.mahalanobis import FARTHEST, RIDGE, Mahalanobis


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal((500, 4)) @ rng.standard_normal((4, 4)) * [1.0, 10.0, 0.1, 1.0] + [0.0, 5.0, 0.0, 1e6]


@pytest.fixture(scope="module")
def model(x: np.ndarray) -> Mahalanobis:
    return Mahalanobis.fit(x)


def test_equals_scipy_with_the_same_ridge(x: np.ndarray, model: Mahalanobis) -> None:
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    inverse = np.linalg.inv(np.corrcoef(x.T) + RIDGE * np.eye(4))
    assert np.allclose(model.score(x[:50]), [mahalanobis(row, np.zeros(4), inverse) ** 2 for row in z[:50]])


def test_contributions_sum_to_the_score(x: np.ndarray, model: Mahalanobis) -> None:
    assert np.allclose(model.contributions(x).sum(axis=1), model.score(x))


def test_a_pair_that_parts_is_strange_though_each_is_usual() -> None:
    first = np.random.default_rng(0).standard_normal(1000)
    model = Mahalanobis.fit(np.column_stack([first, first]))
    together, apart = model.score(np.array([[1.0, 1.0], [1.0, -1.0]]))
    assert apart > 100 * together


def test_a_constant_feature_that_moves_is_strange() -> None:
    x = np.random.default_rng(0).standard_normal((200, 2))
    x[:, 1] = 1e8
    model = Mahalanobis.fit(x)
    assert model.score(np.array([[0.0, 1e8 + 1]]))[0] > 500


def test_values_beyond_measure_count_as_the_farthest(model: Mahalanobis) -> None:
    far = model.score(np.array([[1e300, 0.0, 0.0, 0.0], [1e200, 0.0, 0.0, 0.0]]))
    assert far[0] == far[1]
    assert far[0] <= FARTHEST**2 * np.abs(model.precision).sum()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("scale", lambda array: array * 0),
        ("scale", lambda array: -array),
        ("precision", lambda array: -array),
        ("precision", lambda array: np.triu(array) * 1.5),
        ("precision", lambda array: array * 0),
    ],
)
def test_refuses_what_is_no_distance(model: Mahalanobis, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    arrays = model.arrays()
    with pytest.raises(ValueError, match=f"array {name}"):
        Mahalanobis.from_arrays({**arrays, name: change(arrays[name])}, 4)
