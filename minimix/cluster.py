"""Groups of similar rows: bounded in size, every pair above a floor, nobody forced in.

Complete linkage over a graph of nearest neighbours, from the most similar pair on; the full
matrix of the paper's capacity assignment is never built.
"""

from collections.abc import Hashable, Sequence

import numpy as np

from minimix.neighbours import nearest
from minimix.records import Cluster, Vectors

NEIGHBOURS = 10
LARGEST = 5
UNRELATED_PAIRS = 200_000
SIGMAS = 5.5
LEAST_FLOOR, MOST_FLOOR = 0.35, 0.8
"""What a handful of rows, all strangers or all alike, may make of the floor at most."""
NORMAL_MAD = 1.4826
"""Sigma of a normal distribution in median absolute deviations."""


def similarity_floor(embeddings: Vectors, *, seed: int) -> float:
    """Return the cosine from which two rows are no chance: median of random pairs plus 5.5 sigma.

    `embeddings` is (n, d) with unit rows, n >= 2. What unrelated rows of this embedder look like
    decides what related means. Sigma comes from the median absolute deviation, so that related
    pairs among those drawn, many in a small pool, do not raise the bar for themselves.
    """
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, len(embeddings), (2, UNRELATED_PAIRS))
    differ = left != right
    cosines = np.einsum("nd,nd->n", embeddings[left[differ]], embeddings[right[differ]])
    middle = np.median(cosines)
    sigma = NORMAL_MAD * np.median(np.abs(cosines - middle))
    return float(np.clip(middle + SIGMAS * sigma, LEAST_FLOOR, MOST_FLOOR))


def group_similar(
    embeddings: Vectors, *, groups: Sequence[Hashable], floor: float, seed: int
) -> list[Cluster]:
    """Return clusters of 2..5 rows, every pair in one at or above `floor`, none in two.

    `embeddings` is (n, d) with unit rows; only rows of the same group, row for row, may meet.
    Clusters stand in the order of their first rows.
    """
    count = min(NEIGHBOURS, len(embeddings) - 1)
    if count < 1:
        return []
    rows, cosines = nearest(embeddings, count=count, seed=seed)
    members = {row: [row] for row in range(len(embeddings))}
    root = list(range(len(embeddings)))
    for left, right in _pairs(rows, cosines, floor):
        one, two = root[left], root[right]
        if one == two or groups[left] != groups[right]:
            continue
        if len(members[one]) + len(members[two]) > LARGEST:
            continue
        if (embeddings[members[one]] @ embeddings[members[two]].T).min() < floor:
            continue
        for row in members[two]:
            root[row] = one
        members[one] += members.pop(two)
    found = [tuple(sorted(rows)) for rows in members.values() if len(rows) > 1]
    return [Cluster(rows, _mean_cosine(embeddings, rows)) for rows in sorted(found)]


def split(
    cluster: Cluster, lengths: Sequence[int], embeddings: Vectors
) -> tuple[list[Cluster], tuple[int, ...]]:
    """Return the shorter rows of a cluster and the longer ones, and rows that then are alone.

    `lengths` go row for row of the cluster, `embeddings` (n, d) row for row of the pool. The
    longest of three is alone, so that the others fit sooner; a pair has no parts.
    """
    rows = [row for _, row in sorted(zip(lengths, cluster.rows, strict=True))]
    middle = (len(rows) + 1) // 2
    halves = [tuple(sorted(half)) for half in (rows[:middle], rows[middle:])]
    parts = [Cluster(half, _mean_cosine(embeddings, half)) for half in halves if len(half) > 1]
    return parts, tuple(row for half in halves if len(half) == 1 for row in half)


def _pairs(rows: np.ndarray, cosines: Vectors, floor: float) -> list[tuple[int, int]]:
    """Return neighbouring pairs at or above the floor, the most similar first, each once."""
    here = np.repeat(np.arange(len(rows)), rows.shape[1])
    there, cosine = rows.ravel(), cosines.ravel()
    near = cosine >= floor
    left = np.minimum(here, there)[near]
    right = np.maximum(here, there)[near]
    order = np.lexsort((right, left, -cosine[near]))  # ties by row number, so runs repeat
    return list(dict.fromkeys(zip(left[order].tolist(), right[order].tolist(), strict=True)))


def _mean_cosine(embeddings: Vectors, rows: Sequence[int]) -> float:
    block = embeddings[list(rows)] @ embeddings[list(rows)].T
    upper = np.triu_indices(len(rows), 1)
    return float(block[upper].mean())
