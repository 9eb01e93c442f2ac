"""Exact and near copies: the pool keeps one of each, and names which one."""

import re
from collections.abc import Sequence

import numpy as np

from minimix.neighbours import nearest
from minimix.records import Dropped, Sample, Vectors

NEIGHBOURS = 10
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")

Kept = tuple[list[int], list[Dropped]]


def drop_exact_copies(samples: Sequence[Sample]) -> Kept:
    """Return the rows to keep, the first of each set of equal samples, and the others dropped."""
    first: dict[tuple[str, str, str], int] = {}
    dropped = []
    for row, sample in enumerate(samples):
        key = (sample.system.strip(), sample.prompt.strip(), sample.response.strip())
        original = first.setdefault(key, row)
        if original != row:
            reason = f"exact copy of {samples[original].place}"
            dropped.append(Dropped(sample.place, "copy", reason))
    return list(first.values()), dropped


def drop_near_copies(
    samples: Sequence[Sample], embeddings: Vectors, *, min_similarity: float, seed: int
) -> Kept:
    """Return the rows to keep and the near copies dropped; the best rated, then longest, stays.

    `embeddings` is (n, d), row for row with `samples`. Rows whose numbers, system prompts or kinds
    differ are no copies, however near: two sums that differ in one figure teach different things.
    """
    rows = list(range(len(samples)))
    dropped: list[Dropped] = []
    while len(rows) > 1:  # a row with more copies than neighbours needs another round
        here = [samples[row] for row in rows]
        copies = _near_copies(here, take(embeddings, rows), min_similarity, seed)
        if not copies:
            break
        for copy, (of, cosine) in sorted(copies.items()):
            reason = f"{here[of].place} is as good ({cosine:.3f})"
            dropped.append(Dropped(here[copy].place, "near copy", reason))
        rows = [row for position, row in enumerate(rows) if position not in copies]
    return rows, dropped


def _near_copies(
    samples: Sequence[Sample], embeddings: Vectors, min_similarity: float, seed: int
) -> dict[int, tuple[int, float]]:
    """Return the rows that copy a neighbour, each with the row that stays and their cosine."""
    rows, cosines = nearest(embeddings, count=min(NEIGHBOURS, len(samples) - 1), seed=seed)
    close = cosines >= min_similarity
    worth = [(s.rating or -1.0, len(s.response), -row) for row, s in enumerate(samples)]
    copies: dict[int, tuple[int, float]] = {}
    for row in sorted(range(len(samples)), key=lambda row: worth[row], reverse=True):
        if row in copies:
            continue
        for other, cosine in zip(rows[row][close[row]], cosines[row][close[row]], strict=True):
            worse = worth[other] < worth[row] and other not in copies
            if worse and _marks(samples[other]) == _marks(samples[row]):
                copies[int(other)] = (row, float(cosine))
    return copies


def _marks(sample: Sample) -> tuple[frozenset[str], str, str]:
    """Return what two near copies must have in common to the letter."""
    return frozenset(NUMBER.findall(sample.text)), sample.system, sample.kind


def take(embeddings: Vectors, rows: Sequence[int]) -> Vectors:
    """Return the given rows of `embeddings`; (0, d) for none."""
    return embeddings[np.asarray(rows, dtype=np.intp)]
