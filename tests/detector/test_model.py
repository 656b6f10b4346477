"""Every model keeps one contract; the ensemble of them keeps its own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as random_arrays

from detector.calibration import Tail
from detector.model import (
    HEAVY_ROWS,
    Ensemble,
    Member,
    Model,
    Steps,
    checked,
    knots_of,
    model_class,
    model_names,
    places,
    section,
    training_rows,
)

ROOT = Path(__file__).parents[2]
D = 5
NAMES = ("ecod", "histogram", "iforest", "mahalanobis")
FORGERIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "cut": lambda array: array[..., :-1],
    "longer": lambda array: np.concatenate([array, array], axis=-1),
    "deeper": lambda array: array[np.newaxis],
    "of another type": lambda array: array.astype(np.float16),
    "of objects": lambda array: array.astype(object),
    "of big-endian numbers": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "empty": lambda array: array[..., :0],
}


def rows(n: int, seed: int = 0, d: int = D) -> np.ndarray:
    """Normal, discrete, heavy-tailed, constant and dependent features, in that order."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    x[:, 1] = rng.integers(0, 4, n)
    x[:, 2] = rng.pareto(1.5, n)
    x[:, 3] = 7.0
    x[:, 4] = x[:, 0] * 2.0 + 0.01 * x[:, 4]
    return x


@pytest.fixture(scope="module", params=NAMES)
def model(request: pytest.FixtureRequest) -> Model:
    return model_class(request.param).fit(rows(600), 3)


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return Ensemble.fit(rows(1500), rows(800, seed=1), 3)


class TestEveryModel:
    def test_higher_is_stranger(self, model: Model) -> None:
        strange = np.array([[9.0, 3.0, 50.0, 7.0, -18.0]])
        assert model.score(strange)[0] > np.quantile(model.score(rows(500, seed=2)), 0.99)

    def test_a_row_scores_alike_in_any_company(self, model: Model) -> None:
        x = rows(2500, seed=4)
        together = model.score(x)
        assert np.allclose(together[[0, 1100, 2499]], np.concatenate([model.score(x[i : i + 1]) for i in (0, 1100, 2499)]))
        assert np.array_equal(together[:1500][::-1], model.score(x[:1500][::-1]))

    def test_shapes(self, model: Model) -> None:
        for n in (0, 1, 7):
            assert model.score(rows(n)).shape == (n,)
            assert model.contributions(rows(n)).shape == (n, D)

    def test_arrays_make_the_same_model(self, model: Model) -> None:
        again = type(model).from_arrays(model.arrays(), D)
        assert np.array_equal(again.score(rows(300)), model.score(rows(300)))
        assert np.array_equal(again.contributions(rows(300)), model.contributions(rows(300)))
        assert all(np.array_equal(array, again.arrays()[name]) for name, array in model.arrays().items())

    def test_the_same_rows_and_seed_make_the_same_arrays(self, model: Model) -> None:
        again = type(model).fit(rows(600), 3)
        assert all(np.array_equal(array, again.arrays()[name]) for name, array in model.arrays().items())

    def test_no_training_row_is_kept(self, model: Model) -> None:
        assert all(array.ndim < 2 or 600 not in array.shape for array in model.arrays().values())

    @given(x=random_arrays(np.float64, (3, D), elements=st.floats(allow_nan=False, allow_infinity=False)))
    @settings(max_examples=50, deadline=None)
    def test_any_finite_row_has_a_finite_score(self, model: Model, x: np.ndarray) -> None:
        with np.errstate(over="ignore"):  # a sum that overflows must still be clipped
            assert np.isfinite(model.score(x)).all()
            assert np.isfinite(model.contributions(x)).all()

    def test_refuses_a_missing_array(self, model: Model) -> None:
        for name in model.arrays():
            rest = {key: array for key, array in model.arrays().items() if key != name}
            with pytest.raises(ValueError, match=f"array {name} is missing"):
                type(model).from_arrays(rest, D)

    @pytest.mark.parametrize("forgery", FORGERIES)
    def test_refuses_an_array_of_another_kind(self, model: Model, forgery: str) -> None:
        for name, array in model.arrays().items():
            with pytest.raises(ValueError, match=r"array|trees"):
                type(model).from_arrays({**model.arrays(), name: FORGERIES[forgery](array)}, D)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_refuses_values_that_are_not_finite(self, model: Model, value: float) -> None:
        for name, array in model.arrays().items():
            if array.dtype.kind == "f":
                forged = array.copy()
                forged.flat[-1] = value
                with pytest.raises(ValueError, match="not finite"):
                    type(model).from_arrays({**model.arrays(), name: forged}, D)

    def test_refuses_another_number_of_features(self, model: Model) -> None:
        with pytest.raises(ValueError, match="array"):
            type(model).from_arrays(model.arrays(), 1)

    @pytest.mark.parametrize("x", [np.zeros((1, 2)), np.zeros((3, 0)), np.zeros(4), np.full((3, 2), np.nan)])
    def test_refuses_to_be_fitted_on_nothing(self, model: Model, x: np.ndarray) -> None:
        with pytest.raises(ValueError, match="fitted on"):
            type(model).fit(x, 0)

    def test_identical_rows_are_enough(self, model: Model) -> None:
        flat = type(model).fit(np.ones((20, 2)), 0)
        assert np.isfinite(flat.score(np.array([[1.0, 1.0], [2.0, -1e9]]))).all()


