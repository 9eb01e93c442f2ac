"""Texts that say nearly the same words, found among many without comparing all with all.

A target that was trained on, or nearly, is no test of a model: this finds such pairs.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from minimix.contamination import normal

LEAST_SHARE = 0.5
"""Of the shorter text's shingles (three words in a row): from here on two texts are alike."""
LEAST_SHARED = 6
MOST_HOLDERS = 50
"""A shingle is looked up in so many texts, the first that hold it, where all are compared with all.

What this misses `minimix.mixture.split.apart` looks for once more, in all that is held out.
"""

Shingle = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Known:
    """Texts by what they are looked for with.

    `exact` leads from a normalised text to its first position, `holders` from a shingle to the
    first positions that hold it; `sizes` are numbers of different shingles, by position.
    """

    exact: Mapping[str, int]
    holders: Mapping[Shingle, Sequence[int]]
    sizes: Sequence[int]


def index(texts: Sequence[str], *, most_holders: int = MOST_HOLDERS) -> Known:
    """Return `texts` ready to be looked for, each shingle in its first `most_holders` texts.

    With as many as there are texts every text is found that another is like.
    """
    exact: dict[str, int] = {}
    holders: dict[Shingle, list[int]] = {}
    sizes = []
    for position, text in enumerate(map(normal, texts)):
        exact.setdefault(text, position)
        own = _shingles(text)
        sizes.append(len(own))
        for shingle in own:
            held = holders.setdefault(shingle, [])
            if len(held) < most_holders:
                held.append(position)
    exact.pop("", None)  # signs alone are like nothing
    return Known(exact, holders, sizes)


def alike(text: str, known: Known) -> frozenset[int]:
    """Return the positions of texts with the same words, or nearly.

    Nearly: at least LEAST_SHARED shingles, and LEAST_SHARE of those of the shorter text, are in
    both. Case, punctuation and line ends count for nothing.
    """
    plain = normal(text)
    own = _shingles(plain)
    shared = Counter(position for one in own for position in known.holders.get(one, ()))
    near = {
        position
        for position, count in shared.items()
        if count >= max(LEAST_SHARED, LEAST_SHARE * min(len(own), known.sizes[position]))
    }
    same = {known.exact[plain]} if plain in known.exact else set()
    return frozenset(near | same)


def _shingles(text: str) -> frozenset[Shingle]:
    """Return every three words in a row; numbers count, for a figure may be all that differs."""
    words = text.split()
    return frozenset(zip(words, words[1:], words[2:], strict=False))
