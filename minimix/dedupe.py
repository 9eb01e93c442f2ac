"""Exact and near copies: the pool keeps one of each, and names which one."""

import hashlib
import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from minimix.cover import cover
from minimix.records import Dropped, Rows, Sample, Vectors
from minimix.spool import subset

KEY_BYTES = 16
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")

Kept = tuple[list[int], list[Dropped]]


def drop_exact_copies(samples: Sequence[Sample]) -> Kept:
    """Return the rows to keep, the first of each set of equal samples, and the others dropped."""
    keys = np.fromiter(map(_key, samples), dtype=f"S{KEY_BYTES}", count=len(samples))
    _, firsts, groups = np.unique(keys, return_index=True, return_inverse=True)
    first = firsts[groups]
    copies = np.flatnonzero(first != np.arange(len(samples))).tolist()
    dropped = []
    for row, original in zip(copies, first[copies].tolist(), strict=True):
        reason = f"exact copy of {samples[original].place}"
        dropped.append(Dropped(samples[row].place, "copy", reason))
    return np.sort(firsts).tolist(), dropped


def _key(sample: Sample) -> bytes:
    """Return what equal samples have in common: a hash, as texts would fill the memory."""
    return _hash([sample.system.strip(), sample.prompt.strip(), sample.response.strip()])


def _hash(texts: Sequence[str]) -> bytes:
    data = "\0".join([*texts, *(str(len(text)) for text in texts)])  # so no text runs into the next
    return hashlib.sha256(data.encode("utf-8", "surrogatepass")).digest()[:KEY_BYTES]


def drop_near_copies(
    samples: Sequence[Sample], embeddings: Vectors, *, min_similarity: float, seed: int
) -> Kept:
    """Return the rows to keep and the near copies dropped; the best rated, then longest, stays.

    `embeddings` is (n, d), row for row with `samples`. Rows whose numbers, system prompts or kinds
    differ are no copies, however near: two sums that differ in one figure teach different things.
    """
    groups = _groups(samples)
    of, cosines = cover(embeddings, groups, min_similarity=min_similarity, seed=seed)
    copies = np.flatnonzero(of != np.arange(len(of)))
    dropped = []
    pairs = zip(subset(samples, copies), subset(samples, of[copies]), cosines[copies], strict=True)
    for copy, better, cosine in pairs:
        reason = f"{better.place} is as good ({cosine:.3f})"
        dropped.append(Dropped(copy.place, "near copy", reason))
    return np.flatnonzero(of == np.arange(len(of))).tolist(), dropped


def _groups(samples: Sequence[Sample]) -> list[Rows]:
    """Return the rows that may be copies of each other, the best of each two or more first."""
    marks = np.zeros(len(samples), dtype=f"S{KEY_BYTES}")
    ratings = np.zeros(len(samples))
    lengths = np.zeros(len(samples), dtype=np.intp)
    for row, sample in enumerate(samples):
        marks[row] = _marks(sample)
        ratings[row], lengths[row] = sample.rating or -1.0, len(sample.response)
    _, groups = np.unique(marks, return_inverse=True)
    order = np.lexsort((-lengths, -ratings, groups))  # stable: the first of equals
    edges = [0, *(np.flatnonzero(np.diff(groups[order])) + 1).tolist(), len(order)]
    return [order[start:end] for start, end in pairwise(edges) if end - start > 1]


def _marks(sample: Sample) -> bytes:
    """Return what copies share to the letter: a hash of their numbers, system prompt and kind."""
    return _hash([sample.system, sample.kind, *sorted({*NUMBER.findall(sample.text)})])


def take(embeddings: Vectors, rows: Sequence[int]) -> Vectors:
    """Return the given rows of `embeddings`; (0, d) for none."""
    return embeddings[np.asarray(rows, dtype=np.intp)]
