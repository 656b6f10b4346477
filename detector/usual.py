"""What is usual for each device, and how far beyond it a minute is.

A busy archive and a quiet modality are held to their own habits: a feature counts in steps of the device's own variation.
A device never met, or met too rarely, is held to the whole site's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from detector.calibration import LEVELS, Quantiles, Tail
from detector.features import FLOORS, WINDOW_FEATURES
from detector.model import Floats, section

ENOUGH = 10
"""Windows from which a device's own variation is believed; below, the site's is taken where it is larger."""
FARTHEST = 50.0
"""Steps beyond which a value counts no farther."""
FOLDS = 4
P50, P95, P99 = (int(np.flatnonzero(level == LEVELS)[0]) for level in (0.5, 0.95, 0.99))


class Usual:
    """The habits of a site's devices, and the tail of how far benign minutes stray from them.

    Score of a minute: the sum over features of the squared steps above the device's median, each feature's steps first
    made alike across the site. What is below the median counts nothing: silence is the watch-dogs' business.
    """

    def __init__(self, devices: Mapping[str, Quantiles], site: Quantiles, spread: Floats, tail: Tail) -> None:
        self._devices = dict(devices)
        self._site = site
        self._spread = spread
        self._tail = tail

    @classmethod
    def fit(cls, devices: Sequence[str], times: Sequence[float], x: Floats) -> Self:
        """From minutes taken for benign: x float64[n, features], the device and the start of each.

        The tail is of minutes judged by habits learnt from the other parts of the time (cross-fitting in four blocks), so
        that it is honest though the sample is small. Raises ValueError for fewer than 40 minutes.
        """
        if len(x) < 40:
            raise ValueError(f"{len(x)} device-minutes are too few to learn from; at least 40, better a week")
        names = np.asarray(devices)
        order = np.argsort(np.asarray(times), kind="stable")
        fold = np.empty(len(x), dtype=np.int64)
        fold[order] = np.arange(len(x)) * FOLDS // len(x)
        steps = np.zeros_like(x)
        for block in range(FOLDS):
            rest = fold != block
            habits, site = _habits(names[rest], x[rest])
            for row in np.flatnonzero(~rest):
                steps[row] = _steps(habits.get(str(names[row])), site, x[row])
        spread = np.maximum(1.0, np.quantile(steps, 0.99, axis=0) / 2.33)
        tail = Tail.fit(_score(steps / spread), q0=0.9)
        return cls(*_habits(names, x), spread, tail)

    def judge(self, device: str, row: Floats) -> tuple[float, Floats]:
        """(p-value of the minute, share of each feature in its strangeness) of one row float64[features]."""
        steps = _steps(self._devices.get(device), self._site, row) / self._spread
        squares = np.minimum(steps, FARTHEST) ** 2
        total = float(squares.sum())
        p = float(self._tail.p(np.array([total]))[0])
        return p, squares / total if total else squares

    def of(self, device: str) -> tuple[Quantiles, bool]:
        """The quantiles to show beside a value, and whether they are the device's own."""
        own = self._devices.get(device)
        return (own, True) if own is not None else (self._site, False)

    @property
    def minutes(self) -> int:
        """How many device-minutes it rests on."""
        return self._site.count

    @property
    def devices(self) -> list[str]:
        """The devices that have habits of their own."""
        return sorted(self._devices)

    def __len__(self) -> int:
        """How many devices are known."""
        return len(self._devices)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that it is, for the baseline's file."""
        names = sorted(self._devices)
        result: dict[str, NDArray[Any]] = {
            "devices": np.array(names, dtype=np.str_),
            "grids": np.array([self._devices[name].grid for name in names]).reshape(
                len(names), len(WINDOW_FEATURES), len(LEVELS)
            ),
            "counts": np.array([self._devices[name].count for name in names], dtype=np.int64),
            "site": self._site.grid,
            "site_count": np.array([self._site.count], dtype=np.int64),
            "spread": self._spread,
        }
        result |= {f"tail.{key}": array for key, array in self._tail.arrays().items()}
        return result

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `arrays` gave. Raises ValueError where it cannot be."""
        width = len(WINDOW_FEATURES)
        try:
            names, grids, counts = arrays["devices"], arrays["grids"], arrays["counts"]
            site, site_count, spread = arrays["site"], arrays["site_count"], arrays["spread"]
        except KeyError as error:
            raise ValueError(f"the habits lack the array {error}") from None
        if names.dtype.kind != "U" or grids.shape != (len(names), width, len(LEVELS)) or counts.shape != (len(names),):
            raise ValueError("the habits' devices, grids and counts do not fit one another")
        if site.shape != (width, len(LEVELS)) or site_count.shape != (1,) or counts.dtype != np.int64:
            raise ValueError("the site's habits do not fit this version's features")
        if spread.dtype != np.float64 or spread.shape != (width,) or not ((spread >= 1) & np.isfinite(spread)).all():
            raise ValueError("the habits' spread must be float64, finite and at least 1 for each feature")
        if len(np.unique(names)) < len(names):
            raise ValueError("the habits name a device twice")
        devices = {
            str(name): Quantiles.from_arrays(grid, int(count))
            for name, grid, count in zip(names, grids, counts, strict=True)
        }
        tail = Tail.from_arrays(section(arrays, "tail"))
        return cls(devices, Quantiles.from_arrays(site, int(site_count[0])), spread, tail)


def _habits(names: NDArray[Any], x: Floats) -> tuple[dict[str, Quantiles], Quantiles]:
    return {str(name): Quantiles.fit(x[names == name]) for name in np.unique(names)}, Quantiles.fit(x)


def _scale(habits: Quantiles) -> Floats:
    grid = habits.grid
    result: Floats = np.maximum(
        FLOORS, np.maximum((grid[:, P95] - grid[:, P50]) / 1.645, (grid[:, P99] - grid[:, P50]) / 2.33)
    )
    return result


def _steps(own: Quantiles | None, site: Quantiles, row: Floats) -> Floats:
    """Steps above the usual, float64[features], 0 where not above."""
    habits = own or site
    scale = _scale(habits)
    if own is not None and own.count < ENOUGH:
        scale = np.maximum(scale, _scale(site))
    result: Floats = np.maximum((row - habits.grid[:, P50]) / scale, 0.0)
    return result


def _score(steps: Floats) -> Floats:
    result: Floats = (np.minimum(steps, FARTHEST) ** 2).sum(axis=1)
    return result
