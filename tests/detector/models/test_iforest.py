"""The isolation forest, laid out flat, scores as PyOD's does."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pyod.models.iforest import IForest as PyodForest

from detector.models.iforest import IForest, average_depth


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3000, 6))
    x[:, 1] = rng.integers(0, 2, 3000)
    x[:, 2] = 0.0
    x[:, 3] *= 1e7
    return x


@pytest.fixture(scope="module")
def model(x: np.ndarray) -> IForest:
    return IForest.fit(x, 1)


@pytest.mark.parametrize(("trees", "rows_a_tree", "max_features"), [(64, 256, 1.0), (10, 100, 1.0), (20, 256, 0.5)])
def test_equals_pyod(x: np.ndarray, trees: int, rows_a_tree: int, max_features: float) -> None:
    pyod = PyodForest(n_estimators=trees, max_samples=rows_a_tree, max_features=max_features, random_state=5).fit(x)
    asked = np.concatenate([x, x * 3, np.full((1, 6), 1e30)])
    difference = IForest.from_pyod(pyod, 6).score(asked) - pyod.decision_function(asked)
    assert np.abs(difference).max() < 1e-9


def test_values_at_a_threshold_go_where_scikit_learn_sends_them(x: np.ndarray) -> None:
    pyod = PyodForest(n_estimators=20, random_state=2).fit(x)
    model = IForest.from_pyod(pyod, 6)
    cuts = [float(value) for value in pyod.estimators_[0].tree_.threshold if value != -2][:30]
    near = [np.float64(np.float32(cut)) for cut in cuts]
    asked = np.array([[value, 1.0, 0.0, value, value, value] for value in (*cuts, *near)])
    assert np.abs(model.score(asked) - pyod.decision_function(asked)).max() < 1e-9


def test_contributions_sum_to_the_exponent(x: np.ndarray, model: IForest) -> None:
    asked = np.concatenate([x[:700], [[30.0, 0, 0, 0, 0, 0]]])
    above_root = np.log2(model.score(asked) - model.norm[1]) + model.depth[:, 0].mean() / model.norm[0]
    assert np.allclose(model.contributions(asked).sum(axis=1), above_root)
    assert model.contributions(asked)[-1].argmax() == 0


def test_a_feature_that_no_tree_cuts_has_no_part(x: np.ndarray, model: IForest) -> None:
    assert (model.contributions(x[:50])[:, 2] == 0).all()


def test_float32_overflow_is_far_to_the_right(model: IForest) -> None:
    big, bigger = model.score(np.array([[1e30] * 6, [1e300] * 6]))
    assert big == bigger


def test_depth_of_a_random_search() -> None:
    assert [average_depth(rows) for rows in (0, 1, 2)] == [0.0, 0.0, 1.0]
    assert average_depth(256) == pytest.approx(10.2448, abs=1e-4)


@pytest.mark.parametrize("feature", [-1, 6, 2**31 - 1])
def test_refuses_a_feature_out_of_range(model: IForest, feature: int) -> None:
    forged = model.feature.copy()
    forged[3, 7] = feature
    with pytest.raises(ValueError, match="not among the 6"):
        IForest.from_arrays({**model.arrays(), "feature": forged}, 6)


@pytest.mark.parametrize("size", [2, 254, (1 << 17) - 1])
def test_refuses_trees_that_are_not_complete_or_too_deep(model: IForest, size: int) -> None:
    with pytest.raises(ValueError, match="not complete trees"):
        IForest.from_arrays({**model.arrays(), "feature": np.zeros((1, size), dtype=np.int32)}, 6)


def test_refuses_depths_that_cannot_be(model: IForest) -> None:
    for name in ("depth", "norm"):
        with pytest.raises(ValueError, match="depth"):
            IForest.from_arrays({**model.arrays(), name: -model.arrays()[name]}, 6)


def test_scoring_a_stored_forest_imports_no_training_library(model: IForest, tmp_path: Path) -> None:
    np.savez(tmp_path / "forest.npz", **model.arrays())
    code = f"""
import sys
import numpy as np
from detector.models.iforest import IForest
with np.load({str(tmp_path / "forest.npz")!r}, allow_pickle=False) as arrays:
    IForest.from_arrays(arrays, 6).score(np.zeros((3, 6)))
assert not {{"pyod", "sklearn", "scipy", "numba"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=Path(__file__).parents[3])
