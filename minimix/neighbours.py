"""Nearest rows by cosine: exact while that is quick, an hnswlib graph above."""

import numpy as np

from minimix.errors import DataError
from minimix.extras import need
from minimix.records import Rows, Vectors

EXACT_BELOW = 4_000
BLOCK = 1_024
LINKS = 16
BUILD_WIDTH = 100
SEARCH_WIDTH = 64


def nearest(embeddings: Vectors, *, count: int, seed: int = 0) -> tuple[Rows, Vectors]:
    """Return the `count` nearest other rows of each row and their cosines, the nearest first.

    `embeddings` is (n, d) with unit rows; both results are (n, count). Equal cosines go by row
    number. Raises DataError unless n > count.
    """
    if len(embeddings) <= count:
        raise DataError(f"{count} neighbours need more than {count} rows, found {len(embeddings)}")
    if len(embeddings) < EXACT_BELOW:
        return nearest_in(embeddings, embeddings, count=count, skip_self=True)
    index = need("hnswlib").Index("cosine", embeddings.shape[1])
    index.init_index(len(embeddings), M=LINKS, ef_construction=BUILD_WIDTH, random_seed=seed)
    index.add_items(embeddings, num_threads=1)  # more threads build another graph each time
    index.set_ef(max(SEARCH_WIDTH, 2 * count))
    labels, distances = index.knn_query(embeddings, k=count + 1)
    return _without_self(labels.astype(np.intp), 1 - distances.astype(np.float32), count)


def nearest_in(
    queries: Vectors, embeddings: Vectors, *, count: int, skip_self: bool = False
) -> tuple[Rows, Vectors]:
    """Return, exactly, the `count` rows of `embeddings` nearest to each query, and their cosines.

    `skip_self` leaves out row i for query i. Raises DataError where there are fewer rows.
    """
    if len(embeddings) < count + skip_self:
        raise DataError(f"{count} neighbours: found only {len(embeddings)} rows")
    rows = np.zeros((len(queries), count), dtype=np.intp)
    cosines = np.zeros((len(queries), count), dtype=np.float32)
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK] @ embeddings.T
        if skip_self:
            block[np.arange(len(block)), start + np.arange(len(block))] = -np.inf
        near = np.argsort(-block, axis=1, kind="stable")[:, :count]
        rows[start : start + BLOCK] = near
        cosines[start : start + BLOCK] = np.take_along_axis(block, near, axis=1)
    return rows, cosines


def _without_self(rows: Rows, cosines: Vectors, count: int) -> tuple[Rows, Vectors]:
    """Drop each row's own number, wherever it stands: an exact copy can come before it."""
    other = rows != np.arange(len(rows))[:, None]
    keep = np.argsort(~other, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(rows, keep, axis=1), np.take_along_axis(cosines, keep, axis=1)
