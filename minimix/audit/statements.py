"""Statements a draft leaves out or brings in: runs of words that stand nowhere on the other side.

A run and not a sentence, because a noisy source may have lost its points; and neighbours count,
because the words of one fact turn up in others.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from minimix.records import Embed

ABSENT, ASIDE, PRESENT = 1.0, 0.3, -1.3
"""What an entry adds to a run: it is missing; there in another connection; there."""
BESIDE, WITHIN = 2, 4
"""Entries beside one that make its connection, and within which one of them must stand there."""
LEAST_LOST = 1.9
"""From here a run is a statement lost, where words alone decide."""
WEAKEST, STRONGEST = 1.6, 5.5
"""Between these, similarity decides where there is an embedder."""
LEAST_EVIDENCE, DISTANCE_POWER = 1.6, 0.75
"""A run is lost where score x (1 - similarity) ** power is at least the evidence."""
LEAST_NEW = 6.0
"""Own words are what a fusion is for: only a long run without a source is its own statement."""
PIECE = re.compile(r"(?<=[.!?])\s+|\n+|[,;:]\s|\s(?:and|but|because|while|which|who|so)\s")
SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
FEWEST_WORDS = 4

Side = tuple[Sequence[str], Mapping[str, Sequence[int]]]
"""The keys of a text, and where each stands."""


class Run(NamedTuple):
    """A run of entries, and how much speaks for its being missing on the other side."""

    first: int
    last: int
    score: float


def runs(
    keys: Sequence[str], weights: Sequence[float], other: Sequence[Side], least: float
) -> list[Run]:
    """Return the runs of `keys` that are missing in the `other` texts, each of score >= `least`.

    The score of a run is the sum of its entries' weights times ABSENT, ASIDE or PRESENT: the
    largest such sums that do not overlap.
    """
    found: list[Run] = []
    score = best = 0.0
    first = last = 0
    for entry, weight in enumerate(weights):
        if score <= 0:
            score, best, first = 0.0, 0.0, entry
        score += weight * _standing(keys, entry, other)
        if score > best:
            best, last = score, entry
        if best >= least and (score <= 0 or score < best - least):
            found.append(Run(first, last, best))
            score = best = 0.0
    if best >= least:
        found.append(Run(first, last, best))
    return found


def _standing(keys: Sequence[str], entry: int, other: Sequence[Side]) -> float:
    """Return ABSENT, ASIDE or PRESENT for an entry."""
    key, standing = keys[entry], ABSENT
    for others, places in other:
        held = places.get(key)
        if not held:
            continue
        standing = ASIDE
        beside = {*keys[max(0, entry - BESIDE) : entry], *keys[entry + 1 : entry + 1 + BESIDE]}
        beside.discard(key)
        for place in held:
            if not beside.isdisjoint(others[max(0, place - WITHIN) : place + WITHIN + 1]):
                return PRESENT
    return standing


def lost(found: Iterable[tuple[str, float]], response: str, embed: Embed | None) -> list[str]:
    """Return which runs, each a text and its score, are statements that `response` does not make.

    Words alone decide without `embed`; with it, the likest piece of the response has a say.
    """
    if embed is None:
        return [text for text, score in found if score >= LEAST_LOST]
    scores = dict(found)
    doubtful = [text for text, score in scores.items() if score < STRONGEST]
    alike = dict.fromkeys(scores, 0.0)
    pieces = _pieces(response)
    if doubtful and pieces:
        vectors = np.asarray(embed([*doubtful, *pieces]))
        likest = (vectors[: len(doubtful)] @ vectors[len(doubtful) :].T).max(axis=1)
        alike.update(zip(doubtful, likest.tolist(), strict=True))
    return [
        text
        for text, score in scores.items()
        if score * max(0.0, 1 - alike[text]) ** DISTANCE_POWER >= LEAST_EVIDENCE
    ]


def _pieces(text: str) -> list[str]:
    """Return the sentences of a text and their clauses."""
    found = [*SENTENCE.split(text), *PIECE.split(text)]
    long = [piece.strip() for piece in found if len(piece.split()) >= FEWEST_WORDS]
    return list(dict.fromkeys(long)) or [text.strip()][: bool(text.strip())]
