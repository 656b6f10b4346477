"""ECOD, frozen, is PyOD's ECOD of a row that comes alone."""

import numpy as np
import pytest
from pyod.models import ecod as pyod

from detector.models.ecod import Ecod


def rows(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.standard_normal(n), rng.integers(0, 3, n), rng.lognormal(0, 2, n), np.full(n, 4.0)])


@pytest.fixture(scope="module")
def asked() -> np.ndarray:
    """Rows in range, at training values, in between, and far outside."""
    return np.concatenate([rows(20, 1), rows(10, 0), [[9, 9, 1e6, 4], [-9, -1, -1, 3], [0, 0.5, 1, 5]]])


@pytest.mark.filterwarnings("ignore:Precision loss occurred in moment calculation:RuntimeWarning")  # a constant feature
def test_equals_pyod_one_row_at_a_time(asked: np.ndarray) -> None:
    x = rows(400, 0)
    ranked = pyod.ECOD().fit(x)
    alone = [ranked.decision_function(row[np.newaxis])[0] for row in asked]
    assert np.allclose(Ecod.fit(x, most_knots=10_000).score(asked), alone, rtol=0, atol=1e-9)


def test_a_few_hundred_knots_are_as_good(asked: np.ndarray) -> None:
    x = rows(20_000, 0)
    exact, knotted = Ecod.fit(x, most_knots=100_000), Ecod.fit(x)
    assert knotted.knots.shape[1] <= 255
    assert np.abs(exact.contributions(asked) - knotted.contributions(asked)).max() < 0.1


def test_contributions_are_the_tails_and_sum_to_the_score(asked: np.ndarray) -> None:
    model = Ecod.fit(rows(400, 0))
    assert np.allclose(model.contributions(asked).sum(axis=1), model.score(asked))
    assert model.contributions(np.array([[0.0, 0.0, 1e9, 4.0]]))[0, 2] == pytest.approx(np.log(401))
    assert model.contributions(np.array([[0.0, 0.0, 1.0, 4.0]]))[0, 3] == 0
