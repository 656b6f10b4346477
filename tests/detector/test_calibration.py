"""p-values are honest where scores were seen, and cautious beyond."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from detector.calibration import LEVELS, NO_EXTRAPOLATION, P_FLOOR, Quantiles, Tail, budget_p, p_values

SCORES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200)


class TestConformal:
    def test_counts_ties_as_at_least(self) -> None:
        assert p_values(np.array([1.0, 2.0, 2.0, 3.0]), np.array([0.0, 2.0, 2.5, 9.0])).tolist() == [1.0, 0.8, 0.4, 0.2]

    def test_without_holdout_nothing_is_rare(self) -> None:
        assert p_values(np.zeros(0), np.array([5.0])).tolist() == [1.0]

    @given(holdout=SCORES, scores=SCORES)
    @settings(deadline=None)
    def test_falls_with_the_score_and_is_never_0(self, holdout: list[float], scores: list[float]) -> None:
        p = p_values(np.sort(holdout), np.sort(scores))
        assert (np.diff(p) <= 0).all()
        assert ((p >= 1 / (len(holdout) + 1)) & (p <= 1)).all()

    def test_is_uniform_on_exchangeable_scores(self) -> None:
        rng = np.random.default_rng(0)
        p = np.concatenate([p_values(np.sort(rng.gamma(2, size=199)), rng.gamma(2, size=20)) for _ in range(300)])
        assert stats.kstest(p - rng.uniform(0, 1 / 200, len(p)), "uniform").pvalue > 0.01

    def test_is_conservative_with_ties(self) -> None:
        rng = np.random.default_rng(1)
        p = np.concatenate([p_values(np.sort(rng.integers(0, 5, 99)), rng.integers(0, 5, 20)) for _ in range(200)])
        for share in (0.05, 0.2, 0.5):
            assert (p <= share).mean() <= share + 0.02


class TestBudget:
    def test_divides(self) -> None:
        assert budget_p(2, 20_000) == 1e-4
        assert budget_p(50, 10) == 1.0

    @pytest.mark.parametrize(("alarms", "windows"), [(0, 1), (-1, 1), (1, 0), (float("nan"), 1), (1, float("nan"))])
    def test_refuses_nothing(self, alarms: float, windows: float) -> None:
        with pytest.raises(ValueError, match="above 0"):
            budget_p(alarms, windows)


class TestTail:
    @given(holdout=SCORES, scores=SCORES)
    @settings(max_examples=200, deadline=None)
    def test_falls_with_the_score_and_stays_in_range(self, holdout: list[float], scores: list[float]) -> None:
        tail = Tail.fit(holdout)
        p = tail.p(np.sort([*holdout, *scores, -1e300, 1e300]))
        assert (np.diff(p) <= 0).all()
        assert ((p >= P_FLOOR) & (p <= 1)).all()

    @given(holdout=SCORES, p=st.floats(1e-9, 1.0))
    @settings(max_examples=200, deadline=None)
    def test_the_threshold_of_p_is_the_least_score_so_rare(self, holdout: list[float], p: float) -> None:
        tail = Tail.fit(holdout)
        threshold = tail.threshold(p)
        assume(np.isfinite(threshold))
        reached = float(tail.p(threshold))
        lower = float(tail.p(threshold - 1e-3 - abs(threshold) * 1e-3))
        assert reached <= p * (1 + 1e-6) or tail.p(np.nextafter(threshold, np.inf)) <= p * (1 + 1e-6)
        assert lower >= p * (1 - 1e-6) or lower == reached

    @pytest.mark.parametrize(
        "truth",
        [stats.expon(), stats.genpareto(0.3), stats.gamma(3), stats.norm(), stats.lognorm(0.5)],
        ids=["exponential", "pareto", "gamma", "normal", "lognormal"],
    )
    def test_extrapolates_beyond_the_sample_and_errs_on_the_side_of_caution(self, truth: stats.rv_continuous) -> None:
        asked = np.array([1e-2, 1e-3, 1e-4, 1e-5])  # of 2,000 scores: twenty, two, a fifth and a fiftieth of one
        ratios = [Tail.fit(truth.rvs(2000, random_state=seed)).p(truth.isf(asked)) / asked for seed in range(40)]
        seen, edge, beyond, far = np.median(ratios, axis=0)
        assert seen == pytest.approx(1.0, abs=0.1)
        assert 0.8 < edge < 1.8
        assert 0.6 < beyond < 4.5
        assert 0.5 < far < 15

    def test_is_cautious_where_scores_end_abruptly(self) -> None:
        tail = Tail.fit(np.random.default_rng(0).uniform(0, 1, 2000))
        assert tail.shape == 0
        assert tail.p(1.0) >= 1 / 2000 / 2
        assert 1.0 < tail.threshold(1e-4) < 1.3

    def test_a_heavy_tail_is_capped(self) -> None:
        tail = Tail.fit(np.random.default_rng(0).pareto(0.5, 5000))
        assert tail.shape == 0.5
        assert P_FLOOR <= tail.p(1e300) < 1e-6

    def test_false_alarms_meet_the_budget(self) -> None:
        rng = np.random.default_rng(3)
        rates = [(rng.gamma(2, size=20_000) > Tail.fit(rng.gamma(2, size=1000)).threshold(1e-3)).mean() for _ in range(40)]
        assert np.mean(rates) == pytest.approx(1e-3, rel=0.35)

    def test_few_scores_extrapolate_with_caution(self) -> None:
        ratios = []
        for seed in range(200):
            sample = stats.expon().rvs(30, random_state=seed)
            ratios.append(float(Tail.fit(sample).p(stats.expon().isf(1e-3))) / 1e-3)
        assert np.median(ratios) > 1.5
        assert np.mean(np.array(ratios) < 0.5) < 0.1

    @pytest.mark.parametrize("holdout", [[3.0], [3.0] * 1000, [1.0] * 900 + [3.0] * 100])
    def test_ties_at_the_top_allow_no_extrapolation(self, holdout: list[float]) -> None:
        tail = Tail.fit(holdout)
        assert tail.scale == NO_EXTRAPOLATION
        assert tail.p(1e6) == pytest.approx(1 / (len(holdout) + 1))
        assert tail.threshold(1e-6) == np.inf
        assert tail.threshold(1.0) <= 1.0 or len(holdout) == 1

    def test_the_least_of_differences_is_a_scale(self) -> None:
        tail = Tail.fit([0.0] * 15 + [5e-324] * 5)
        assert P_FLOOR <= tail.p(1.0) < 0.1
        Tail.from_arrays(tail.arrays())

    def test_thresholds_beyond_the_floor_are_out_of_reach(self) -> None:
        tail = Tail.fit(np.arange(100.0))
        assert tail.threshold(P_FLOOR / 2) == np.inf
        assert np.isfinite(tail.threshold(P_FLOOR))
        assert tail.threshold(1.0) == -np.inf

    def test_keeps_the_shape_of_what_it_is_asked(self) -> None:
        tail = Tail.fit(np.arange(100.0))
        assert tail.p(5.0).shape == ()
        assert tail.p(np.zeros((2, 3))).shape == (2, 3)

    @pytest.mark.parametrize(("holdout", "message"), [([], "at least one"), ([1.0, np.nan], "finite"), ([np.inf], "finite")])
    def test_refuses_no_scores(self, holdout: list[float], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            Tail.fit(holdout)

    def test_arrays_make_the_same_tail(self) -> None:
        tail = Tail.fit(np.random.default_rng(0).gamma(2, size=300))
        again = Tail.from_arrays(tail.arrays())
        asked = np.linspace(-1, 50, 200)
        assert np.array_equal(again.p(asked), tail.p(asked))

    @pytest.mark.parametrize(
        ("name", "forged"),
        [
            ("holdout", np.zeros(0)),
            ("holdout", np.zeros((2, 2))),
            ("holdout", np.array([2.0, 1.0])),
            ("holdout", np.array([1.0, np.nan])),
            ("holdout", np.array([1, 2])),
            ("pareto", np.array([1.0, 1.0])),
            ("pareto", np.array([np.nan, 1.0, 0.0])),
            ("pareto", np.array([1.0, 0.0, 0.0])),
            ("pareto", np.array([1.0, 1.0, -0.1])),
            ("pareto", np.array([1.0, 1.0, 0.6])),
            ("pareto", np.array([99.0, 1.0, 0.1])),
        ],
    )
    def test_refuses_forged_arrays(self, name: str, forged: np.ndarray) -> None:
        arrays = {"holdout": np.array([0.0, 1.0, 2.0]), "pareto": np.array([1.0, 1.0, 0.1])}
        Tail.from_arrays(arrays)
        with pytest.raises(ValueError, match="a tail's"):
            Tail.from_arrays({**arrays, name: forged})
        with pytest.raises(ValueError, match="a tail's"):
            Tail.from_arrays({key: array for key, array in arrays.items() if key != name})


class TestQuantiles:
    def test_describes_a_value_by_what_is_usual(self) -> None:
        usual = Quantiles.fit(np.arange(10_001.0)[:, np.newaxis])
        assert usual.describe(0, 9_900) == (5_000, 9_900, 100)
        assert usual.describe(0, 5_000).once_in == 2
        assert usual.describe(0, 100).once_in == 100
        assert 100 < usual.describe(0, 9_950).once_in < 10_002

    @pytest.mark.parametrize("value", [1e9, -1e9, np.inf, np.nan])
    def test_never_claims_more_than_was_seen(self, value: float) -> None:
        assert Quantiles.fit(np.random.default_rng(0).random((40, 1))).describe(0, value).once_in == 41

    def test_a_constant_is_usual_and_all_else_is_new(self) -> None:
        usual = Quantiles.fit(np.full((500, 1), 3.0))
        assert usual.describe(0, 3.0) == (3.0, 3.0, 1)
        assert usual.describe(0, 3.1).once_in == 501

    @given(
        values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=100),
        asked=st.lists(st.floats(-2e6, 2e6), min_size=2, max_size=2),
    )
    @settings(deadline=None)
    def test_rarity_grows_outwards(self, values: list[float], asked: list[float]) -> None:
        usual = Quantiles.fit(np.array(values)[:, np.newaxis])
        middle = usual.describe(0, 0.0).p50
        assume((asked[0] >= middle) == (asked[1] >= middle))
        near, far = sorted(asked, reverse=asked[0] < middle)
        assert 1 <= usual.describe(0, near).once_in <= usual.describe(0, far).once_in <= len(values) + 1

    def test_once_in_n_is_true_of_continuous_values(self) -> None:
        rng = np.random.default_rng(0)
        usual = Quantiles.fit(rng.exponential(size=(20_000, 1)))
        for once_in in (20, 100, 500):
            value = -np.log(1 / once_in)
            assert usual.describe(0, value).once_in == pytest.approx(once_in, rel=0.35)

    @pytest.mark.parametrize("x", [np.zeros((0, 2)), np.zeros(3), np.full((2, 2), np.inf)])
    def test_refuses_no_rows(self, x: np.ndarray) -> None:
        with pytest.raises(ValueError, match="at least one row"):
            Quantiles.fit(x)

    def test_arrays_make_the_same_quantiles(self) -> None:
        usual = Quantiles.fit(np.random.default_rng(0).random((50, 3)))
        assert Quantiles.from_arrays(usual.grid, usual.count).describe(2, 0.99) == usual.describe(2, 0.99)

    @pytest.mark.parametrize(
        ("grid", "count"),
        [
            (np.zeros((2, len(LEVELS))), 0),
            (np.zeros((2, 3)), 5),
            (np.zeros(len(LEVELS)), 5),
            (np.zeros((2, len(LEVELS)), dtype=np.float32), 5),
            (np.full((2, len(LEVELS)), np.nan), 5),
            (np.arange(len(LEVELS), 0, -1.0)[np.newaxis], 5),
        ],
    )
    def test_refuses_forged_arrays(self, grid: np.ndarray, count: int) -> None:
        with pytest.raises(ValueError, match="a device's quantiles"):
            Quantiles.from_arrays(grid, count)
