"""Words as a rule compares them, and sentences as it takes them."""

import re
from collections.abc import Collection

from rapidfuzz.distance import OSA
from rapidfuzz.process import extractOne

POINTS = ".,;:!?()\"'"
SHORTEST_TYPO = 5
"""Letters of a word that may be another one, misspelt."""
_TITLES = ("dr", "mr", "ms", "mrs", "st", "vs", "no", "e.g", "i.e")
_NO_END = "".join(rf"(?<!\b{title}\.)" for title in (*map(re.escape, _TITLES), "[a-z]"))
_NO_END += r"(?<!\A\d\.)(?<!\n\d\.)(?<![.!?:]\s\d\.)"
BETWEEN = re.compile(rf"((?<=[.!?]){_NO_END}\s+|\n+)", re.IGNORECASE)
"""What parts two sentences; not what follows a title, an initial, or the number of a list."""


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, without the points around them."""
    return [word.strip(POINTS) for word in text.lower().split()]


def spelt(word: str, known: Collection[str]) -> str:
    """Return the first known word that is one slip from `word`, or `word` itself."""
    if len(word) < SHORTEST_TYPO or word in known:
        return word
    best = extractOne(word, [*known], scorer=OSA.distance, score_cutoff=1)
    return best[0] if best else word


def pieces(text: str) -> list[tuple[str, str]]:
    """Return the sentences of a text, each with the gap behind it; together they are the text."""
    parts = [*BETWEEN.split(text), ""]
    return list(zip(parts[::2], parts[1::2], strict=True))
