"""How a draft is put together, whatever it says: looping, copying, saying it twice, no sentences.

Words here are `split` words in small letters; a gram is two or three of them in a row. What stands
after a verdict ("Answer: False.") takes up the statement or the option before it, by its form: the
two halves are looked at each on its own where it counts what is said again.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from minimix.audit.entries import Reading
from minimix.audit.reading import read
from minimix.records import Draft

VERDICT = re.compile(r"^Answer:", re.MULTILINE | re.IGNORECASE)
AGAIN = 0.8
"""The share of a sentence's entries in one earlier sentence from which it says the same again."""
FEWEST_ENTRIES = 3
SMALL_SHARE = 0.6
"""The share of the sources' own share of small words that running text has at least."""
LINKED = 0.12
"""The share of word pairs that stand in a source too, in the freest honest wording."""
LONGEST_SENTENCE = 35
"""Words: no honest sentence is longer, unless the sources' are."""

LEAST_FLUENT = 0.3
"""An honest list can have no small words and no known pairs: it is not worth nothing."""

Gram = tuple[str, ...]


class Shape(NamedTuple):
    """Shares in 0..1, as `records.Audit` has them."""

    distinct: float
    copied: float
    pasted: float
    redundant: float
    fluent: float


def shape(draft: Draft, reading: Reading, sources: Sequence[tuple[str, Reading]]) -> Shape:
    """Return how a draft is put together, its response beside the answers of its sources.

    The first line of its prompt, the question itself, counts for `distinct` too: one that asks the
    same twice is of no use, however good its answer.
    """
    response, question = draft.response, draft.prompt.strip().partition("\n")[0]
    words = response.lower().split()
    given = [text.lower().split() for text, _ in sources]
    own = _grams(words, 3)
    mine = set(own)
    theirs = [_grams(text, 3) for text in given]
    return Shape(
        distinct=min(distinct_trigrams(response), distinct_trigrams(question)),
        copied=max((_share(own, set(grams)) for grams in theirs), default=0.0),
        pasted=min((_longest_run(grams, mine) for grams in theirs), default=0.0),
        redundant=_said_again(response, reading),
        fluent=_fluent(words, reading, given, [one for _, one in sources]),
    )


def distinct_trigrams(text: str) -> float:
    """Return different word trigrams over all of them; 1 for a text too short to loop."""
    halves = [_grams(half.lower().split(), 3) for half in VERDICT.split(text, maxsplit=1)]
    grams = sum(map(len, halves))
    return sum(len(set(half)) for half in halves) / grams if grams else 1.0


def _said_again(response: str, reading: Reading) -> float:
    """Return `redundant` of a response, which is read as `reading`."""
    halves = VERDICT.split(response, maxsplit=1)
    readings = [read(half) for half in halves] if len(halves) > 1 else [reading]
    entries = [len(one.keys) for one in readings]
    again = sum(redundant(one) * many for one, many in zip(readings, entries, strict=True))
    return again / sum(entries) if sum(entries) else 0.0


def redundant(reading: Reading) -> float:
    """Return the share of entries in sentences that say again what an earlier one said."""
    sentences: dict[int, set[str]] = {}
    sizes: dict[int, int] = {}
    for key, sentence in zip(reading.keys, reading.sentence, strict=True):
        sentences.setdefault(sentence, set()).add(key)
        sizes[sentence] = sizes.get(sentence, 0) + 1
    said: list[set[str]] = []
    again = 0
    for sentence, own in sentences.items():
        least = AGAIN * len(own)
        if len(own) >= FEWEST_ENTRIES and any(len(own & other) >= least for other in said):
            again += sizes[sentence]
        said.append(own)
    return again / len(reading.keys) if reading.keys else 0.0


def _grams(words: Sequence[str], size: int) -> list[Gram]:
    return list(zip(*(words[start:] for start in range(size)), strict=False))


def _share(grams: Sequence[Gram], there: set[Gram]) -> float:
    return sum(gram in there for gram in grams) / len(grams) if grams else 0.0


def _longest_run(grams: Sequence[Gram], there: set[Gram]) -> float:
    """Return the longest unbroken run of a source's trigrams in the draft, as a share of them."""
    longest = run = 0
    for gram in grams:
        run = run + 1 if gram in there else 0
        longest = max(longest, run)
    return longest / len(grams) if grams else 0.0


def _fluent(
    words: Sequence[str],
    reading: Reading,
    given: Sequence[Sequence[str]],
    sources: Sequence[Reading],
) -> float:
    """Return how far a text is running text, 0..1: small words, known word pairs, sentence ends."""
    if len(words) <= FEWEST_ENTRIES:
        return 1.0
    usual = SMALL_SHARE * max((source.small for source in sources), default=0.0)
    small = reading.small / usual if usual else 1.0
    known = {pair for text in given for pair in _grams(text, 2)}
    linked = _share(_grams(words, 2), known) / LINKED
    usual_words = min((source.sentence_words for source in sources), default=0.0)
    ended = max(LONGEST_SENTENCE, usual_words) / max(reading.sentence_words, 1.0)
    return max(LEAST_FLUENT, min(1.0, small) * min(1.0, linked) * min(1.0, ended))