class TestRegistry:
    def test_knows_each_file(self) -> None:
        assert tuple(model_names()) == NAMES
        assert all(model_class(name).name == name for name in NAMES)

    @pytest.mark.parametrize("name", ["", "os", "..calibration", "ECOD"])
    def test_a_name_from_a_file_imports_nothing_else(self, name: str) -> None:
        with pytest.raises(ValueError, match="there is no model"):
            model_class(name)

    def test_scoring_imports_no_training_library(self) -> None:
        code = """
import sys
import numpy as np
from detector.model import model_class, model_names
for name in model_names():
    if name != "iforest":
        model_class(name).fit(np.eye(3), 0).score(np.eye(3))
assert not {"pyod", "sklearn", "scipy", "numba"} & set(sys.modules), sorted(sys.modules)
"""
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=ROOT)


class TestSteps:
    def test_the_place_of_a_value(self) -> None:
        steps = Steps(np.array([[1.0, 2.0, 2.0]]), np.arange(7.0)[np.newaxis])
        x = np.array([[0.0], [1.0], [1.5], [2.0], [2.5]])
        assert steps.score(x).tolist() == [0.0, 1.0, 2.0, 4.0, 6.0]

    @given(
        values=st.lists(st.floats(-100, 100), min_size=2, max_size=300),
        asked=st.lists(st.floats(-120, 120), max_size=20),
    )
    @settings(max_examples=60, deadline=None)
    def test_counts_as_a_slow_search_does(self, values: list[float], asked: list[float]) -> None:
        column = np.sort(np.array(values))
        knots = knots_of(column, 9)
        steps = Steps.of([knots], [np.arange(2.0 * len(knots) + 1)])
        x = np.array([*asked, *values])
        slow = np.searchsorted(knots, x, "left") + np.searchsorted(knots, x, "right")
        assert np.array_equal(steps.score(x[:, np.newaxis]), slow)
        assert places(column, knots).sum() == len(column)

    def test_features_with_few_values_are_padded(self) -> None:
        steps = Steps.of([np.array([0.0]), np.array([1.0, 2.0, 3.0])], [np.array([5.0, 0.0, 6.0]), np.arange(7.0)])
        assert steps.contributions(np.array([[-1.0, 1.0], [0.0, 2.5], [1.0, 9.0]])).tolist() == [[5, 1], [0, 4], [6, 6]]

    def test_knots_crowd_towards_the_tails(self) -> None:
        column = np.arange(10_000.0)
        knots = knots_of(column, 255)
        assert len(knots) <= 255
        assert knots[:4].tolist() == [0, 1, 2, 3]
        assert knots[-1] == 9_999
        assert (np.diff(np.log(knots[1:])) < np.log(2) + 1e-9).all()

    def test_refuses_knots_that_do_not_ascend(self) -> None:
        with pytest.raises(ValueError, match="does not ascend"):
            Steps.from_arrays({"knots": np.array([[2.0, 1.0]]), "steps": np.zeros((1, 5))}, 1)


def test_checked_takes_any_length_but_none() -> None:
    assert checked({"a": np.zeros(3)}, "a", np.float64, (-1,)).shape == (3,)
    with pytest.raises(ValueError, match="shape"):
        checked({"a": np.zeros(0)}, "a", np.float64, (-1,))


def test_training_rows_are_copied_to_float64() -> None:
    assert training_rows(np.ones((2, 2), dtype=np.float32)).dtype == np.float64


def test_section_needs_the_dot() -> None:
    arrays = {"flow.a": np.zeros(1), "flows.b": np.zeros(1), "flow": np.zeros(1)}
    assert set(section(arrays, "flow")) == {"a"}


