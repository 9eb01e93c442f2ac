"""What careless typing does to a text: letters, casing, points and spaces, never a fact.

`careful` typos leave alone whatever a reader could not restore: names, numbers, negations.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np

from minimix.mixture.text.wording import DOTTED, NEGATIONS, NUMBER_WORDS, SCALES

WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
POINTS = re.compile(r"[,;:](?=\s)|[.!?]+(?=[\"'\u201d\u2019)\]]*\s*$)")
BEFORE_POINT = re.compile(r"(?<=[\w)\"])(?:[,;:](?=\s)|[.!?](?=\W*$))")
ANY_POINT = re.compile(r"[.,;:!?]")
SMALL, POINTLESS, SWAPPED, LOST = 0.5, 0.3, 0.04, 0.02
"""How careless: chances of a text to lose its capitals and its points, of a word to be mistyped
and to be lost."""
SHORTEST_TYPO, SHORTEST_CAREFUL_TYPO = 4, 5
FIXED = NEGATIONS | NUMBER_WORDS | SCALES


def misspelt(word: str, rng: np.random.Generator) -> str:
    """Return a word of 4 letters or more, two inner ones swapped, one lost or one doubled."""
    at = int(rng.integers(1, len(word) - 2))
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    lost = word[:at] + word[at + 1 :]
    doubled = word[:at] + word[at] + word[at:]
    made = (swapped, lost, doubled)[rng.integers(3)]
    return doubled if made == word else made


def with_typos(text: str, count: int, rng: np.random.Generator, *, careful: bool) -> str:
    """Return the text with up to `count` words misspelt."""
    places = [found for found in WORD.finditer(text) if _may_err(found[0], careful=careful)]
    chosen = sorted(rng.permutation(len(places))[:count], reverse=True)
    for number in chosen:
        start, end = places[number].span()
        text = text[:start] + misspelt(text[start:end], rng) + text[end:]
    return text


def unchanged(text: str) -> str:
    """Return the text as it is."""
    return text


def lowered(text: str) -> str:
    """Return the text without capitals at the start of words; acronyms keep theirs."""
    return WORD.sub(lambda found: _small(found[0]), text)


def unpointed(text: str) -> str:
    """Return a sentence without its commas and last point."""
    return text if _ends_dotted(text) else POINTS.sub("", text)


def bare(text: str) -> str:
    """Return a sentence without capitals, commas and last point."""
    return lowered(unpointed(text))


def loosened(text: str) -> str:
    """Return a sentence with a space before each point; one without a last point gets two."""
    if _ends_dotted(text):
        return f"{text} .."
    made = BEFORE_POINT.sub(lambda found: f" {found[0]}", text)
    return made if made.endswith("\n") or re.search(r"[.!?:]\W*$", made) else f"{made} .."


def careless(units: Sequence[str], rng: np.random.Generator) -> tuple[str, ...]:
    """Return sentences as somebody types who looks at nothing: no word is safe."""
    small, pointless = rng.random() < SMALL, rng.random() < POINTLESS
    return tuple(_careless(unit, rng, small=small, pointless=pointless) for unit in units)


def _careless(unit: str, rng: np.random.Generator, *, small: bool, pointless: bool) -> str:
    text = unit.lower() if small else unit
    text = ANY_POINT.sub("", text) if pointless else text
    made = []
    for word in text.split(" "):
        if rng.random() < LOST:
            continue
        swap = len(word) >= SHORTEST_CAREFUL_TYPO and word.isalpha() and rng.random() < SWAPPED
        at = int(rng.integers(1, len(word) - 2)) if swap else 0
        made.append(word[:at] + word[at + 1] + word[at] + word[at + 2 :] if swap else word)
    return " ".join(made)


STYLES: tuple[Callable[[str], str], ...] = (unchanged, lowered, unpointed, bare, loosened)
"""Ways to write one sentence, all different where it has a capital and a point."""


def _may_err(word: str, *, careful: bool) -> bool:
    if not careful:
        return len(word) >= SHORTEST_TYPO and word.isalpha()
    plain = word.isalpha() and word.islower() and word not in FIXED
    return plain and len(word) >= SHORTEST_CAREFUL_TYPO


def _small(word: str) -> str:
    return word.lower() if len(word) > 1 and word[1:].islower() else word


def _ends_dotted(text: str) -> bool:
    """Return whether the last point belongs to letters such as "U.S."."""
    return DOTTED.fullmatch(text.rstrip(".!?\n ").rpartition(" ")[2]) is not None
