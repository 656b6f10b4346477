"""Isolation forest: how few random cuts set a row apart. Liu, Ting and Zhou, ICDM 2008."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from detector.model import Arrays, Floats, checked, register, training_rows

TREES = 64
ROWS_A_TREE = 256
MOST_DEPTH = 16
"""A file's forest may not be deeper: a tree's arrays double with each level."""
CHUNK = 256
"""Rows scored at once: 64 trees' positions then stay in a core's cache."""


@register
class IForest:
    """PyOD's forest, each tree laid out as a complete binary tree: node i's children are 2i + 1 and 2i + 2.

    No child is named, so no file can hold a tree with a cycle or an index out of bounds. A branch that ends early is
    carried down unchanged. Score: 2^(−mean depth / depth of a random search) + offset, PyOD's `decision_function`.
    Contributions are in the exponent's unit: what each cut took off the expected depth, so that they sum to log2 of
    (score − offset) over the same at the roots (path attribution, Saabas 2014).
    """

    name: ClassVar[str] = "iforest"

    def __init__(
        self, feature: NDArray[np.int32], threshold: NDArray[np.float32], depth: Floats, norm: Floats, d: int
    ) -> None:
        """Arrays of a forest of t trees, h levels of cuts, m = 2^h − 1 nodes that cut.

        feature: int32[t, m], what a node cuts. threshold: float32[t, m]; greater values go right. depth:
        float64[t, 2m + 1], the mean depth at which a node's training rows ended. norm: the depth of a random search,
        and the offset.
        """
        self.feature = feature
        self.threshold = threshold
        self.depth = depth
        self.norm = norm
        self._d = d
        self._levels = []
        start = 0
        while start < feature.shape[1]:
            level = slice(start, 2 * start + 1)
            self._levels.append((feature[:, level].astype(np.intp).ravel(), threshold[:, level].ravel()))
            start = 2 * start + 1
        self._leaves = np.ascontiguousarray(depth[:, start:]).ravel()

    @classmethod
    def fit(cls, x: Floats, seed: int = 0, trees: int = TREES, rows_a_tree: int = ROWS_A_TREE) -> Self:
        """Train with PyOD and lay the trees out. Imports PyOD."""
        from pyod.models.iforest import IForest as PyodForest  # noqa: PLC0415 - only training may load it

        rows = training_rows(x)
        forest = PyodForest(n_estimators=trees, max_samples=min(rows_a_tree, len(rows)), random_state=seed)
        forest.fit(rows)
        return cls.from_pyod(forest, rows.shape[1])

    @classmethod
    def from_pyod(cls, forest: Any, d: int) -> Self:
        """Lay out a fitted `pyod.models.iforest.IForest`."""
        trees = [estimator.tree_ for estimator in forest.estimators_]
        height = max(1, *(tree.max_depth for tree in trees))
        size = (1 << height) - 1
        feature = np.zeros((len(trees), size), dtype=np.int32)
        threshold = np.zeros((len(trees), size), dtype=np.float32)
        depth = np.zeros((len(trees), 2 * size + 1))
        for index, (tree, names) in enumerate(zip(trees, forest.estimators_features_, strict=True)):
            _lay_out(tree, names, feature[index], threshold[index], depth[index])
        norm = np.array([average_depth(forest.detector_.max_samples_), forest.detector_.offset_])
        return cls(feature, threshold, depth, norm, d)

    @classmethod
    def from_arrays(cls, arrays: Arrays, d: int) -> Self:
        """Raises ValueError for a wrong type or shape, trees too deep, or a feature that is not among the `d`."""
        feature = checked(arrays, "feature", np.int32, (-1, -1))
        trees, size = feature.shape
        if size & (size + 1) or size >= 1 << MOST_DEPTH:
            raise ValueError(f"trees of {size} cuts are not complete trees of at most {MOST_DEPTH} levels")
        if (feature < 0).any() or (feature >= d).any():
            raise ValueError(f"the array feature names one that is not among the {d}")
        threshold = checked(arrays, "threshold", np.float32, (trees, size))
        depth = checked(arrays, "depth", np.float64, (trees, 2 * size + 1))
        norm = checked(arrays, "norm", np.float64, (2,))
        if (depth < 0).any() or norm[0] <= 0:
            raise ValueError("a depth is below 0, or the depth of a random search not above it")
        return cls(feature, threshold, depth, norm, d)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The trees and the norm."""
        return {"feature": self.feature, "threshold": self.threshold, "depth": self.depth, "norm": self.norm}

    def score(self, x: Floats) -> Floats:
        """PyOD's decision function, float64[n]."""
        result = np.empty(len(x))
        for start in range(0, len(x), CHUNK):
            *_, leaves = self._paths(x[start : start + CHUNK])
            mean_depth = self._leaves.take(leaves).mean(axis=0)
            result[start : start + CHUNK] = np.exp2(-mean_depth / self.norm[0]) + self.norm[1]
        return result

    def contributions(self, x: Floats) -> Floats:
        """What each feature's cuts took off the expected depth, in units of the norm; float64[n, d]."""
        result = np.zeros(x.shape)
        for start in range(0, len(x), CHUNK):
            rows = x[start : start + CHUNK]
            result[start : start + CHUNK] = self._attributed(rows)
        return result

    def _attributed(self, x: Floats) -> Floats:
        """Contributions of a chunk."""
        paths = list(self._paths(x))
        saved = np.zeros(x.size)
        row = np.arange(len(x)) * self._d
        for level, (feature, _) in enumerate(self._levels):
            before = self._depths_at(level).take(paths[level])
            after = self._depths_at(level + 1).take(paths[level + 1])
            cell = feature.take(paths[level]) + row
            saved += np.bincount(cell.ravel(), (before - after).ravel(), minlength=x.size)
        result: Floats = saved.reshape(x.shape) / (len(self.feature) * self.norm[0])
        return result

    def _depths_at(self, level: int) -> Floats:
        """The mean depths of one level's nodes, tree after tree."""
        start = (1 << level) - 1
        return np.ascontiguousarray(self.depth[:, start : 2 * start + 1]).ravel()

    def _paths(self, x: Floats) -> Iterator[NDArray[np.intp]]:
        """Where each row is in each tree, level by level, intp[t, n]: the place among all trees' nodes of it."""
        with np.errstate(over="ignore"):
            values = np.ascontiguousarray(x, dtype=np.float32).ravel()
        row = np.arange(len(x)) * self._d
        at = np.repeat(np.arange(len(self.feature))[:, np.newaxis], len(x), axis=1)
        yield at
        for feature, threshold in self._levels:
            at = 2 * at + (values.take(feature.take(at) + row) > threshold.take(at))
            yield at


