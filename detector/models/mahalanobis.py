"""Distance from the mean, correlations counted: what no feature shows alone. Mahalanobis 1936."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from detector.model import Arrays, Floats, checked, register, training_rows

RIDGE = 1e-3
"""Added to each feature's variance of 1, so that features that repeat one another do not make the distance infinite."""

FARTHEST = 1e6
"""Standard deviations beyond which a value counts no farther: squares and their sums stay finite."""


@register
class Mahalanobis:
    """Squared distance zᵀPz of the standardised row z.

    A feature's contribution is z_i·(Pz)_i; they sum to the score. One below 0 makes the others less strange.
    """

    name: ClassVar[str] = "mahalanobis"

    def __init__(self, mean: Floats, scale: Floats, precision: Floats) -> None:
        """mean, scale: float64[d]. precision: float64[d, d], P."""
        self.mean = mean
        self.scale = scale
        self.precision = precision

    @classmethod
    def fit(cls, x: Floats, seed: int = 0) -> Self:  # noqa: ARG003 - nothing is left to chance
        """Mean, standard deviation and inverse correlation with a ridge; `seed` has no part in it.

        A constant feature has the scale 1, and its variance is the ridge alone.
        """
        rows = training_rows(x)
        mean, scale = rows.mean(axis=0), rows.std(axis=0)
        scale[scale <= 1e-9 * np.maximum(1.0, np.abs(mean))] = 1.0
        z = (rows - mean) / scale
        correlation = z.T @ z / len(z)
        precision = np.linalg.inv(correlation + RIDGE * np.eye(len(mean)))
        return cls(mean, scale, (precision + precision.T) / 2.0)

    @classmethod
    def from_arrays(cls, arrays: Arrays, d: int) -> Self:
        """Raises ValueError for a wrong type or shape, a scale not above 0, or a precision not positive definite."""
        mean = checked(arrays, "mean", np.float64, (d,))
        scale = checked(arrays, "scale", np.float64, (d,))
        precision = checked(arrays, "precision", np.float64, (d, d))
        if (scale <= 0).any():
            raise ValueError("the array scale has a value that is not above 0")
        if (precision != precision.T).any() or np.linalg.eigvalsh(precision)[0] <= 0:
            raise ValueError("the array precision is not symmetric and positive definite")
        return cls(mean, scale, precision)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Mean, scale and precision."""
        return {"mean": self.mean, "scale": self.scale, "precision": self.precision}

    def score(self, x: Floats) -> Floats:
        """The squared distance, float64[n]."""
        z = self._standardised(x)
        result: Floats = np.einsum("ij,ij->i", z, z @ self.precision)
        return result

    def contributions(self, x: Floats) -> Floats:
        """Each feature's part of the squared distance, float64[n, d]."""
        z = self._standardised(x)
        result: Floats = z * (z @ self.precision)
        return result

    def _standardised(self, x: Floats) -> Floats:
        z = (x - self.mean) / self.scale
        return np.clip(z, -FARTHEST, FARTHEST, out=z)
