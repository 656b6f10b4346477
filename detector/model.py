"""What every anomaly model is once trained: flat arrays, scored by numpy alone; and the ensemble that hospitals run.

Training may need PyOD and scikit-learn; scoring never imports them (267 MB resident, and an isolation forest's call of
9.5 ms). No model keeps a training row.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from detector import models
from detector.calibration import Tail

Arrays = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]


class Model(Protocol):
    """A trained model, frozen: a row's score depends on that row alone."""

    name: ClassVar[str]
    """The registry's name, which is the module's under `models/`."""

    @classmethod
    def fit(cls, x: Floats, seed: int) -> Self:
        """Train on rows float64[n, d] taken for normal, n ≥ 2. The same rows and seed give the same model."""

    def score(self, x: Floats) -> Floats:
        """How strange each row of float64[n, d] is, as float64[n]; higher is stranger, the unit is the model's own."""

    def contributions(self, x: Floats) -> Floats:
        """Each feature's part in the score, float64[n, d]; what the parts add up to is told by the model."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that the model is, for a file."""

    @classmethod
    def from_arrays(cls, arrays: Arrays, d: int) -> Self:
        """The model of `d` features that `arrays` gave. Raises ValueError where any array cannot be one's."""


AnyModel = TypeVar("AnyModel", bound=type[Model])
_registry: dict[str, type[Model]] = {}


def register(cls: AnyModel) -> AnyModel:
    """Make a model known by its name."""
    _registry[cls.name] = cls
    return cls


def model_names() -> list[str]:
    """The models there are, in alphabetical order."""
    return sorted(module.name for module in pkgutil.iter_modules(models.__path__))


def model_class(name: str) -> type[Model]:
    """The model of that name. Raises ValueError where there is none."""
    if name not in model_names():
        raise ValueError(f"there is no model {name!r}; there are {', '.join(model_names())}")
    importlib.import_module(f"detector.models.{name}")
    return _registry[name]


