"""A text as the audit sees it: one entry for each word, number, name or date that carries a fact.

Entries know their neighbours, so that a fact can be told from the same fact said of another thing;
a source may have lost its points and capitals, so nothing here leans on sentences alone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

WORD, NAME, TITLE, NUMBER, COUNT, DATE = range(6)
SORTS = ("word", "name", "name", "number", "number", "date")
"""A TITLE is a common word with a capital; a COUNT a small figure that readers may count up."""
FAMILY = (0, 1, 1, 2, 2, 3)
"""By sort: words, names, numbers, dates."""
LINKS = frozenset((",", "and", "or", ";", "(", ")", "\n", "&", "of", "the"))
"""What stands between the members of a list."""
FEWEST_BETWEEN = 3
"""Tokens between two entries that keep them from being members of one list."""


@dataclass(slots=True)
class Reading:
    """A text's entries, one list for each thing that is known of them.

    `keys` are stems, "#" and a number, or "~" and a month (and day); `sorts` and `weights` go with
    them; `at` is an entry's first token, `sentence` its sentence's number, `peers` the first entry
    of the list or the name of several words that it belongs to; `denials` and `turns`
    are the entries that stand right after a negation, or after a word that can stand for one.
    """

    tokens: list[str]
    keys: list[str] = field(default_factory=list)
    sorts: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    sentence: list[int] = field(default_factory=list)
    peers: list[int] = field(default_factory=list)
    denials: list[tuple[int, int]] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    others: list[int] = field(default_factory=list)
    names: set[tuple[str, str]] = field(default_factory=set)
    units: dict[int, str] = field(default_factory=dict)
    places: dict[str, list[int]] = field(default_factory=dict)
    verbatim: tuple[str, ...] = ()
    marks: frozenset[str] = frozenset()
    small: float = 0.0
    sentence_words: float = 0.0

    def add(self, key: str, sort: int, weight: float, at: int, sentence: int) -> None:
        """Add an entry."""
        self.places.setdefault(key, []).append(len(self.keys))
        self.keys.append(key)
        self.sorts.append(sort)
        self.weights.append(weight)
        self.at.append(at)
        self.sentence.append(sentence)
        self.peers.append(self._first_peer(key, sort, at) if FAMILY[sort] else len(self.peers))

    def _first_peer(self, key: str, sort: int, at: int) -> int:
        """Return the first entry of the list or name that the entry just added goes on."""
        number = len(self.peers)
        if not number or FAMILY[sort] != FAMILY[self.sorts[number - 1]]:
            return number
        between = self.tokens[self.at[number - 1] + 1 : at]
        if len(between) >= FEWEST_BETWEEN or not LINKS.issuperset(between):
            return number
        if not between and FAMILY[sort] == FAMILY[NAME]:
            self.names.add((self.keys[number - 1], key))
        return self.peers[-1]

    def spelt(self, entry: int) -> str:
        """Return an entry as it is spelt, in small letters."""
        return self.tokens[self.at[entry]].lower().removesuffix("'s")

    def said(self, first: int, last: int) -> str:
        """Return the text from one entry to another, both included."""
        start, end = self.at[first], self.at[last] + 1
        return spaced(self.tokens[start:end])


def spaced(tokens: Sequence[str]) -> str:
    """Return tokens as running text."""
    text = " ".join(token.strip() or "/" for token in tokens)
    text = re.sub(r" ([.,;:!?)%])", r"\1", text)
    return re.sub(r"([($€£]) ", r"\1", text)
