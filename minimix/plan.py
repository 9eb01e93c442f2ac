"""The order in which clusters are written: by what each can be expected to add to the final set.

A fusion that is accepted is worth about what its rows are: its rarity follows from theirs, its
rating from the best of theirs. Whether it is accepted hangs on the distiller too. So the odds begin
as a guess, and are learnt from the clusters that had their turn. `benchmarks/plan.py` measures it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from minimix.audit import asks
from minimix.records import Cluster, Sample, Vectors
from minimix.spool import subset

GUESS = np.array([-1.5, 0.7, 0.3, 0.0, 0.0, 0.0])
"""Weights before anything is written: two in ten hold, more where the questions ask the same."""
STRENGTH = np.array([0.1, 3.0, 3.0, 3.0, 3.0, 3.0])
"""How hard each weight is to move; the first, the share that holds in general, moves at once."""
RARE = 6
"""Power of rarity: the final set takes the rarest of what is accepted, so odds alone mislead."""
STEPS, LONGEST_STEP, SHORTEST_STEP = 50, 1.0, 1e-6


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known of n clusters before any is written.

    `rarity` (n,) is the mean of a cluster's rows, 0..1, `rating` (n,) that of the best of them.
    `signs` (n, 6) are what the odds follow from, each with mean 0 and deviation 1 behind a column
    of ones: how far the question of the longest response asks what the others ask, how far the
    questions do in the mean, the number of rows, the logarithm of their words, their rarity.
    """

    rarity: Vectors
    rating: Vectors
    signs: np.ndarray


def outlook(
    clusters: Sequence[Cluster], samples: Sequence[Sample], *, rarity: Vectors, ratings: Vectors
) -> Outlook:
    """Return what is known of `clusters`; `rarity` (0..1) and `ratings` (0..5) go by row."""
    rows = [list(cluster.rows) for cluster in clusters]
    mean = np.array([rarity[own].mean() for own in rows], dtype=np.float32)
    best = np.array([ratings[own].max() for own in rows], dtype=np.float32)
    told = [_signs(list(subset(samples, own))) for own in rows]
    columns = np.column_stack([np.array(told).reshape(len(rows), 4), mean])
    deviation = columns.std(axis=0) if len(rows) else np.ones(5)
    middle = columns.mean(axis=0) if len(rows) else np.zeros(5)
    signs = (columns - middle) / np.where(deviation > 0, deviation, 1)
    return Outlook(mean, best, np.column_stack([np.ones(len(rows)), signs]))


def _signs(sources: Sequence[Sample]) -> tuple[float, float, float, float]:
    """Return what a cluster's samples say of its odds, as `Outlook` names it."""
    questions = [sample.prompt for sample in sources]
    longest = max(sources, key=lambda sample: len(sample.response)).prompt
    shared = [asks(one, other) for one, other in permutations(questions, 2)]
    words = sum(len(sample.text.split()) for sample in sources)
    least = min(asks(longest, question) for question in questions)
    return least, sum(shared) / len(shared), len(sources), float(np.log(words))


def odds(outlook: Outlook, turned: Mapping[int, bool]) -> np.ndarray:
    """Return how likely a fusion of each cluster is accepted: (n,), 0..1.

    `turned` says of the clusters that had their turn, by position, whether one was. A logistic
    regression towards the guess; sums go row by row, so that their bits are no matter of threads.
    """
    rows = np.fromiter(turned, dtype=np.intp, count=len(turned))
    signs = outlook.signs[rows]
    accepted = np.fromiter(turned.values(), dtype=np.float64, count=len(turned))
    weights = GUESS.copy()
    for _ in range(STEPS if len(rows) else 0):
        share = _share(signs, weights)
        slope = np.einsum("nf,n->f", signs, share - accepted) + STRENGTH * (weights - GUESS)
        spread = np.einsum("nf,n,ng->fg", signs, share * (1 - share), signs) + np.diag(STRENGTH)
        step = np.linalg.solve(spread, slope)
        step *= min(1.0, LONGEST_STEP / max(float(np.abs(step).max()), SHORTEST_STEP))
        weights -= step
        if np.abs(step).max() < SHORTEST_STEP:
            break
    return _share(outlook.signs, weights)


def _share(signs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    share: np.ndarray = 1 / (1 + np.exp(-np.einsum("nf,f->n", signs, weights)))
    return share


def worth(outlook: Outlook, turned: Mapping[int, bool]) -> np.ndarray:
    """Return what writing each cluster can be expected to add: (n,).

    The odds of a fusion times its gain: the best source's rating, times rarity to the sixth power.
    """
    gain = outlook.rating * outlook.rarity.astype(np.float64) ** RARE
    expected: np.ndarray = odds(outlook, turned) * gain
    return expected


def plan(outlook: Outlook, turned: Mapping[int, bool]) -> list[int]:
    """Return the positions of the clusters that had no turn, the one worth most first.

    Equal ones go by position.
    """
    expected = worth(outlook, turned)
    waiting = [position for position in range(len(expected)) if position not in turned]
    return sorted(waiting, key=lambda position: (-expected[position], position))


@dataclass(frozen=True, slots=True)
class Group:
    """Clusters of like worth: how many, and the means of their odds, ratings and rarity.

    `written` had their turn, and `accepted` fusions came of them.
    """

    clusters: int
    odds: float
    rating: float
    rarity: float
    written: int
    accepted: int


def describe(
    outlook: Outlook, turned: Mapping[int, bool], groups: Sequence[Sequence[int]]
) -> list[Group]:
    """Return what is known of groups of clusters, by their positions; none may be empty."""
    likely = odds(outlook, turned)
    return [
        Group(
            clusters=len(rows),
            odds=float(likely[rows].mean()),
            rating=float(outlook.rating[rows].mean()),
            rarity=float(outlook.rarity[rows].mean()),
            written=sum(row in turned for row in rows),
            accepted=sum(turned.get(row, False) for row in rows),
        )
        for rows in map(list, groups)
    ]


def by_worth(outlook: Outlook, turned: Mapping[int, bool], *, groups: int) -> list[list[int]]:
    """Return all positions in `groups` of like size, those worth most first; none is empty."""
    expected = worth(outlook, turned)
    order = np.lexsort((np.arange(len(expected)), -expected))
    return [rows.tolist() for rows in np.array_split(order, groups) if len(rows)]
