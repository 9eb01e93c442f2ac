"""Nearest rows by cosine: exact while that is quick, through cells of similar rows above."""

import numpy as np

from minimix.cells import BLOCK, EXACT_BELOW, PROBES, Cells, asked, first, highest, in_cells
from minimix.errors import DataError
from minimix.records import Rows, Vectors
from minimix.threads import spread

SEARCH = 8_192
"""Rows at a time that are looked for in cells."""
COSINES = 2**26
"""Of a block of queries with all rows at most: a quarter of a gigabyte, and as much to sort."""
FIRST = 2
"""Cells that are looked through for the nearest before the others are."""
NOBODY = np.float32(-2.0)
"""Below any cosine."""


def nearest(embeddings: Vectors, *, count: int, seed: int = 0) -> tuple[Rows, Vectors]:
    """Return the `count` nearest other rows of each row and their cosines, the nearest first.

    `embeddings` is (n, d) with unit rows; both results are (n, count). Equal cosines go by row
    number. Raises DataError unless n > count.
    """
    if len(embeddings) <= count:
        raise DataError(f"{count} neighbours need more than {count} rows, found {len(embeddings)}")
    if len(embeddings) < EXACT_BELOW:
        return nearest_in(embeddings, embeddings, count=count, skip_self=True)
    cells = in_cells(embeddings, np.arange(len(embeddings)), seed=seed)
    rows = np.zeros((len(embeddings), count), dtype=np.intp)
    cosines = np.zeros((len(embeddings), count), dtype=np.float32)
    blocks = [cells.places[start : start + SEARCH] for start in range(0, len(embeddings), SEARCH)]
    found = spread(lambda block: _search(cells, embeddings, block, count), blocks)
    for block, (near, cosine) in zip(blocks, found, strict=True):
        rows[block], cosines[block] = near, cosine
    return rows, cosines


def nearest_in(
    queries: Vectors, embeddings: Vectors, *, count: int, skip_self: bool = False
) -> tuple[Rows, Vectors]:
    """Return, exactly, the `count` rows of `embeddings` nearest to each query, and their cosines.

    `skip_self` leaves out row i for query i. Raises DataError where there are fewer rows.
    """
    if len(embeddings) < count + skip_self:
        raise DataError(f"{count} neighbours: found only {len(embeddings)} rows")

    rows = max(1, min(BLOCK, COSINES // max(1, len(embeddings))))

    def search(start: int) -> tuple[Rows, Vectors]:
        block = queries[start : start + rows] @ embeddings.T
        if skip_self:
            block[np.arange(len(block)), start + np.arange(len(block))] = NOBODY
        return highest(block, count)

    found = list(spread(search, range(0, len(queries), rows)))
    if not found:
        return np.zeros((0, count), dtype=np.intp), np.zeros((0, count), dtype=np.float32)
    return np.concatenate([near for near, _ in found]), np.concatenate([cos for _, cos in found])


def _search(cells: Cells, embeddings: Vectors, queries: Rows, count: int) -> tuple[Rows, Vectors]:
    """Return the nearest rows of each query, and their cosines, among those it looks at.

    The nearest few cells hold most of them, and say how near a row of the others has to be.
    """
    vectors = embeddings[queries]
    # no cell is empty, so these hold more rows than are wanted
    probes = cells.probes(vectors, max(PROBES, count + 1))
    rows, best = _best(cells, embeddings, queries, probes[:, :FIRST], count)
    found = [(np.repeat(np.arange(len(queries)), best.shape[1]), rows.ravel(), best.ravel())]
    least = np.partition(best, -count, axis=1)[:, -count]
    for cell, (asking, _) in asked(probes[:, FIRST:]):
        members = cells.members(cell)
        block = vectors[asking] @ embeddings[members].T
        here, there = np.nonzero(block >= least[asking, None])
        found.append((asking[here], members[there], block[here, there]))
    askers, near, cosines = map(np.concatenate, zip(*found, strict=True))
    other = near != queries[askers]
    return first(askers[other], near[other], cosines[other], (len(queries), count))


def _best(
    cells: Cells, embeddings: Vectors, queries: Rows, probes: Rows, count: int
) -> tuple[Rows, Vectors]:
    """Return `count` rows of each cell that a query looks into, and their cosines.

    Both are (n, cells x count), in no order; what a small cell lacks is the query itself.
    """
    best = np.full((*probes.shape, count), NOBODY, dtype=np.float32)
    rows = np.broadcast_to(queries[:, None, None], best.shape).copy()
    for cell, (asking, place) in asked(probes):
        members = cells.members(cell)
        block = embeddings[queries[asking]] @ embeddings[members].T
        block[queries[asking][:, None] == members] = NOBODY
        width = min(count, len(members))
        top = np.argpartition(-block, width - 1, axis=1)[:, :width]
        best[asking, place, :width] = np.take_along_axis(block, top, axis=1)
        rows[asking, place, :width] = members[top]
    return rows.reshape(len(queries), -1), best.reshape(len(queries), -1)