class TestEnsemble:
    def test_normal_rows_have_uniform_p_values(self, ensemble: Ensemble) -> None:
        p = ensemble.p(ensemble.score(rows(4000, seed=5)).evidence)
        for share in (0.5, 0.1, 0.02):
            assert (p <= share).mean() == pytest.approx(share, rel=0.5)

    def test_strange_rows_have_small_ones(self, ensemble: Ensemble) -> None:
        x = rows(50, seed=6)
        x[:, 4] = -x[:, 4]  # each value usual, the pair not
        x[:, 2] = 1e4
        assert (ensemble.p(ensemble.score(x).evidence) < 0.01).all()

    def test_heavy_members_judge_the_strangest_only(self, ensemble: Ensemble) -> None:
        scored = ensemble.score(rows(4000, seed=7))
        assert scored.heavy.mean() == pytest.approx(0.1, abs=0.04)
        assert scored.shed == 0

    def test_a_flood_at_the_heavy_members_is_capped_and_counted(self, ensemble: Ensemble) -> None:
        flood = rows(4000, seed=8) + 50.0
        scored = ensemble.score(flood)
        assert scored.heavy.sum() == 1000
        assert scored.shed == 3000
        assert (ensemble.p(scored.evidence) < 0.01).all()

    def test_no_row_of_a_small_batch_is_shed(self, ensemble: Ensemble) -> None:
        assert ensemble.score(rows(HEAVY_ROWS, seed=8) + 50.0).shed == 0

    def test_a_row_scores_alike_in_any_company(self, ensemble: Ensemble) -> None:
        x = rows(300, seed=9)
        alone = np.concatenate([ensemble.score(row[np.newaxis]).evidence for row in x])
        assert np.allclose(ensemble.score(x).evidence, alone, rtol=0, atol=1e-12)

    def test_empty_batch(self, ensemble: Ensemble) -> None:
        assert ensemble.score(np.zeros((0, D))).evidence.shape == (0,)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_refuses_rows_that_are_not_finite(self, ensemble: Ensemble, value: float) -> None:
        with pytest.raises(ValueError, match="must be finite"):
            ensemble.score(np.full((1, D), value))

    @pytest.mark.parametrize("shape", [(3, D + 1), (3, D - 1), (D,), (1, 1, D)])
    def test_refuses_rows_of_other_features(self, ensemble: Ensemble, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match="not of the ensemble's features"):
            ensemble.score(np.zeros(shape))

    @pytest.mark.parametrize("feature", [0, 2, 3])
    def test_explains_by_the_feature_that_is_strange(self, ensemble: Ensemble, feature: int) -> None:
        row = rows(50, seed=10)[7]
        row[feature] = 500.0
        reasons = ensemble.explain(row)
        assert reasons[0][0] in ({0, 4} if feature == 0 else {feature})
        shares = [share for _, share in reasons]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) <= 1 + 1e-12

    def test_explains_a_usual_row_by_little_or_nothing(self) -> None:
        flat = Ensemble.fit(np.ones((60, 2)), np.ones((60, 2)), 0, heavy=())
        assert flat.explain(np.ones(2)) == []

    def test_arrays_make_the_same_ensemble(self, ensemble: Ensemble) -> None:
        again = Ensemble.from_arrays(ensemble.arrays(), D)
        x = rows(200, seed=11)
        assert np.array_equal(again.score(x).evidence, ensemble.score(x).evidence)
        assert again.explain(x[0]) == ensemble.explain(x[0])
        assert {name: array.tobytes() for name, array in again.arrays().items()} == {
            name: array.tobytes() for name, array in ensemble.arrays().items()
        }

    def test_without_heavy_members(self) -> None:
        light = Ensemble.fit(rows(200), rows(100, seed=1), 0, light=("ecod",), heavy=())
        again = Ensemble.from_arrays(light.arrays(), D)
        assert not again.score(rows(50)).heavy.any()

    def test_needs_a_light_member(self) -> None:
        with pytest.raises(ValueError, match="needs a light member"):
            Ensemble.fit(rows(20), rows(20), 0, light=())

    @pytest.mark.parametrize(
        ("name", "forged", "message"),
        [
            ("light", np.array(["os"]), "there is no model 'os'"),
            ("light", np.array([], dtype=np.str_), "needs a light member"),
            ("light", np.array([["ecod"]]), "list of names"),
            ("light", np.array([1.0]), "list of names"),
            ("heavy", np.array(["histogram"]), "each member once"),
            ("gate", np.array([np.nan]), "not finite"),
            ("gate", np.zeros(2), "shape"),
            ("tail.holdout", np.array([1.0, 0.0]), "ascending"),
            ("histogram.usual", np.zeros(D + 1), "model histogram: the array usual"),
            ("histogram.model.knots", np.zeros((D, 0)), "model histogram: the array knots"),
            ("iforest.tail.pareto", np.zeros(3), "model iforest: a tail's"),
        ],
    )
    def test_refuses_forged_arrays(self, ensemble: Ensemble, name: str, forged: np.ndarray, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            Ensemble.from_arrays({**ensemble.arrays(), name: forged}, D)

    def test_refuses_any_array_left_out(self, ensemble: Ensemble) -> None:
        whole: dict[str, Any] = ensemble.arrays()
        for name in whole:
            with pytest.raises(ValueError, match=r"."):
                Ensemble.from_arrays({key: array for key, array in whole.items() if key != name}, D)


def test_a_member_says_how_rare_a_score_is() -> None:
    member = Member.fit("ecod", rows(500), rows(99, seed=1), 0)
    assert isinstance(member.tail, Tail)
    assert member.evidence(np.full((1, D), 1e9))[0] > 1.9
    assert member.reasons(np.full((1, D), 1e9)).shape == (D,)
