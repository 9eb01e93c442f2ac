"""How far a figure over some tasks can be trusted: intervals that hold it 95 times in 100."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from minimix.errors import DataError

RESAMPLES = 2_000
TAILS = (0.025, 0.975)
Z = 1.959964
"""The normal quantile that leaves 2.5 % on either side."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A share or mean over `of` tasks, with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float
    of: int


UNKNOWN = Figure(math.nan, math.nan, math.nan, 0)
"""A figure that none of the tasks has."""


def share(found: Sequence[bool]) -> Figure:
    """Return the share of tasks for which something holds, with Wilson's interval.

    Raises DataError where there is no task.
    """
    n = _some(found)
    p = sum(found) / n
    centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    low, high = min(p, centre - half), max(p, centre + half)  # of 0 and 1 rounding takes a hair
    return Figure(p, max(0.0, low), min(1.0, high), n)


def mean(values: Sequence[float], *, seed: int) -> Figure:
    """Return the mean over tasks, with the percentiles of 2,000 bootstrap means.

    The same number of tasks and seed are resampled alike. Raises DataError where there is no task.
    """
    n = _some(values)
    own = np.asarray(values, dtype=np.float64)
    low, high = np.quantile(_resamples(n, seed) @ own / n, TAILS)
    return Figure(float(own.mean()), float(low), float(high), n)


def difference(ours: Sequence[float], theirs: Sequence[float], *, seed: int) -> Figure:
    """Return the mean of ours minus theirs, task by task, with its paired bootstrap interval.

    Raises DataError unless both have a value for each of the same tasks.
    """
    if len(ours) != len(theirs):
        raise DataError(f"expected values of the same tasks, found {len(ours)} and {len(theirs)}")
    pairs = zip(ours, theirs, strict=True)
    return mean([float(mine) - float(other) for mine, other in pairs], seed=seed)


def _some(values: Sequence[object]) -> int:
    if not values:
        raise DataError("expected at least one task to take a figure of, found none")
    return len(values)


@lru_cache(maxsize=32)
def _resamples(tasks: int, seed: int) -> np.ndarray:
    """Return how often each task is drawn in each resample: (RESAMPLES, tasks)."""
    rng = np.random.default_rng([seed, tasks])
    drawn = rng.integers(tasks, size=(RESAMPLES, tasks))
    counts = np.zeros((RESAMPLES, tasks))
    np.add.at(counts, (np.arange(RESAMPLES)[:, None], drawn), 1)
    return counts
