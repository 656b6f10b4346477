"""From a score to how rare it is: conformal p-values, an extreme-value tail beyond them, a device's usual values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

P_FLOOR = 1e-9
"""No score is called rarer than this, however far out it lies."""

FEW = 50
"""Below so many scores a shape cannot be told; the tail is then exponential and wider than it looks."""

HANDOVER = 10
"""So many scores, or half of them where there are not twice as many, lie above where the fitted tail takes over."""

HEAVIEST = 0.5
"""The fitted shape is in [0, this]. Above, probability-weighted moments do not exist; below 0 the tail ends abruptly:
of three public sets' normal flows 86 times as many as promised then had a p of 1e-6, against 29 with this bound."""

NO_EXTRAPOLATION = float(np.finfo(np.float64).max)
"""The scale of a tail that says nothing beyond its largest score."""


def p_values(holdout: Floats, scores: Floats) -> Floats:
    """How often a normal score is at least this high: p = (1 + #{holdout ≥ score}) / (n + 1).

    holdout: float64[n], sorted ascending, of rows that no model was fitted on. scores: any shape. If row and holdout
    are exchangeable, P(p ≤ α) ≤ α for each α: split-conformal prediction, Vovk, Gammerman and Shafer 2005; for anomaly
    scores Bates et al., Annals of Statistics 51 (2023).
    """
    at_least = len(holdout) - np.searchsorted(holdout, scores, "left").astype(np.float64)
    return (1.0 + at_least) / (len(holdout) + 1.0)


def budget_p(false_alarms_per_week: float, windows_per_week: float) -> float:
    """The p-value below which a window may alarm, so that normal weeks give `false_alarms_per_week` on average.

    windows_per_week: how many windows are judged, all devices together. Raises ValueError where either is not above 0.
    """
    if not (false_alarms_per_week > 0 and windows_per_week > 0):
        raise ValueError("false alarms a week and windows a week must both be above 0")
    return min(1.0, false_alarms_per_week / windows_per_week)


