"""Fit the learnt rater to rated samples.

Every figure that a later step learns from is out of fold: the linear model never says anything of
a row it was fitted on, nor do the trees whose figures are calibrated and judged.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minimix.config import HIGH
from minimix.errors import DataError
from minimix.extras import need
from minimix.progress import Progress, silent
from minimix.rating.features import Features
from minimix.rating.learnt import Curve, Learnt, Linear, Trees, linear_figure, standardised
from minimix.rating.learnt import tree_figure as sum_of_trees
from minimix.records import Vectors

LEAST_ROWS = 100
FOLDS = 5
DAMPING = 5.0
DENSE_SHARE = 3.0
"""Weight of all dense columns together against one bag of words."""
DEPTH = 4
TREES: dict[str, Any] = {
    "n_estimators": 300,
    "learning_rate": 0.05,
    "max_depth": DEPTH,
    "subsample": 0.5,
    "max_features": 0.2,
    "min_samples_leaf": 20,
}
CLASSES = 6
LEAST_REACHED = 10
"""Rows on either side of a class from which its threshold is set."""
LENGTH_BINS = 20


@dataclass(frozen=True)
class Fitted:
    """A rater with what it said of the rows it was fitted on, each out of fold: (n,), 0..5."""

    model: Learnt
    ratings: Vectors
    neutral: Vectors


def fit(
    found: Features,
    classes: np.ndarray,
    groups: np.ndarray,
    *,
    seed: int,
    progress: Progress = silent,
) -> Fitted:
    """Return the learnt rater of samples with classes 0..5 (fractions are allowed).

    Rows of one of the `groups` (n,) are held out together: parts of a chat, or versions of a text.
    Raises DataError for fewer than 100 rows, or where all have the same class.
    """
    classes = np.asarray(classes, dtype=np.float64)
    if len(classes) < LEAST_ROWS or np.ptp(classes) == 0:
        raise DataError(
            f"a learnt rater needs at least {LEAST_ROWS} rated rows with different ratings, "
            f"found {len(classes)} with {len(np.unique(classes))}; "
            "kNN-Bayes needs half as many (--rater knn-bayes)"
        )
    linear_folds = np.zeros(len(classes))
    for kept, held in progress(list(folds(groups, seed)), "Fitting words"):
        part = fit_linear(found.take(kept), classes[kept])
        linear_folds[held] = linear_figure(part, found.take(held))
    linear = fit_linear(found, classes)
    columns = np.column_stack([found.counts, linear_folds.astype(np.float32)])
    tree_folds = np.zeros(len(classes))
    for kept, held in progress(list(folds(groups, seed + 1)), "Fitting trees"):
        part_trees = fit_trees(columns[kept], classes[kept], seed=seed)
        tree_folds[held] = sum_of_trees(part_trees, columns[held])
    lengths = np.log1p(found.words)
    length = _binned(lengths, tree_folds)
    above = tree_folds - length(lengths)
    fair = classes - _binned(lengths, classes)(lengths) + classes.mean()
    model = Learnt(
        linear=linear,
        trees=fit_trees(columns, classes, seed=seed),
        calibration=thresholds(tree_folds, classes),
        length=length,
        neutral=thresholds(above, fair),
    )
    ratings, neutral = model.calibration(tree_folds), model.neutral(above)
    return Fitted(model, np.clip(ratings, 0, CLASSES - 1), np.clip(neutral, 0, CLASSES - 1))


def fit_linear(found: Features, classes: np.ndarray) -> Linear:
    """Return the ridge regression of `classes` on bags, counts and vectors."""
    sparse = need("scipy.sparse")
    dense = found.dense()
    mean, scale = dense.mean(axis=0), dense.std(axis=0) + 1e-6
    share = np.sqrt(DENSE_SHARE / dense.shape[1])
    values = sparse.csr_matrix(standardised(dense, mean, scale) * share)
    joined = sparse.hstack([*found.bags, values], format="csr")
    target = classes - classes.mean()
    weights = need("scipy.sparse.linalg").lsqr(joined, target, damp=np.sqrt(DAMPING))[0]
    ends = np.cumsum([bag.shape[1] for bag in found.bags])
    *words, rest = np.split(weights.astype(np.float32), ends)
    return Linear(tuple(words), rest * np.float32(share), mean, scale, float(classes.mean()))


def fit_trees(columns: Vectors, classes: np.ndarray, *, seed: int) -> Trees:
    """Return gradient-boosted trees of depth 4, filled up so that all are complete."""
    ensemble = need("sklearn.ensemble")
    fitted = ensemble.GradientBoostingRegressor(**TREES, random_state=seed).fit(columns, classes)
    trees = [_complete(one.tree_) for one in fitted.estimators_[:, 0]]
    features, thresholds, leaves = (np.stack(part) for part in zip(*trees, strict=True))
    leaves = (leaves * fitted.learning_rate).astype(np.float32)
    return Trees(features, thresholds, leaves, float(classes.mean()))


def _complete(tree: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a fitted tree as arrays of a complete one; what ended early is led to its leaf."""
    inner = 2**DEPTH - 1
    features = np.zeros(inner, dtype=np.int16)
    thresholds = np.full(inner, np.inf, dtype=np.float32)
    leaves = np.zeros(inner + 1)
    places = [(0, 0)]
    for place, node in places:
        left, right = int(tree.children_left[node]), int(tree.children_right[node])
        if place >= inner:
            leaves[place - inner] = tree.value[node].item()
        elif left < 0:
            places += [(2 * place + 1, node), (2 * place + 2, node)]
        else:
            features[place] = tree.feature[node]
            # the values compared are float32: the next one below keeps "at most" as it was
            thresholds[place] = _round_down(float(tree.threshold[node]))
            places += [(2 * place + 1, left), (2 * place + 2, right)]
    return features, thresholds, leaves