def average_depth(rows: int) -> float:
    """The mean depth of an unsuccessful search in a binary tree of `rows` random keys; Liu et al., equation 1."""
    if rows <= 2:
        return float(rows == 2)
    return float(2.0 * (np.log(rows - 1.0) + np.euler_gamma) - 2.0 * (rows - 1.0) / rows)


def _lay_out(
    tree: Any, names: NDArray[Any], feature: NDArray[np.int32], threshold: NDArray[np.float32], depth: Floats
) -> None:
    """Fill one tree's rows of the three arrays from a scikit-learn tree."""
    mean_depth = _mean_depths(tree)
    todo = [(0, 0)]
    while todo:
        node, place = todo.pop()
        depth[place] = mean_depth[node]
        if place >= len(feature):
            continue
        left, right = node, node
        if tree.children_left[node] >= 0:
            left, right = int(tree.children_left[node]), int(tree.children_right[node])
            feature[place] = names[tree.feature[node]]
            threshold[place] = _not_above(tree.threshold[node])
        todo += [(left, 2 * place + 1), (right, 2 * place + 2)]


def _mean_depths(tree: Any) -> Floats:
    """Each node's mean depth at which its training rows end, were unsplit leaves searched on; parents come first."""
    left, right, rows = tree.children_left, tree.children_right, tree.n_node_samples
    level = np.zeros(tree.node_count)
    for node in range(tree.node_count):
        if left[node] >= 0:
            level[[left[node], right[node]]] = level[node] + 1
    result = np.array([level[node] + average_depth(int(rows[node])) for node in range(tree.node_count)])
    for node in reversed(range(tree.node_count)):
        if left[node] >= 0:
            pair = [left[node], right[node]]
            result[node] = np.average(result[pair], weights=rows[pair])
    return result


def _not_above(threshold: float) -> np.float32:
    """The greatest float32 ≤ a threshold: scikit-learn compares float32 values, so the cut stays where it was."""
    near = np.float32(threshold)
    return near if near <= threshold else np.nextafter(near, np.float32(-np.inf))
