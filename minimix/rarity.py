"""Long-tail score: how far a row lies from its neighbours (PAPER, Distilling a data pool, 5)."""

from minimix.neighbours import nearest
from minimix.records import Vectors


def rarity(embeddings: Vectors, *, neighbours: int = 15, seed: int = 0) -> Vectors:
    """Return how far each row lies from its nearest other rows; higher is rarer.

    `embeddings` is (n, d) with unit rows. The result is (n,), a mean cosine distance in [0, 2].
    Raises DataError unless n > neighbours.
    """
    _, cosines = nearest(embeddings, count=neighbours, seed=seed)
    distances: Vectors = 1 - cosines.mean(axis=1)
    return distances


def scaled(values: Vectors) -> Vectors:
    """Return `values` moved to 0..1 by their smallest and largest; zeros where all are equal."""
    if not len(values):
        return values
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else values * 0
