"""Which rows are covered by better ones near them: of a crowd, however large, one stays.

Rows go from the best on: one that no better one covers stays, and covers what is near it. So each
row that is covered is near one that stays, and no two that stay are near each other. No row
needs a list of those near it, which in a crowd would be as long as the crowd.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from minimix.cells import PROBES, Cells, asked, in_cells
from minimix.records import Rows, Vectors
from minimix.threads import spread

TOGETHER = 4_096
"""Rows that are compared with each other before those of them that stay look into cells."""
SLICE = 512
"""Of these, those that a thread takes at a time."""
AT_ONCE = 64
"""Cells, or small groups, that a thread takes at a time."""
MEMBERS = 8_192
"""Rows of a cell at a time: their cosines are then an eighth of a gigabyte at most."""


def cover(
    embeddings: Vectors, groups: Sequence[Rows], *, min_similarity: float, seed: int
) -> tuple[Rows, Vectors]:
    """Return the row that covers each row, itself where it stays, and their cosine.

    `embeddings` is (n, d) with unit rows, both results are (n,). Rows cover others of their own
    group only, in which the best stands first; who is near several is covered by the best of them.
    Near is a cosine of `min_similarity` or more. Exact in groups below 8,000 rows; in larger
    ones near rows are looked for in the nearest cells.
    """
    of = np.arange(len(embeddings))
    cosines = np.ones(len(embeddings), dtype=np.float32)
    small = [rows for rows in groups if 1 < len(rows) <= TOGETHER]

    def settle(start: int) -> list[tuple[Rows, Vectors]]:
        blocks = (embeddings[rows] for rows in small[start : start + AT_ONCE])
        return [_settle(block @ block.T, min_similarity) for block in blocks]

    found = (one for some in spread(settle, range(0, len(small), AT_ONCE)) for one in some)
    for rows, (places, cosine) in zip(small, found, strict=True):
        of[rows], cosines[rows] = rows[places], cosine
    for rows in groups:
        if len(rows) > TOGETHER:
            crowd = _Crowd(embeddings, rows, in_cells(embeddings, rows, seed=seed), min_similarity)
            places, cosines[rows] = crowd.settle()
            of[rows] = rows[places]
    return of, cosines


def _settle(block: Vectors, min_similarity: float) -> tuple[Rows, Vectors]:
    """Return the place that covers each place, by their cosines (n, n), and the cosine."""
    places = np.arange(len(block))
    of = places.copy()
    near = np.triu(block >= min_similarity, 1)
    for place in np.flatnonzero(near.any(axis=1)).tolist():
        if of[place] == place:
            of[near[place] & (of == places)] = place
    return of, np.where(of == places, np.float32(1), block[of, places])


@dataclass(frozen=True)
class _Crowd:
    """A large group: places are those in `rows`, the best first."""

    embeddings: Vectors
    rows: Rows
    cells: Cells
    min_similarity: float

    def settle(self) -> tuple[Rows, Vectors]:
        """Return the place that covers each place, and their cosine."""
        of = np.arange(len(self.rows))
        cosines = np.ones(len(self.rows), dtype=np.float32)
        for start in range(0, len(self.rows), TOGETHER):
            end = min(start + TOGETHER, len(self.rows))
            places = start + np.flatnonzero(of[start:end] == np.arange(start, end))
            if not len(places):
                continue
            vectors = self.embeddings[self.rows[places]]
            block, probes = self._looked(vectors)
            near, cosines[places] = _settle(block, self.min_similarity)
            of[places] = places[near]
            stay = near == np.arange(len(near))
            left = of == np.arange(len(of))
            left[:end] = False
            for covered, by, cosine in self._later(vectors[stay], probes[stay], left):
                of[covered], cosines[covered] = places[stay][by], cosine
        return of, cosines

    def _looked(self, vectors: Vectors) -> tuple[Vectors, Rows]:
        """Return the cosines of some vectors with each other, and the cells nearest to each."""

        def look(start: int) -> tuple[Vectors, Rows]:
            some = vectors[start : start + SLICE]
            return some @ vectors.T, self.cells.probes(some, PROBES)

        blocks, probes = zip(*spread(look, range(0, len(vectors), SLICE)), strict=True)
        return np.concatenate(blocks), np.concatenate(probes)

    def _later(
        self, vectors: Vectors, probes: Rows, left: np.ndarray
    ) -> Iterator[tuple[Rows, Rows, Vectors]]:
        """Yield places among those `left` (n,) that a vector covers, which one, and the cosine."""
        cells = list(asked(probes))

        def near(start: int) -> list[tuple[Rows, Rows, Vectors]]:
            found = []
            for cell, (asking, _) in cells[start : start + AT_ONCE]:
                members = self.cells.members(cell)
                members = members[left[members]]
                for first in range(0, len(members), MEMBERS):
                    some = members[first : first + MEMBERS]
                    block = vectors[asking] @ self.embeddings[self.rows[some]].T
                    there = np.flatnonzero(block.max(axis=0) >= self.min_similarity)
                    here = (block[:, there] >= self.min_similarity).argmax(axis=0)
                    found.append((some[there], asking[here], block[here, there]))
            return found

        for found in spread(near, range(0, len(cells), AT_ONCE)):
            yield from found
