"""What single words are to the audit: stems, weights, numbers, months, units, negations.

Each spelling is looked at once and remembered, so that a text costs one lookup a word.
"""

from enum import IntEnum
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

from minimix.audit.lexicon import (
    ALSO_WORDS,
    COUNTED,
    DENIALS,
    MONTHS,
    NO_NAMES,
    NUMBERS,
    ORDINALS,
    RELATED,
    SCALES,
    STOPWORDS,
    TURNS,
    UNITS,
)

SUFFIXES = (
    "ational isation ization ations ation ically ities ments ingly ness ment ions able ible ance "
    "ence ancy ency ical ally edly ings ion ity ers ors ies ied ing ism ist ive ful ous ary ery "
    "ant ent ate ize ise est al er or ed es ly ic y s e"
).split()
SHORTEST_STEM = 3
LONGEST_STEM = 7
REMEMBERED = 200_000
COMMON_WEIGHTS = ((300, 0.35), (1_000, 0.6), (3_000, 0.85))
"""Weights of a word by its place among common words: the commonest are the first to be put in
other words, and the last to be missed."""
LONGEST_SHORT = 2
"""Letters of a scale too short to stand alone: "k", "bn"."""


class Sort(IntEnum):
    """What a word is: nothing to the audit, a word, part of a number, of a date, or an end."""

    SKIP = 0
    PLAIN = 1
    NUMBER = 2
    SCALE = 3
    MONTH = 4
    END = 5
    DENIAL = 6
    TURN = 7
    SIGN = 8
    POINT = 9


class Word(NamedTuple):
    """A spelling: its sort, its stem or value, its weight, and whether it may be a name."""

    sort: Sort
    key: str
    weight: float
    value: float
    name: int


@cache
def common() -> dict[str, int]:
    """Return common words and their stems, each with its place, 0 the commonest."""
    text = files("minimix.audit").joinpath("words.txt").read_text(encoding="utf-8")
    places: dict[str, int] = {}
    for place, word in enumerate(text.split()):
        places.setdefault(word, place)
        places.setdefault(f"-{stem(word)}", place)
    return places


def stem(word: str) -> str:
    """Return a lower-case word without its endings, of 3 to 7 letters where it has them.

    Words of one family should meet; that two others meet now and then does little harm.
    """
    word = RELATED.get(word, word)
    for _ in range(2):
        for suffix in SUFFIXES:
            if word.endswith(suffix) and len(word) - len(suffix) >= SHORTEST_STEM:
                word = word[: -len(suffix)]
                break
    if len(word) > SHORTEST_STEM and word[-1] == word[-2]:
        word = word[:-1]
    return word[:LONGEST_STEM]


@lru_cache(REMEMBERED)
def look_up(token: str) -> Word:
    """Return what a token of `reading.TOKEN` is."""
    if token[0].isdecimal():
        return Word(Sort.NUMBER, token, 1.0, _value(token), 0)
    if not token[0].isalpha():
        end = Sort.END if token[0] in ".!?\n" else Sort.POINT
        return Word(Sort.SIGN if token in UNITS else end, token, 0.0, 0.0, 0)
    lower = token.lower().removesuffix("'s").removesuffix("'")
    if lower in DENIALS or lower.endswith("n't"):
        return Word(Sort.DENIAL, lower if lower in DENIALS else "not", 0.0, 0.0, 0)
    return _measure(token, lower) or _plain(token, lower.partition("'")[0] or lower)


def _measure(token: str, lower: str) -> Word | None:
    """Return a word that is a number, part of one, or a month; else None."""
    value = NUMBERS.get(lower, ORDINALS.get(lower, COUNTED.get(lower)))
    if value is not None and value != 1:
        return Word(Sort.NUMBER, lower, 1.0, value, 0)
    if lower in SCALES and len(lower) > LONGEST_SHORT:
        return Word(Sort.SCALE, lower, 1.0, SCALES[lower], 0)
    if lower in MONTHS and (token[0].isupper() or lower not in ALSO_WORDS):
        return Word(Sort.MONTH, lower, 1.0, float(MONTHS[lower]), 0)
    return None


def _plain(token: str, lower: str) -> Word:
    """Return a word that is no number, month or denial."""
    acronym = len(token) > 1 and token.isupper()
    if (lower in STOPWORDS and not acronym) or (len(lower) < 2 and not acronym):
        return Word(Sort.SKIP, lower, 0.0, 0.0, 0)
    if lower in TURNS and not acronym:
        return Word(Sort.TURN, stem(lower), 0.3, 0.0, 0)
    key, places = stem(lower), common()
    place = places.get(lower, places.get(f"-{key}"))
    weight = 1.0
    if place is not None:
        weight = next((w for most, w in COMMON_WEIGHTS if place < most), 1.0)
    name = 0 if not token[0].isupper() or lower in NO_NAMES else 2 if place is not None else 1
    return Word(Sort.PLAIN, key, weight, 0.0, name)


def _value(token: str) -> float:
    plain = token.replace(",", "")
    return float(plain if plain.count(".") < 2 else plain.replace(".", ""))
