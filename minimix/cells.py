"""Cells of similar rows: where a row's neighbours are looked for when rows are many.

Cells are what an inverted file is made of: centres by k-means, each row in the cell of its nearest
centre, and a row looks for its neighbours in the few cells nearest to it. All of it is matrix
products over fixed blocks, so the result is the same however many processors share the work. A
graph as hnswlib builds it is the same twice only from one thread (docs/scale.md has the measures).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from minimix.records import Rows, Vectors
from minimix.threads import spread

EXACT_BELOW = 8_000
"""Rows below which all are compared with all: no slower, and nothing is missed."""
BLOCK = 2_048
CELLS = 3.0
"""Cells for the root of the rows: a row's time is then spent evenly on centres and on rows."""
PROBES = 32
"""Cells that a row looks into; 0.95 to 0.99 of the ten nearest are found there (docs/scale.md)."""
SAMPLE, ROUNDS = 32, 6
"""Rows for each centre that k-means sees, and its rounds: more find no more neighbours."""


@dataclass(frozen=True)
class Cells:
    """Places of rows by cell, rising within each; none is empty.

    Those from `starts[c]` up to `starts[c + 1]` of `places` lie in the cell of centre c.
    """

    centres: Vectors
    places: Rows
    starts: Rows

    def members(self, cell: int) -> Rows:
        """Return the places that lie in a cell, rising."""
        return self.places[self.starts[cell] : self.starts[cell + 1]]

    def probes(self, vectors: Vectors, count: int) -> Rows:
        """Return the `count` cells nearest to each vector, or all where they are fewer."""
        return highest(vectors @ self.centres.T, min(count, len(self.centres)))[0]


def asked(probes: Rows) -> Iterator[tuple[int, tuple[Rows, Rows]]]:
    """Yield each cell of `probes` (n, k), with who asks it: its rows, rising, and columns."""
    order = np.argsort(probes, axis=None, kind="stable")
    sizes = np.bincount(probes.ravel())
    ends = np.cumsum(sizes)
    for cell in np.flatnonzero(sizes).tolist():
        yield cell, np.divmod(order[ends[cell] - sizes[cell] : ends[cell]], probes.shape[1])


def in_cells(embeddings: Vectors, rows: Rows, *, seed: int) -> Cells:
    """Return where each of some rows lies; places are those in `rows`.

    `embeddings` is (n, d) with unit rows.
    """
    if len(rows) < EXACT_BELOW:
        everywhere = np.array([0, len(rows)])
        return Cells(embeddings[rows[:1]], np.arange(len(rows)), everywhere)
    count = int(CELLS * len(rows) ** 0.5)
    drawn = rows[np.random.default_rng(seed).permutation(len(rows))[: SAMPLE * count]]
    centres = embeddings[drawn[:count]]
    drawn = np.sort(drawn)
    for _ in range(ROUNDS):
        centres = _moved(centres, embeddings[drawn], _homes(embeddings, drawn, centres))
    homes = _homes(embeddings, rows, centres)
    taken, sizes = np.unique(homes, return_counts=True)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    return Cells(centres[taken], np.argsort(homes, kind="stable"), starts)


def _moved(centres: Vectors, sample: Vectors, homes: Rows) -> Vectors:
    """Return the centres moved to the middle of the rows at home there."""
    order = np.argsort(homes, kind="stable")
    taken, starts = np.unique(homes[order], return_index=True)
    sums = np.add.reduceat(sample[order], starts, axis=0)
    moved = centres.copy()  # an empty cell keeps its centre
    moved[taken] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
    return moved


def _homes(embeddings: Vectors, rows: Rows, centres: Vectors) -> Rows:
    """Return the nearest centre of each of some rows."""

    def home(start: int) -> Rows:
        block: Rows = np.argmax(embeddings[rows[start : start + BLOCK]] @ centres.T, axis=1)
        return block

    return np.concatenate(list(spread(home, range(0, len(rows), BLOCK))))


def highest(block: Vectors, count: int) -> tuple[Rows, Vectors]:
    """Return the columns of the `count` highest values of each row, highest first, and the values.

    Equal values go by column.
    """
    least = np.partition(block, -count, axis=1)[:, -count, None]
    here, there = np.nonzero(block >= least)
    return first(here, there, block[here, there], (len(block), count))


def first(
    owners: Rows, columns: Rows, values: Vectors, shape: tuple[int, int]
) -> tuple[Rows, Vectors]:
    """Return, of values in any order, the highest of each owner with their columns.

    Both are of `shape`: owners, and how many of each, who has as many or more.
    """
    order = np.lexsort((columns, -values, owners))  # equal values by column
    ends = np.cumsum(np.bincount(owners, minlength=shape[0]))
    chosen = order[np.concatenate([[0], ends[:-1]])[:, None] + np.arange(shape[1])]
    return columns[chosen], values[chosen]
