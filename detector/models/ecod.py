"""Empirical tails: each feature's own surprise, added up. Li et al., IEEE TKDE 35 (2022), "ECOD".

PyOD ranks its training rows anew with every batch, so a flow's score moves with its neighbours and a flood hides
itself. Here the tails are counted once.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from detector.model import MOST_KNOTS, Floats, Steps, knots_of, places, register, training_rows


@register
class Ecod(Steps):
    """−log of each feature's rarer tail share, the row itself counted in: PyOD's score of a row that comes alone.

    For each feature −log min((1 + #{≤ x}) / (n + 1), (1 + #{≥ x}) / (n + 1)). PyOD's choice of a tail by the sign of
    the skewness makes a difference only where the skewness is exactly 0: PyOD then adds both tails, we do not.
    """

    name = "ecod"

    @classmethod
    def fit(cls, x: Floats, seed: int = 0, most_knots: int = MOST_KNOTS) -> Self:  # noqa: ARG003 - nothing is left to chance
        """Count the tails: exactly where no feature has over `most_knots` distinct values. `seed` has no part in it."""
        columns = np.sort(training_rows(x), axis=0).T
        knots = [knots_of(column, most_knots) for column in columns]
        steps = [_rarer_tails(places(column, values)) for column, values in zip(columns, knots, strict=True)]
        return cls.of(knots, steps)


def _rarer_tails(counts: NDArray[np.int64]) -> Floats:
    """−log of the rarer tail share at each place, from the rows in each; between knots half of them lie beyond."""
    rows = counts.sum()
    up_to = np.cumsum(counts)
    down_to = rows - up_to + counts
    between = counts[::2] / 2.0
    fewer = np.minimum(up_to, down_to).astype(np.float64)
    fewer[::2] = np.minimum(up_to[::2], down_to[::2]) - between
    result: Floats = -np.log((fewer + 1.0) / (rows + 1.0))
    return result
