"""Negations: a statement of the draft that is turned round in its sources, or the reverse."""

from collections.abc import Mapping, Sequence

from minimix.audit.entries import Reading, spaced
from minimix.audit.matching import Match

ANCHORS = (-2, -1, 0, 1)
"""The entries around a negation by which its statement is found again."""
SAME = 0.55
"""Neighbours shared before two places make the same statement."""
CLEAR = 0.4
"""By how much more neighbours than where the negation stands."""
REACH, FAR = 3, 10
"""Entries within which a negation belongs to a place: always, and in the same sentence."""
BY, CLOSE, FEW = 2, 0, 2
"""Entries from a pair of words within which a negation is theirs: where the pair alone is the
same, where its neighbours are too, and for words that can stand for a negation."""
DOUBLE = 3
"""Tokens within which two negations cancel out."""
IDLE = frozenset("only just merely or necessarily doubt but longer matter".split())
"""Words beside which a negation turns nothing round."""


def turned(match: Match) -> list[str]:
    """Return the statements that are negated in the draft alone, or in the sources alone."""
    found = []
    turns = [set(reading.turns) for reading in match.answers]
    for position, token in match.draft.denials:
        if _idle(match.draft, token):
            continue
        if _positive_only(match, position, turns):
            found.append(f'not in the sources: "{_around(match.draft, position, token)}"')
    own = set(match.draft.turns)
    for source, reading in enumerate(match.answers):
        for position, token in reading.denials:
            if not _idle(reading, token) and _dropped(match, source, position, own, turns):
                found.append(f'negation lost: "{_around(reading, position, token)}"')
    return found


def _idle(reading: Reading, token: int) -> bool:
    """Return whether a negation turns nothing round: "not only", "no doubt", never without."""
    tokens = {one.lower() for one in reading.tokens[max(0, token - 1) : token + 2]}
    twice = sum(token - DOUBLE <= other <= token + DOUBLE for _, other in reading.denials) > 1
    return twice or not tokens.isdisjoint(IDLE)


def _positive_only(match: Match, position: int, turns: Sequence[set[int]]) -> bool:
    """Return whether sources make the statement at a draft's negation, and none negates it."""
    keys = match.draft.keys
    pair, beside = _pair(match.draft, keys, position), _beside(keys, position)
    if pair:
        counts = [
            _denied(side, pair, beside)
            for side in zip(match.keys, match.places, match.answers, strict=True)
        ]
        if any(count is not None for count in counts):
            return not any(counts)
    plain = turned = 0.0
    for anchor in _anchors(match.draft, position):
        key = match.draft.keys[anchor]
        for source, places in enumerate(match.places):
            for there in places.get(key, ()):
                alike = match.alike(anchor, source, there)
                if _turned(match.answers[source], there, turns[source]):
                    turned = max(turned, alike)
                else:
                    plain = max(plain, alike)
    return plain >= SAME and plain - turned >= CLEAR


def _dropped(
    match: Match, source: int, position: int, own: set[int], turns: Sequence[set[int]]
) -> bool:
    """Return whether the draft makes a source's negated statement, and nowhere negates it."""
    keys, reading = match.keys[source], match.answers[source]
    pair, beside = _pair(reading, keys, position), _beside(keys, position)
    if pair:
        left = _denied((match.draft.keys, match.draft.places, match.draft), pair, beside)
        if left is not None:
            counts = [
                _denied(side, pair, beside)
                for side in zip(match.keys, match.places, match.answers, strict=True)
            ]
            return left < min(count for count in counts if count is not None)
    plain = turned = 0.0
    for anchor in _anchors(match.answers[source], position):
        for here in match.draft.places.get(keys[anchor], ()):
            alike = match.alike(here, source, anchor)
            if _turned(match.draft, here, own) or _said_positively(match, here, turns, alike):
                turned = max(turned, alike)
            else:
                plain = max(plain, alike)
    return plain >= SAME and plain - turned >= CLEAR


def _pair(reading: Reading, keys: Sequence[str], position: int) -> tuple[str, str] | None:
    """Return the entries of one sentence on both sides of a negation."""
    if not 0 < position < len(keys) or reading.sentence[position - 1] != reading.sentence[position]:
        return None
    return keys[position - 1], keys[position]


def _denied(
    side: tuple[Sequence[str], Mapping[str, Sequence[int]], Reading],
    pair: tuple[str, str],
    beside: tuple[str, str],
) -> int | None:
    """Return how many negations stand by two words that follow each other; None for no such pair.

    The most of all such places. Where only the pair is the same, words that can stand for a
    negation count too.
    """
    keys, places, reading = side
    denials = [position for position, _ in reading.denials]
    most = None
    for second in places.get(pair[1], ()):
        if not second or keys[second - 1] != pair[0]:
            continue
        before = second > 1 and keys[second - 2] == beside[0]
        after = second + 1 < len(keys) and keys[second + 1] == beside[1]
        reach = CLOSE if before and after else BY
        number = sum(second - reach <= turn <= second + reach for turn in denials)
        if not number:
            number = any(second - FEW <= turn <= second + FEW for turn in reading.others)
        most = max(number, most or 0)
    return most


def _beside(keys: Sequence[str], position: int) -> tuple[str, str]:
    """Return the entries one further off on both sides of a negation."""
    before = keys[position - 2] if position > 1 else ""
    return before, keys[position + 1] if position + 1 < len(keys) else ""


def _said_positively(match: Match, here: int, turns: Sequence[set[int]], least: float) -> bool:
    """Return whether a source makes the draft's statement at `here` without a negation."""
    key = match.draft.keys[here]
    return any(
        not _turned(match.answers[source], there, turns[source])
        and match.alike(here, source, there) >= least
        for source, places in enumerate(match.places)
        for there in places.get(key, ())
    )


def _turned(reading: Reading, entry: int, turns: set[int]) -> bool:
    """Return whether a negation stands near an entry, or further off in its sentence."""
    if any(step in turns for step in range(entry - REACH + 1, entry + REACH + 1)):
        return True
    sentence = reading.sentence
    return any(
        sentence[turn] == sentence[entry]
        for turn in turns
        if -FAR < turn - entry < FAR and turn < len(sentence)
    )


def _anchors(reading: Reading, position: int) -> list[int]:
    """Return the entries around a negation that share its sentence."""
    if not reading.keys:
        return []
    home = reading.sentence[min(position, len(reading.keys) - 1)]
    places = [position + step for step in ANCHORS]
    return [p for p in places if 0 <= p < len(reading.keys) and reading.sentence[p] == home]


def _around(reading: Reading, position: int, token: int) -> str:
    first, last = max(0, position - 1), min(len(reading.keys) - 1, position + 1)
    start = min(token, reading.at[first]) if reading.keys else token
    end = max(token, reading.at[last] if reading.keys else token)
    return spaced(reading.tokens[start : end + 1])
