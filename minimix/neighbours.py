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
COSINES = 2**26
"""Of a block at most, a quarter of a gigabyte for each processor."""
CELLS = 3.0
"""Cells for the root of the rows: a row's time is then spent evenly on centres and on rows."""
PROBES = 32
"""Cells that a row looks into; 0.95 to 0.99 of the ten nearest are found there (docs/scale.md)."""
FIRST = 2
"""Of these, those that are looked through for the nearest before the others are."""
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

    rows = max(1, min(BLOCK, COSINES // max(1, len(embeddings))))

    def search(start: int) -> tuple[Rows, Vectors]:
        block = queries[start : start + rows] @ embeddings.T
        if skip_self:
            block[np.arange(len(block)), start + np.arange(len(block))] = NOBODY
        return _highest(block, count)

    found = list(spread(search, range(0, len(queries), rows)))
    if not found:
        return np.zeros((0, count), dtype=np.intp), np.zeros((0, count), dtype=np.float32)
    return np.concatenate([near for near, _ in found]), np.concatenate([cos for _, cos in found])


@dataclass(frozen=True)
class _Cells:
    """Rows by cell, none empty: `rows[starts[c] : starts[c + 1]]` lie in that of centre c."""

    centres: Vectors
    rows: Rows
    starts: Rows

    def search(self, embeddings: Vectors, queries: Rows, count: int) -> tuple[Rows, Vectors]:
        """Return the nearest rows of each query, and their cosines, among those it looks at.

        The nearest few cells hold most of them, and say how near a row of the others has to be.
        """
        vectors = embeddings[queries]
        # no cell is empty, so these hold more rows than are wanted
        probed = min(max(PROBES, count + 1), len(self.centres))
        probes, _ = _highest(vectors @ self.centres.T, probed)
        rows, best = self._best(embeddings, queries, probes[:, :FIRST], count)
        found = [(np.repeat(np.arange(len(queries)), best.shape[1]), rows.ravel(), best.ravel())]
        least = np.partition(best, -count, axis=1)[:, -count]
        for cell, (asking, _) in self._asked(probes[:, FIRST:]):
            members = self.rows[self.starts[cell] : self.starts[cell + 1]]
            block = vectors[asking] @ embeddings[members].T
            here, there = np.nonzero(block >= least[asking, None])
            found.append((asking[here], members[there], block[here, there]))
        asked, near, cosines = map(np.concatenate, zip(*found, strict=True))
        other = near != queries[asked]
        asked, near, cosines = asked[other], near[other], cosines[other]
        return _first(asked, near, cosines, (len(queries), count))

    def _best(
        self, embeddings: Vectors, queries: Rows, probes: Rows, count: int
    ) -> tuple[Rows, Vectors]:
        """Return `count` rows of each cell that a query looks into, and their cosines.

        Both are (n, cells x count), in no order; what a small cell lacks is the query itself.
        """
        best = np.full((*probes.shape, count), NOBODY, dtype=np.float32)
        rows = np.broadcast_to(queries[:, None, None], best.shape).copy()
        for cell, (asking, place) in self._asked(probes):
            members = self.rows[self.starts[cell] : self.starts[cell + 1]]
            block = embeddings[queries[asking]] @ embeddings[members].T
            block[queries[asking][:, None] == members] = NOBODY
            width = min(count, len(members))
            top = np.argpartition(-block, width - 1, axis=1)[:, :width]
            best[asking, place, :width] = np.take_along_axis(block, top, axis=1)
            rows[asking, place, :width] = members[top]
        return rows.reshape(len(queries), -1), best.reshape(len(queries), -1)

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
    least = np.partition(block, -count, axis=1)[:, -count, None]
    here, there = np.nonzero(block >= least)
    return _first(here, there, block[here, there], (len(block), count))


def _first(
    owners: Rows, columns: Rows, values: Vectors, shape: tuple[int, int]
) -> tuple[Rows, Vectors]:
    """Return, of values in any order, the highest of each owner with their columns.

    Both are of `shape`: owners, and how many of each, who has as many or more.
    """
    order = np.lexsort((columns, -values, owners))  # equal values by column
    ends = np.cumsum(np.bincount(owners, minlength=shape[0]))
    chosen = order[np.concatenate([[0], ends[:-1]])[:, None] + np.arange(shape[1])]
    return columns[chosen], values[chosen]
