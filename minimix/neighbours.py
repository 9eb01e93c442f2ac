"""Nearest rows by cosine: exact while that is quick, through cells of similar rows above.

Cells are what an inverted file is made of: centres by k-means, each row in the cell of its nearest
centre, and a row looks for its neighbours in the few cells nearest to it. All of it is matrix
products over fixed blocks, so the result is the same however many processors share the work. A
graph as hnswlib builds it is the same twice only from one thread (docs/scale.md has the measures).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from minimix.errors import DataError
from minimix.records import Rows, Vectors
from minimix.threads import spread

EXACT_BELOW = 8_000
BLOCK = 2_048
SEARCH = 8_192
"""Rows at a time that are compared with all, and that are looked for in cells."""
CELLS = 3.0
"""Cells for the root of the rows: a row's time is then spent evenly on centres and on rows."""
PROBES = 32
"""Cells that a row looks into; 0.95 to 0.99 of the ten nearest are found there (docs/scale.md)."""
SAMPLE, ROUNDS = 32, 6
"""Rows for each centre that k-means sees, and its rounds: more find no more neighbours."""
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
    cells = _cells(embeddings, seed)
    rows = np.zeros((len(embeddings), count), dtype=np.intp)
    cosines = np.zeros((len(embeddings), count), dtype=np.float32)
    blocks = [cells.rows[start : start + SEARCH] for start in range(0, len(embeddings), SEARCH)]
    found = spread(lambda block: cells.search(embeddings, block, count), blocks)
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

    def search(start: int) -> tuple[Rows, Vectors]:
        block = queries[start : start + BLOCK] @ embeddings.T
        if skip_self:
            block[np.arange(len(block)), start + np.arange(len(block))] = NOBODY
        return _highest(block, count)

    found = list(spread(search, range(0, len(queries), BLOCK)))
    if not found:
        return np.zeros((0, count), dtype=np.intp), np.zeros((0, count), dtype=np.float32)
    return np.concatenate([rows for rows, _ in found]), np.concatenate([cos for _, cos in found])


@dataclass(frozen=True)
class _Cells:
    """Rows by cell, none empty: `rows[starts[c] : starts[c + 1]]` lie in that of centre c."""

    centres: Vectors
    rows: Rows
    starts: Rows

    def search(self, embeddings: Vectors, queries: Rows, count: int) -> tuple[Rows, Vectors]:
        """Return the nearest rows of each query, and their cosines, among those it looks at."""
        vectors = embeddings[queries]
        # no cell is empty, so these hold more rows than are wanted
        probed = min(max(PROBES, count + 1), len(self.centres))
        probes, _ = _highest(vectors @ self.centres.T, probed)
        best = np.full((len(queries), probes.shape[1], count), NOBODY, dtype=np.float32)
        labels = np.zeros(best.shape, dtype=np.intp)
        for cell, (asking, place) in self._asked(probes):
            members = self.rows[self.starts[cell] : self.starts[cell + 1]]
            block = vectors[asking] @ embeddings[members].T
            block[queries[asking][:, None] == members] = NOBODY
            width = min(count, len(members))
            top = np.argpartition(-block, width - 1, axis=1)[:, :width]
            best[asking, place, :width] = np.take_along_axis(block, top, axis=1)
            labels[asking, place, :width] = members[top]
        flat, named = best.reshape(len(queries), -1), labels.reshape(len(queries), -1)
        order = np.lexsort((named, -flat), axis=1)[:, :count]  # equal cosines by row number
        return np.take_along_axis(named, order, axis=1), np.take_along_axis(flat, order, axis=1)

    def _asked(self, probes: Rows) -> Iterator[tuple[int, tuple[Rows, Rows]]]:
        """Yield each cell that is asked, with who asks it: query and the place of its probe."""
        order = np.argsort(probes, axis=None, kind="stable")
        sizes = np.bincount(probes.ravel(), minlength=len(self.centres))
        ends = np.cumsum(sizes)
        for cell in np.flatnonzero(sizes).tolist():
            asked = order[ends[cell] - sizes[cell] : ends[cell]]
            yield cell, np.divmod(asked, probes.shape[1])


def _cells(embeddings: Vectors, seed: int) -> _Cells:
    """Return the rows in their cells."""
    count = int(CELLS * len(embeddings) ** 0.5)
    drawn = np.random.default_rng(seed).permutation(len(embeddings))[: SAMPLE * count]
    sample = embeddings[np.sort(drawn)]
    centres = embeddings[drawn[:count]]
    for _ in range(ROUNDS):
        homes = _homes(sample, centres)
        order = np.argsort(homes, kind="stable")
        taken, starts = np.unique(homes[order], return_index=True)
        sums = np.add.reduceat(sample[order], starts, axis=0)
        centres = centres.copy()  # an empty cell keeps its centre
        centres[taken] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
    homes = _homes(embeddings, centres)
    taken, sizes = np.unique(homes, return_counts=True)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    return _Cells(centres[taken], np.argsort(homes, kind="stable"), starts)


def _homes(embeddings: Vectors, centres: Vectors) -> Rows:
    """Return the nearest centre of each row."""

    def home(start: int) -> Rows:
        block: Rows = np.argmax(embeddings[start : start + BLOCK] @ centres.T, axis=1)
        return block

    return np.concatenate(list(spread(home, range(0, len(embeddings), BLOCK))))


def _highest(block: Vectors, count: int) -> tuple[Rows, Vectors]:
    """Return the columns of the `count` highest values of each row, highest first, and the values.

    Equal values go by column.
    """
    top = np.sort(np.argpartition(-block, count - 1, axis=1)[:, :count], axis=1)
    last = np.take_along_axis(block, top, axis=1).min(axis=1, keepdims=True)
    for row in np.flatnonzero((block >= last).sum(axis=1) > count):  # which of equals is no chance
        top[row] = np.sort(np.argsort(-block[row], kind="stable")[:count])
    values = np.take_along_axis(block, top, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(top, order, axis=1), np.take_along_axis(values, order, axis=1)