def training_rows(x: Floats) -> Floats:
    """The rows to fit on, as float64[n, d]. Raises ValueError for fewer than two, no feature, or a value not finite."""
    rows = np.ascontiguousarray(x, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < 2 or not rows.shape[1]:
        raise ValueError("a model is fitted on at least two rows of at least one feature")
    if not np.isfinite(rows).all():
        raise ValueError("a model is fitted on finite values")
    return rows


def checked(arrays: Arrays, name: str, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
    """The array `name`, if it has the type, the shape (−1: any length above 0), and is finite; else ValueError."""
    array = arrays.get(name)
    if array is None:
        raise ValueError(f"the array {name} is missing")
    if array.dtype != dtype:
        raise ValueError(f"the array {name} is {array.dtype}, not {np.dtype(dtype)}")
    fits = len(array.shape) == len(shape) and all(
        (have == want if want >= 0 else have > 0) for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        raise ValueError(f"the array {name} has the shape {array.shape}, not {shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"the array {name} has values that are not finite")
    return np.ascontiguousarray(array)


CHUNK = 1024
"""Rows scored at once: what is looked up then stays in a core's cache."""

MOST_KNOTS = 255
"""With 2k edges for k knots, the most that nine halvings tell apart."""


class Steps:
    """A score that is a sum of one step function a feature.

    A feature has k knots, hence 2k + 1 places for a value: below the first, at it, between it and the second, and so
    on. `steps` holds what each place adds to the score. Contributions are those addends: they sum to the score.
    """

    name: ClassVar[str]

    def __init__(self, knots: Floats, steps: Floats) -> None:
        """knots: float64[d, k], rows ascending, the last repeated as padding. steps: float64[d, 2k + 1]."""
        self.knots = knots
        self.steps = steps
        d, k = knots.shape
        self._width = 1 << (2 * k).bit_length()
        self._edges = np.full((d, self._width), np.inf)
        self._edges[:, : 2 * k] = np.sort(np.concatenate([knots, np.nextafter(knots, np.inf)], axis=1), axis=1)
        self._table = np.pad(steps, ((0, 0), (0, self._width - 2 * k - 1)), mode="edge")
        self._first = np.arange(d) * self._width

    @classmethod
    def of(cls, knots: list[Floats], steps: list[Floats]) -> Self:
        """From each feature's own knots, float64[k], and steps, float64[2k + 1]."""
        most = max(map(len, knots))
        for feature, values in enumerate(knots):
            missing = most - len(values)
            knots[feature] = np.pad(values, (0, missing), mode="edge")
            steps[feature] = np.insert(steps[feature], -1, np.repeat(steps[feature][-2], 2 * missing))
        return cls(np.stack(knots), np.stack(steps))

    @classmethod
    def from_arrays(cls, arrays: Arrays, d: int) -> Self:
        """Raises ValueError where knots or steps are missing, of another type or shape, not finite or not ascending."""
        knots = checked(arrays, "knots", np.float64, (d, -1))
        steps = checked(arrays, "steps", np.float64, (d, 2 * knots.shape[1] + 1))
        if (np.diff(knots, axis=1) < 0).any():
            raise ValueError("the array knots does not ascend")
        return cls(knots, steps)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Knots and steps."""
        return {"knots": self.knots, "steps": self.steps}

    def score(self, x: Floats) -> Floats:
        """The sum of the steps, float64[n]."""
        result = np.empty(len(x))
        for start in range(0, len(x), CHUNK):
            self.contributions(x[start : start + CHUNK]).sum(axis=1, out=result[start : start + CHUNK])
        return result

    def contributions(self, x: Floats) -> Floats:
        """The steps, float64[n, d]: a binary search of all features side by side, which counts the edges ≤ x."""
        place = np.broadcast_to(self._first, x.shape).copy()
        half = self._width >> 1
        while half:
            place += (self._edges.take(place + (half - 1), mode="clip") <= x) * half
            half >>= 1
        result: Floats = self._table.take(place, mode="clip")
        return result


def knots_of(column: Floats, most: int) -> Floats:
    """At most `most` distinct values of an ascending column: all, or quantiles that crowd towards both tails.

    The quantiles' levels are evenly spaced in log-odds: a tail share is told as precisely at 1 in 10,000 as at 1 in 2.
    """
    values = np.unique(column)
    if len(values) <= most:
        return values
    odds = np.exp(np.linspace(-1.0, 1.0, most) * np.log(len(column)))
    levels = np.round(odds / (1.0 + odds) * (len(column) - 1)).astype(np.intp)
    levels[0], levels[-1] = 0, len(column) - 1
    return np.unique(column[levels])


def places(column: Floats, knots: Floats) -> NDArray[np.int64]:
    """How many values of an ascending column fall in each of the 2k + 1 places of its k knots; int64[2k + 1]."""
    edges = np.stack([np.searchsorted(column, knots, side) for side in ("left", "right")], axis=1)
    return np.diff(np.concatenate([[0], edges.ravel(), [len(column)]]))


class Member(NamedTuple):
    """A model of an ensemble, with what its scores and contributions are like on rows held out from training."""

    model: Model
    tail: Tail
    usual: Floats
    """float64[d], the mean contributions."""

    @classmethod
    def fit(cls, name: str, x: Floats, holdout: Floats, seed: int) -> Member:
        """Train on `x`, calibrate on `holdout`."""
        model = model_class(name).fit(x, seed)
        return cls(model, Tail.fit(model.score(holdout)), model.contributions(holdout).mean(axis=0))

    def evidence(self, x: Floats) -> Floats:
        """−log10 of each row's p-value, float64[n] from 0 to 9."""
        result: Floats = -np.log10(self.tail.p(self.model.score(x)))
        return result

    def reasons(self, row: Floats) -> Floats:
        """Each feature's share of what makes float64[1, d] stranger than usual, times the evidence; float64[d]."""
        more: Floats = np.maximum(self.model.contributions(row)[0] - self.usual, 0.0)
        total = float(more.sum())
        return more * (float(self.evidence(row)[0]) / total) if total > 0 else more


class Scored(NamedTuple):
    """What an ensemble says of a batch."""

    evidence: Floats
    """float64[n], the mean evidence of the members that judged a row; higher is stranger."""
    heavy: NDArray[np.bool_]
    """Which rows the heavy members judged too."""
    shed: int
    """How many they should have judged, beyond the batch's cap: these have the light members' evidence alone."""


LIGHT = ("histogram", "mahalanobis")
HEAVY = ("iforest",)
GATE = 0.1
"""The heavy members judge rows at least as strange, by the light ones, as this share of normal rows."""
HEAVY_SHARE = 0.25
"""The most of a batch that they judge, so that a flood aimed at them costs no more than this."""
HEAVY_ROWS = 256
"""So many rows of a batch they always judge: no row of a small batch is shed."""


class Ensemble:
    """Models whose p-values are averaged, on the log scale: one that errs alone neither alarms nor hides much.

    A row's evidence is its own, whatever rows come with it, except where rows are shed.
    """

    def __init__(self, light: dict[str, Member], heavy: dict[str, Member], gate: float, tail: Tail) -> None:
        """gate: the light evidence from which the heavy members judge. tail: of the evidence of the held-out rows."""
        self.light = light
        self.heavy = heavy
        self.gate = gate
        self.tail = tail

    @classmethod
    def fit(cls, x: Floats, holdout: Floats, seed: int, light: Sequence[str] = LIGHT, heavy: Sequence[str] = HEAVY) -> Self:
        """Train the named models on rows `x`; `holdout`, rows of the same days that are not in `x`, calibrates them."""
        if not light:
            raise ValueError("an ensemble needs a light member")
        x, holdout = training_rows(x), training_rows(holdout)
        members = {name: Member.fit(name, x, holdout, seed) for name in (*light, *heavy)}
        evidence = {name: member.evidence(holdout) for name, member in members.items()}
        first = np.mean([evidence[name] for name in light], axis=0)
        gate = float(np.quantile(first, 1.0 - GATE))
        both = np.where(first >= gate, np.mean(list(evidence.values()), axis=0), first)
        return cls({name: members[name] for name in light}, {name: members[name] for name in heavy}, gate, Tail.fit(both))

    @property
    def members(self) -> dict[str, Member]:
        """All of them, the light ones first."""
        return self.light | self.heavy

    def score(self, x: Floats) -> Scored:
        """Judge rows float64[n, d]. Raises ValueError for another d, or where a value is not finite."""
        if x.shape[1:] != next(iter(self.light.values())).usual.shape:
            raise ValueError(f"rows of the shape {x.shape} are not of the ensemble's features")
        if not np.isfinite(x).all():
            raise ValueError("rows to be scored must be finite")
        evidence: Floats = np.mean([member.evidence(x) for member in self.light.values()], axis=0)
        judged = np.zeros(len(x), dtype=np.bool_)
        if not self.heavy:
            return Scored(evidence, judged, 0)
        rows = np.flatnonzero(evidence >= self.gate)
        most = max(HEAVY_ROWS, int(HEAVY_SHARE * len(x)))
        shed = max(0, len(rows) - most)
        if shed:
            rows = rows[np.argsort(-evidence[rows], kind="stable")[:most]]
        if len(rows):
            more = np.sum([member.evidence(x[rows]) for member in self.heavy.values()], axis=0)
            evidence[rows] = (evidence[rows] * len(self.light) + more) / len(self.members)
            judged[rows] = True
        return Scored(evidence, judged, shed)

    def p(self, evidence: Floats) -> Floats:
        """How often a normal row has at least this evidence, float64[n]."""
        return self.tail.p(evidence)

    def explain(self, row: Floats, top: int = 5) -> list[tuple[int, float]]:
        """The features that make float64[d] strange and their shares, the largest first; shares of all sum to 1.

        What a feature adds beyond its usual part, in each model, weighted by that model's evidence.
        """
        shares = np.sum([member.reasons(row[np.newaxis]) for member in self.members.values()], axis=0)
        total = float(shares.sum())
        order = np.argsort(-shares, kind="stable")[:top]
        return [(int(feature), float(shares[feature]) / total) for feature in order if shares[feature] > 0]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that the ensemble is, for a file: the members' arrays behind their names."""
        result: dict[str, NDArray[Any]] = {
            "light": np.array(list(self.light)),
            "heavy": np.array(list(self.heavy), dtype=np.str_),
            "gate": np.array([self.gate]),
        }
        result |= {f"tail.{key}": array for key, array in self.tail.arrays().items()}
        for name, member in self.members.items():
            result[f"{name}.usual"] = member.usual
            result |= {f"{name}.tail.{key}": array for key, array in member.tail.arrays().items()}
            result |= {f"{name}.model.{key}": array for key, array in member.model.arrays().items()}
        return result

    @classmethod
    def from_arrays(cls, arrays: Arrays, d: int) -> Self:
        """The ensemble of `d` features that `arrays` gave. Raises ValueError where any array cannot be one's."""
        light, heavy = (_member_names(arrays, tier) for tier in ("light", "heavy"))
        if not light or len({*light, *heavy}) < len(light) + len(heavy):
            raise ValueError("an ensemble needs a light member, and each member once")
        members = {name: _member(name, section(arrays, name), d) for name in (*light, *heavy)}
        gate = float(checked(arrays, "gate", np.float64, (1,))[0])
        tail = Tail.from_arrays(section(arrays, "tail"))
        return cls({name: members[name] for name in light}, {name: members[name] for name in heavy}, gate, tail)


def section(arrays: Arrays, prefix: str) -> dict[str, NDArray[Any]]:
    """The arrays whose names begin with `prefix` and a dot, without them."""
    start = f"{prefix}."
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}


def _member_names(arrays: Arrays, tier: str) -> list[str]:
    names = arrays.get(tier)
    if names is None or names.dtype.kind != "U" or names.ndim != 1:
        raise ValueError(f"the array {tier} must be a list of names")
    return [str(name) for name in names]


def _member(name: str, arrays: Arrays, d: int) -> Member:
    try:
        model = model_class(name).from_arrays(section(arrays, "model"), d)
        return Member(model, Tail.from_arrays(section(arrays, "tail")), checked(arrays, "usual", np.float64, (d,)))
    except ValueError as error:
        raise ValueError(f"model {name}: {error}") from error
