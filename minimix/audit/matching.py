"""A draft's words found again in its sources: typos, families and initials as well as spellings.

`Match` holds a draft and its sources under common keys; the rules ask it what is where, and how
alike the neighbourhoods of two places are.
"""

from collections.abc import Sequence, Set

from rapidfuzz.distance import OSA
from rapidfuzz.process import extractOne

from minimix.audit.entries import Reading

SHORTEST_TYPO, SHORTEST_STEM = 4, 3
NEAR, AROUND = 4, 6
WEIGHTS = {step: 1 / abs(step) for step in range(-NEAR, NEAR + 1) if step}
LEAST_CONTEXT = 1.5
"""Fewer neighbours than this weighs count as if the rest were strangers."""
PEERS = 0.8
"""What a neighbour counts that stands in one list or name with the entry."""
SLACK, ACROSS = 2.0, 0.5
"""How much further off a neighbour may stand; and what it counts on the other side."""


LONGEST_ACRONYM, AROUND_ACRONYM = 6, 8
WITHIN_NAMES = frozenset(("of", "the", "and", "for"))


class Match:
    """A draft's response and its sources' responses under common keys."""

    def __init__(
        self, draft: Reading, prompt: Reading, answers: Sequence[Reading], asked: Sequence[Reading]
    ) -> None:
        """Find the sources' misspelt words among the draft's, and give them its keys."""
        self.draft, self.prompt, self.answers, self.asked = draft, prompt, answers, asked
        self.own = draft.places.keys() | prompt.places.keys()
        given: set[str] = set()
        for reading in (*answers, *asked):
            given.update(reading.places)
        self.alias = _typos((draft, prompt), (*answers, *asked), self.own)
        self.given = given.union(self.alias.values())
        self.places = [_renamed(reading, self.alias) for reading in answers]
        self.keys = [
            reading.keys
            if places is reading.places
            else [self.alias.get(key, key) for key in reading.keys]
            for reading, places in zip(answers, self.places, strict=True)
        ]
        self.names = {
            pair for reading in (draft, prompt, *answers, *asked) for pair in reading.names
        }

    def alike(self, here: int, source: int, there: int) -> float:
        """Return how alike the neighbourhoods of a draft's entry and a source's are, 0..1.

        The share of the neighbours in the draft's sentence, the nearest most, that stand on the
        same side of the source's entry, half of it on the other side.
        """
        keys, sentence = self.draft.keys, self.draft.sentence
        home, places = sentence[here], self.places[source]
        peers, group = self.draft.peers, self.draft.peers[here]
        first, last = max(0, here - NEAR), min(len(keys), here + NEAR + 1)
        whole = found = 0.0
        for position in range(first, last):
            if position == here or sentence[position] != home:
                continue
            step = position - here
            weight = WEIGHTS[step] * (PEERS if peers[position] == group else 1.0)
            whole += weight
            held = places.get(keys[position])
            if held:
                found += weight * max([_fit(step, place - there) for place in held])
        return found / max(whole, LEAST_CONTEXT)


def _fit(step: int, other: int) -> float:
    """Return how well a neighbour at `other` entries stands for one at `step` entries."""
    if abs(other) > AROUND or not other:
        return 0.0
    near = min(1.0, abs(step) / abs(other) * SLACK)
    return near if (other > 0) == (step > 0) else near * ACROSS


def _renamed(reading: Reading, alias: dict[str, str]) -> dict[str, list[int]]:
    """Return where each key stands in a reading, under the draft's keys."""
    if not alias or alias.keys().isdisjoint(reading.places):
        return reading.places
    places: dict[str, list[int]] = {}
    for key, entries in reading.places.items():
        places.setdefault(alias.get(key, key), []).extend(entries)
    return places


def _typos(own: Sequence[Reading], sources: Sequence[Reading], known: Set[str]) -> dict[str, str]:
    """Return misspelt keys of the sources with the draft's keys that are one slip away.

    Numbers and dates have no slips: another figure is another fact. The first letter holds.
    """
    by_letter = _spellings(own)
    found: dict[str, str] = {}
    for reading in sources:
        for key in reading.places.keys() - known:
            spelling = reading.spelt(reading.places[key][0])
            choices = by_letter.get(spelling[0])
            if choices and len(spelling) >= SHORTEST_TYPO and key not in found and _is_word(key):
                best = extractOne(spelling, choices.keys(), scorer=OSA.distance, score_cutoff=1)
                if best:
                    found[key] = choices[best[0]]
    return found


def _spellings(readings: Sequence[Reading]) -> dict[str, dict[str, str]]:
    """Return the keys of some readings by how they are spelt, by first letter."""
    found: dict[str, dict[str, str]] = {}
    for reading in readings:
        for key, entries in reading.places.items():
            if _is_word(key):
                spelling = reading.spelt(entries[0])
                found.setdefault(spelling[0], {})[spelling] = key
    return found


def _is_word(key: str) -> bool:
    return len(key) >= SHORTEST_STEM and key[0] not in "#~"


def initials(reading: Reading) -> tuple[set[str], set[str]]:
    """Return a reading's acronyms, and the initials of its runs of capitals, in small letters."""
    capitals = [at for at, token in enumerate(reading.tokens) if token[0].isupper()]
    tokens = [reading.tokens[at] for at in capitals]
    acronyms = {t.lower() for t in tokens if t.isupper() and 2 <= len(t) <= LONGEST_ACRONYM}
    runs = {one for at in capitals for one in initials_around(reading, at)}
    return acronyms, runs


def initials_around(reading: Reading, at: int) -> set[str]:
    """Return the initials of the runs of 2..6 capitals that the token at `at` is part of."""
    letters, home = "", 0
    for position in range(max(0, at - AROUND_ACRONYM), at + AROUND_ACRONYM + 1):
        token = reading.tokens[position] if position < len(reading.tokens) else "."
        if token[0].isupper():
            home = len(letters) if position == at else home
            letters += token[0].lower()
        elif token not in WITHIN_NAMES:
            if position > at:
                break
            letters = ""
    starts = range(max(0, home - LONGEST_ACRONYM + 1), home + 1)
    ends = range(home + 1, len(letters) + 1)
    return {letters[a:b] for a in starts for b in ends if 2 <= b - a <= LONGEST_ACRONYM}
