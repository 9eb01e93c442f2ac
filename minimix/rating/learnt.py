"""The learnt rater: what ratings follow from words, counts and word vectors.

A linear model over everything, then shallow trees over the counts and the linear model's figure,
then a curve that makes it a rating: k is where a class of at least k is as likely as not. All of it
is arrays: stored without pickle, read without running anything.
"""

from dataclasses import dataclass

import numpy as np

from minimix.rating.features import Features
from minimix.records import Vectors

CHUNK = 1024
CLIP = 5.0
LOWEST, HIGHEST = 0.0, 5.0


@dataclass(frozen=True)
class Linear:
    """A linear model: `words` weighs the four bags, `dense` the standardised rest."""

    words: tuple[np.ndarray, ...]
    dense: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    intercept: float


@dataclass(frozen=True)
class Trees:
    """Trees of equal depth, summed: `features` and `thresholds` (t, 2^d - 1), `leaves` (t, 2^d).

    The children of node i are 2i + 1, where the feature is at most the threshold, and 2i + 2.
    """

    features: np.ndarray
    thresholds: np.ndarray
    leaves: np.ndarray
    base: float


@dataclass(frozen=True)
class Curve:
    """A function through knots, straight between them and level beyond."""

    x: np.ndarray
    y: np.ndarray

    def __call__(self, values: np.ndarray) -> Vectors:
        """Return its value at each of `values`."""
        result: Vectors = np.interp(values, self.x, self.y).astype(np.float32)
        return result


@dataclass(frozen=True)
class Learnt:
    """A fitted rater.

    `calibration` goes from the trees' figure to the rating. `length` is that figure as it is
    expected from the logarithm of a response's words alone; `neutral` goes from what is above it
    to a rating, so that length neither helps nor harms.
    """

    linear: Linear
    trees: Trees
    calibration: Curve
    length: Curve
    neutral: Curve


def standardised(dense: Vectors, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return columns with mean 0 and deviation 1 on the rows fitted on, cut at 5 deviations."""
    values: np.ndarray = np.clip((dense - mean) / scale, -CLIP, CLIP)
    return values


def linear_figure(linear: Linear, found: Features) -> np.ndarray:
    """Return what the linear model says of each sample: (n,)."""
    dense = standardised(found.dense(), linear.mean, linear.scale)
    dense = np.einsum("nc,c->n", dense, linear.dense)  # row by row: no bits from other rows
    words = sum(bag @ weights for bag, weights in zip(found.bags, linear.words, strict=True))
    figure: np.ndarray = dense + words + linear.intercept
    return figure


def tree_figure(trees: Trees, columns: Vectors) -> np.ndarray:
    """Return the sum of the trees for each row of `columns` (n, c): (n,)."""
    depth = int(np.log2(trees.leaves.shape[1]))
    each = np.arange(len(trees.features))
    figures = np.full(len(columns), trees.base)
    for start in range(0, len(columns), CHUNK):
        rows = columns[start : start + CHUNK]
        number = np.arange(len(rows))[:, None]
        node = np.zeros((len(rows), len(each)), dtype=np.intp)
        for _ in range(depth):
            right = rows[number, trees.features[each, node]] > trees.thresholds[each, node]
            node = 2 * node + 1 + right
        figures[start : start + CHUNK] += trees.leaves[each, node - len(trees.features[0])].sum(1)
    return figures


def figure(model: Learnt, found: Features) -> np.ndarray:
    """Return the trees' figure for each sample, not yet calibrated: (n,)."""
    linear = linear_figure(model.linear, found).astype(np.float32)
    return tree_figure(model.trees, np.column_stack([found.counts, linear]))


def predict(model: Learnt, found: Features) -> Vectors:
    """Return the rating of each sample: (n,), 0..5."""
    return np.clip(model.calibration(figure(model, found)), LOWEST, HIGHEST)


def predict_neutral(model: Learnt, found: Features) -> Vectors:
    """Return the rating of each sample as if all responses were of one length: (n,), 0..5."""
    above = figure(model, found) - model.length(np.log1p(found.words))
    return np.clip(model.neutral(above), LOWEST, HIGHEST)