def _round_down(value: float) -> np.float32:
    """Return the largest float32 that is at most `value`."""
    near = np.float32(value)
    return near if float(near) <= value else np.nextafter(near, np.float32(-np.inf))


def thresholds(figures: np.ndarray, classes: np.ndarray) -> Curve:
    """Return the curve to ratings: k where a class of at least k is as likely as not.

    So 4 or more says "more likely than not a 4 or 5". The expected class would not do: it shrinks
    towards the mean, and the best of ten thousand rows would be rated 3.9. Each crossing is that of
    a logistic regression on the figure; 0 lies as far below 1 as 2 above it. Where the figures say
    nothing of the classes, every rating is the mean class.
    """
    knots = _crossings(figures, classes)
    if not knots:
        return Curve(np.array([0.0, 1.0]), np.full(2, classes.mean()))
    if len(knots) == 1:
        at, only = knots[0]
        step = max(float(np.std(figures)), 1e-6) / CLASSES
        below = only == CLASSES - 1
        knots = (
            [(at - step, only - 1), (at, only)] if below else [(at, only), (at + step, only + 1)]
        )
    (first, low), (second, high) = knots[:2]
    knots.insert(0, (first - (second - first) * low / (high - low), 0.0))
    (before, less), (last, most) = knots[-2:]
    if most < CLASSES - 1:
        steps = CLASSES - 1 - most
        knots.append((last + (last - before) / (most - less) * steps, most + steps))
    x, y = np.array(knots).T
    return Curve(x, y)


def _crossings(figures: np.ndarray, classes: np.ndarray) -> list[tuple[float, float]]:
    """Return where each class is as likely reached as not, and that class, both rising."""
    logistic = need("sklearn.linear_model").LogisticRegression
    knots: list[tuple[float, float]] = []
    for level in range(1, CLASSES):
        reached = classes >= level
        if reached.sum() < LEAST_REACHED or (~reached).sum() < LEAST_REACHED:
            continue
        fitted = logistic(C=1e3).fit(figures[:, None], reached)
        slope = fitted.coef_.item()
        if slope > 0:
            crossing = -fitted.intercept_.item() / slope
            while knots and crossing <= knots[-1][0] and knots[-1][1] != HIGH:
                knots.pop()  # the higher class is reached no later: the lower says nothing more
            if not knots or crossing > knots[-1][0]:
                knots.append((crossing, float(level)))
    return knots


def _binned(lengths: np.ndarray, figures: np.ndarray) -> Curve:
    """Return the mean of `figures` along `lengths`, over bins of equal size."""
    order = np.argsort(lengths, kind="stable")
    bins = [part for part in np.array_split(order, LENGTH_BINS) if len(part)]
    x = np.array([lengths[part].mean() for part in bins])
    y = np.array([figures[part].mean() for part in bins])
    places, where = np.unique(x, return_inverse=True)
    means = np.bincount(where, weights=y) / np.bincount(where)
    return Curve(places, means)


def folds(groups: np.ndarray, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows to fit on and rows held out, five times; every group is held out once, whole."""
    names = np.unique(groups)
    if len(names) < FOLDS:
        raise DataError(
            f"rated samples of at least {FOLDS} records are needed, found {len(names)}: "
            "exchanges of one record are held out together"
        )
    order = np.random.default_rng([seed, FOLDS]).permutation(len(names))
    for part in np.array_split(order, FOLDS):
        held = np.isin(groups, names[part])
        yield np.flatnonzero(~held), np.flatnonzero(held)
