"""What the students' losses say of one set against another, in numbers and in words."""

from collections.abc import Mapping, Sequence

import numpy as np

from minimix.errors import DataError
from minimix.evaluate.statistics import RESAMPLES, TAILS, Figure

Losses = np.ndarray
"""Loss per answer token, in nats: (seeds, held-out samples)."""
THIRDS = ("short", "middle", "long")


def average(losses: Losses, *, seed: int) -> Figure:
    """Return the mean loss of a set's students over the held-out samples, with its interval."""
    return _figure(np.atleast_2d(losses), seed)


def apart(ours: Losses, theirs: Losses, *, seed: int) -> Figure:
    """Return our loss minus theirs, sample by sample and seed by seed, with its 95 % interval.

    Students (pairs of the same seed) and samples are both drawn anew in each of 2,000 resamples, so
    that neither few students nor few samples pass for certainty. Raises DataError unless both have
    the same shape.
    """
    if ours.shape != theirs.shape:
        raise DataError(f"expected losses of one shape, found {ours.shape} and {theirs.shape}")
    return _figure(ours - theirs, seed)


def _figure(values: Losses, seed: int) -> Figure:
    students, samples = values.shape
    rng = np.random.default_rng([seed, students, samples])
    means = np.empty(RESAMPLES)
    for resample in range(RESAMPLES):
        rows = rng.integers(students, size=students)
        columns = rng.integers(samples, size=samples)
        means[resample] = values[np.ix_(rows, columns)].mean()
    low, high = np.quantile(means, TAILS)
    return Figure(float(values.mean()), float(low), float(high), samples)


def by_length(lengths: Sequence[int]) -> dict[str, np.ndarray]:
    """Return the held-out samples by thirds of their answers' length: name to positions."""
    order = np.argsort(np.asarray(lengths), kind="stable")
    return dict(zip(THIRDS, np.array_split(order, len(THIRDS)), strict=True))


def in_words(ours: str, differences: Mapping[str, Figure]) -> str:
    """Return the verdict on a set against others in one sentence each, "no difference" among them.

    A difference is one only where its interval lies to one side of zero.
    """
    said = []
    for rival, figure in differences.items():
        told = (
            f"{figure.value:+.3f} nats per answer token ({figure.low:+.3f} to {figure.high:+.3f})"
        )
        if figure.high < 0:
            said.append(f"{ours} trains a better student than {rival}: {told}.")
        elif figure.low > 0:
            said.append(f"{ours} trains a worse student than {rival}: {told}.")
        else:
            said.append(f"No difference between {ours} and {rival} can be told: {told}.")
    return " ".join(said)
