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
    """Return the rows to keep and the near copies dropped; of a set the longest answer stays.

    `embeddings` is (n, d), row for row with `samples`. Rows whose numbers differ are no copies,
    however near: two sums that differ in one figure teach different things.
    """
    count = min(NEIGHBOURS, len(samples) - 1)
    if count < 1:
        return list(range(len(samples))), []
    rows, cosines = nearest(embeddings, count=count, seed=seed)
    close = cosines >= min_similarity
    copy_of: dict[int, tuple[int, float]] = {}
    order = sorted(range(len(samples)), key=lambda row: (-len(samples[row].response), row))
    for row in order:
        if row in copy_of:
            continue
        for other, cosine in zip(rows[row][close[row]], cosines[row][close[row]], strict=True):
            later = (len(samples[other].response), -other) < (len(samples[row].response), -row)
            if (
                later
                and other not in copy_of
                and _numbers(samples[other]) == _numbers(samples[row])
            ):
                copy_of[int(other)] = (row, float(cosine))
    dropped = [
        Dropped(samples[row].place, "near copy", f"{samples[of].place} is as good ({cosine:.3f})")
        for row, (of, cosine) in sorted(copy_of.items())
    ]
    return [row for row in range(len(samples)) if row not in copy_of], dropped


def _numbers(sample: Sample) -> frozenset[str]:
    return frozenset(NUMBER.findall(sample.text))


def take(embeddings: Vectors, rows: Sequence[int]) -> Vectors:
    """Return the given rows of `embeddings`; (0, d) for none."""
    return embeddings[np.asarray(rows, dtype=np.intp)]
