"""Exact and near copies: the pool keeps one of each, and names which one."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minimix.neighbours import nearest, nearest_in
from minimix.records import Dropped, Rows, Sample, Vectors
from minimix.spool import subset

NEIGHBOURS = 10
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
    texts = [sample.system.strip(), sample.prompt.strip(), sample.response.strip()]
    data = "\0".join([*texts, *(str(len(text)) for text in texts)])  # so no text runs into the next
    return hashlib.sha256(data.encode("utf-8", "surrogatepass")).digest()[:KEY_BYTES]


def drop_near_copies(
    samples: Sequence[Sample], embeddings: Vectors, *, min_similarity: float, seed: int
) -> Kept:
    """Return the rows to keep and the near copies dropped; the best rated, then longest, stays.

    `embeddings` is (n, d), row for row with `samples`. Rows whose numbers, system prompts or kinds
    differ are no copies, however near: two sums that differ in one figure teach different things.
    """
    if len(samples) < 2:
        return list(range(len(samples))), []
    kept = asking = np.arange(len(samples))
    found = nearest(embeddings, count=min(NEIGHBOURS, len(samples) - 1), seed=seed)
    dropped: list[Dropped] = []
    while len(asking):
        copies, asking = _near_copies(samples, asking, *found, min_similarity)
        for copy, (of, cosine) in sorted(copies.items()):
            reason = f"{samples[of].place} is as good ({cosine:.3f})"
            dropped.append(Dropped(samples[copy].place, "near copy", reason))
        kept = np.setdiff1d(kept, list(copies))
        found = _others(embeddings, asking, kept)
    return kept.tolist(), dropped


def _others(embeddings: Vectors, asking: Rows, kept: Rows) -> tuple[Rows, Vectors]:
    """Return the nearest of the rows `kept` to each one of them that asks, but itself; exactly."""
    count = min(NEIGHBOURS + 1, len(kept))
    places, cosines = nearest_in(embeddings[asking], embeddings[kept], count=count)
    own = kept[places] == asking[:, None]
    own[~own.any(axis=1), -1] = True  # its twins came first
    shape = (len(asking), count - 1)
    return kept[places][~own].reshape(shape), cosines[~own].reshape(shape)


def _near_copies(
    samples: Sequence[Sample],
    asking: Rows,
    rows: Rows,
    cosines: Vectors,
    min_similarity: float,
) -> tuple[dict[int, tuple[int, float]], Rows]:
    """Return the rows that copy a neighbour, each with the row that stays and their cosine.

    `rows` and `cosines` (m, k) are the neighbours of the m rows `asking`. And those of them that
    stay but may have more copies: all of their neighbours were near, and some of these went.
    """
    close = cosines >= min_similarity
    near = np.union1d(asking[close.any(axis=1)], rows[close])
    seen = dict(zip(near.tolist(), map(_seen, subset(samples, near)), strict=True))
    worth = {row: (*one.worth, -row) for row, one in seen.items()}
    places = {row: place for place, row in enumerate(asking.tolist()) if row in worth}
    copies: dict[int, tuple[int, float]] = {}
    for row in sorted(places, key=worth.__getitem__, reverse=True):
        if row in copies:
            continue
        place = places[row]
        others = rows[place][close[place]].tolist()
        for other, cosine in zip(others, cosines[place][close[place]].tolist(), strict=True):
            worse = worth[other] < worth[row] and other not in copies
            if worse and seen[other].marks == seen[row].marks:
                copies[other] = (row, cosine)
    gone = np.isin(rows, list(copies)).any(axis=1)
    stays = ~np.isin(asking, list(copies))
    return copies, asking[close.all(axis=1) & gone & stays]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a comparison of two rows needs: how good one is, and what copies share to the letter."""

    worth: tuple[float, int]
    marks: tuple[frozenset[str], str, str]


def _seen(sample: Sample) -> _Seen:
    numbers = frozenset(NUMBER.findall(sample.text))
    return _Seen(
        (sample.rating or -1.0, len(sample.response)), (numbers, sample.system, sample.kind)
    )


def take(embeddings: Vectors, rows: Sequence[int]) -> Vectors:
    """Return the given rows of `embeddings`; (0, d) for none."""
    return embeddings[np.asarray(rows, dtype=np.intp)]
