"""Long-tail score: how far a row lies from its neighbours (PAPER, Distilling a data pool, 5)."""

import numpy as np

from minimix.neighbours import nearest, nearest_in
from minimix.records import Vectors

NEIGHBOURS = 15


def rarity(embeddings: Vectors, *, neighbours: int = NEIGHBOURS, seed: int = 0) -> Vectors:
    """Return how far each row lies from its nearest other rows; higher is rarer.

    `embeddings` is (n, d) with unit rows. The result is (n,), a mean cosine distance in [0, 2]; to
    all others where they are fewer, and 0 for a row that is alone.
    """
    count = min(neighbours, len(embeddings) - 1)
    if count < 1:
        return np.zeros(len(embeddings), dtype=np.float32)
    _, cosines = nearest(embeddings, count=count, seed=seed)
    return _distance(cosines)


def rarity_among(vectors: Vectors, embeddings: Vectors, *, neighbours: int = NEIGHBOURS) -> Vectors:
    """Return how far each of `vectors` (m, d) lies from its nearest rows of `embeddings` (n, d).

    The result is (m,), on the scale of `rarity`. Raises DataError where n is 0.
    """
    count = max(1, min(neighbours, len(embeddings)))
    _, cosines = nearest_in(vectors, embeddings, count=count)
    return _distance(cosines)


def _distance(cosines: Vectors) -> Vectors:
    distances: Vectors = 1 - cosines.mean(axis=1)
    return distances


def scaled(values: Vectors) -> Vectors:
    """Return `values` moved to 0..1 by their smallest and largest; zeros where all are equal."""
    if not len(values):
        return values
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else values * 0
