"""How crowded each feature is around a value, so that a gap between two habits counts as strange as an extreme.

The density of HBOS (Goldstein and Dengel, KI 2012), counted in a window around the value in place of a fixed bin.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from detector.model import MOST_KNOTS, Floats, Steps, knots_of, register, training_rows

WINDOW = 1.0
"""The window's width in standard deviations of the feature."""


@register
class Histogram(Steps):
    """−log of the share of training rows within half a standard deviation of the value, half a row counted extra.

    Between two knots the share around their middle stands for all; outside the range it is none.
    """

    name = "histogram"

    @classmethod
    def fit(cls, x: Floats, seed: int = 0, most_knots: int = MOST_KNOTS) -> Self:  # noqa: ARG003 - nothing is left to chance
        """Count the rows; `seed` has no part in it."""
        columns = np.sort(training_rows(x), axis=0).T
        knots = [knots_of(column, most_knots) for column in columns]
        steps = [_scarcity(column, values) for column, values in zip(columns, knots, strict=True)]
        return cls.of(knots, steps)


def _scarcity(column: Floats, knots: Floats) -> Floats:
    """−log of the share around each of the 2k + 1 places; `column` ascends."""
    reach = WINDOW * column.std() / 2.0
    middles = np.empty(2 * len(knots) - 1)
    middles[::2] = knots
    middles[1::2] = knots[:-1] + np.diff(knots) / 2.0
    crowd = np.searchsorted(column, middles + reach, "right") - np.searchsorted(column, middles - reach, "left")
    result: Floats = -np.log((np.pad(crowd, 1) + 0.5) / (len(column) + 0.5))
    return result