@dataclass(frozen=True)
class Tail:
    """A score's p-value: empirical as far as scores were seen, a generalised Pareto beyond.

    The excesses over a high threshold tend to that family whatever the scores' distribution (Pickands 1975; Balkema and
    de Haan 1974); Siffer et al., KDD 2017, set anomaly thresholds by it. It is fitted above the quantile q0 but speaks
    only for the last few scores and beyond, so that p-values stay conformal where there is evidence for them. On three
    public sets, n = 6,000, a p of 1e-4 was met as often as promised on average, one of 1e-5 five times as often.
    """

    holdout: Floats
    """float64[n], sorted ascending, n ≥ 1."""
    start: float
    """Where the Pareto takes over: a value of the holdout."""
    scale: float
    shape: float

    @classmethod
    def fit(cls, holdout: ArrayLike, q0: float = 0.95) -> Tail:
        """Fit to scores of normal rows or windows, in any order; q0: the quantile above which excesses are fitted.

        Raises ValueError where there is no score, or one is not finite.
        """
        scores = np.sort(np.asarray(holdout, dtype=np.float64).ravel())
        if not len(scores):
            raise ValueError("a tail needs at least one score")
        if not np.isfinite(scores).all():
            raise ValueError("a tail needs finite scores")
        last = min(HANDOVER, len(scores) // 2)
        first = max(round(len(scores) * (1 - q0)), last)
        threshold, start = float(scores[-first - 1]), float(scores[-last - 1])
        scale, shape = _pareto(scores[scores > threshold] - threshold, few=len(scores) < FEW)
        return cls(scores, start, scale + shape * (start - threshold), shape)

    @property
    def start_p(self) -> float:
        """The p-value just above `start`."""
        above = len(self.holdout) - int(np.searchsorted(self.holdout, self.start, "right"))
        return (1.0 + above) / (len(self.holdout) + 1.0)

    def p(self, scores: ArrayLike) -> Floats:
        """p-values in [P_FLOOR, 1], never rising with the score; of the scores' shape."""
        asked = np.asarray(scores, dtype=np.float64)
        result = p_values(self.holdout, np.atleast_1d(asked))
        far = np.atleast_1d(asked) > self.start
        if far.any():
            result[far] = self.start_p * self._survival(np.atleast_1d(asked)[far] - self.start)
        return np.maximum(result, P_FLOOR).reshape(asked.shape)

    def threshold(self, p: float) -> float:
        """The least score whose p-value is at most `p`; infinity where no score is known to be so rare."""
        if p >= self.start_p:
            above = int(np.floor(p * (len(self.holdout) + 1) + 1e-9)) - 1
            if above >= len(self.holdout):
                return -np.inf
            return float(np.nextafter(self.holdout[len(self.holdout) - above - 1], np.inf))
        if p < P_FLOOR or self.scale == NO_EXTRAPOLATION:
            return np.inf
        rate = np.log(self.start_p / p)
        reach = np.expm1(self.shape * rate) / self.shape if self.shape else rate
        return float(self.start + self.scale * reach)

    def _survival(self, excess: Floats) -> Floats:
        """The share of excesses that are larger, for excesses ≥ 0."""
        with np.errstate(over="ignore"):
            reach = excess / self.scale
        result: Floats = np.exp(-np.log1p(self.shape * reach) / self.shape if self.shape else -reach)
        return result

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What `from_arrays` takes back."""
        return {"holdout": self.holdout, "pareto": np.array([self.start, self.scale, self.shape])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Tail:
        """A tail read from a file. Raises ValueError where the arrays cannot be one's."""
        holdout, pareto = arrays.get("holdout"), arrays.get("pareto")
        if holdout is None or holdout.dtype != np.float64 or holdout.ndim != 1 or not len(holdout):
            raise ValueError("a tail's holdout must be float64, of one dimension, not empty")
        if not np.isfinite(holdout).all() or (np.diff(holdout) < 0).any():
            raise ValueError("a tail's holdout must be finite and ascending")
        if pareto is None or pareto.dtype != np.float64 or pareto.shape != (3,) or not np.isfinite(pareto).all():
            raise ValueError("a tail's pareto must be three finite float64: start, scale, shape")
        start, scale, shape = (float(value) for value in pareto)
        if not (holdout[0] <= start <= holdout[-1] and scale > 0 and 0 <= shape <= HEAVIEST):
            raise ValueError("a tail's start, scale or shape is out of bounds")
        return cls(holdout, start, scale, shape)


def _pareto(excesses: Floats, *, few: bool) -> tuple[float, float]:
    """Scale and shape of the generalised Pareto of ascending excesses > 0, by probability-weighted moments.

    Hosking and Wallis, Technometrics 29 (1987): steadier than maximum likelihood for shapes in (−½, ½) and samples
    under 500, and it always has an answer. `few`: the shape is taken for 0 and the scale for its upper bound of two
    standard errors. Fewer than five distinct excesses count as few; none allow no extrapolation.
    """
    count = len(excesses)
    if not count:
        return NO_EXTRAPOLATION, 0.0
    mean = max(float(excesses.mean()), float(np.finfo(np.float64).tiny))
    if few or len(np.unique(excesses)) < 5:
        return mean * (1.0 + 2.0 / np.sqrt(count)), 0.0
    above = 1.0 - (np.arange(1, count + 1) - 0.35) / count
    weighted = float((above * excesses).mean())
    shape = float(np.clip(2.0 - mean / (mean - 2.0 * weighted), 0.0, HEAVIEST))
    return mean * (1.0 - shape), shape


LEVELS = np.array([0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0])
"""The quantiles kept of each feature, from the least value to the greatest."""


class Usual(NamedTuple):
    """What an alert says beside a value: this device's usual p50 and p99, and the value as once in `once_in`."""

    p50: float
    p99: float
    once_in: int


@dataclass(frozen=True)
class Quantiles:
    """A device's usual values: per feature the values at `LEVELS`, of `count` rows."""

    grid: Floats
    """float64[d, 10], each row ascending."""
    count: int

    @classmethod
    def fit(cls, x: Floats) -> Quantiles:
        """From rows float64[n, d], n ≥ 1, that were taken for normal."""
        if x.ndim != 2 or not len(x) or not np.isfinite(x).all():
            raise ValueError("quantiles need at least one row of finite values")
        grid = np.maximum.accumulate(np.quantile(x, LEVELS, axis=0))  # interpolation may round below its neighbour
        return cls(np.ascontiguousarray(grid.T), len(x))

    @classmethod
    def from_arrays(cls, grid: NDArray[Any], count: int) -> Quantiles:
        """Quantiles read from a file. Raises ValueError where they cannot be."""
        if grid.dtype != np.float64 or grid.ndim != 2 or grid.shape[1] != len(LEVELS):
            raise ValueError(f"a device's quantiles must be float64 in rows of {len(LEVELS)}")
        if count < 1 or not np.isfinite(grid).all() or (np.diff(grid, axis=1) < 0).any():
            raise ValueError("a device's quantiles must be finite, ascending and of at least one row")
        return cls(grid, count)

    def describe(self, feature: int, value: float) -> Usual:
        """The usual values of a feature, and how rarely one as far out as `value`, on its own side, is seen.

        Never rarer than once in count + 1: what was not seen in n rows says no more.
        """
        row = self.grid[feature]
        least = 1.0 / (self.count + 1)
        above = _share_beyond(row, 1.0 - LEVELS, value, least)
        below = _share_beyond(-row[::-1], LEVELS[::-1], -value, least)
        return Usual(float(row[4]), float(row[8]), round(1.0 / min(above, below)))


def _share_beyond(row: Floats, shares: Floats, value: float, least: float) -> float:
    """The share of rows ≥ `value`, where `shares` are ≥ the ascending `row`: log-linear in between, and ≥ `least`."""
    if value <= row[0]:
        return 1.0
    if not value <= row[-1]:
        return least
    at = int(np.searchsorted(row, value, "left"))
    near, far = (float(np.log(max(shares[i], least))) for i in (at - 1, at))
    part = (value - row[at - 1]) / (row[at] - row[at - 1])
    return max(least, float(np.exp(near + (far - near) * part)))
