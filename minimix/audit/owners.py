"""Whose a statement is: names of a draft beside words that the sources say of others."""

from collections.abc import Iterator, Sequence, Set

from minimix.audit.entries import FAMILY, NAME, WORD, Reading
from minimix.audit.matching import Match, initials, initials_around

WITHIN = 14
"""Entries within which two keys of a source belong together."""
ASIDE = 2
"""Entries on each side of a name that are looked at."""
FEWEST = 3
"""Of those, how many must be the sources' own before a name can be a stranger among them."""
GAP = 3
"""Tokens between a name and the word that says something of it."""
BREAKS = frozenset(",:;()")

Frame = tuple[bool, str, str]
"""Whether the name stands before, the word beside it, and the one further off."""
Owner = tuple[Set[str], Reading, tuple[int, int]]
"""The keys of a name and of those listed beside it; where it stands."""


def strangers(match: Match) -> list[str]:
    """Return the draft's names that stand among words which no source has near them.

    And those before or after two words that the sources have beside other names alone ("Gates
    founded Apple" where Jobs did, and Gates founded something else).
    """
    owners: dict[Frame, list[Owner]] | None = None
    listed = _listed(match.draft, match.draft.keys)
    found = []
    for first, last in names_of(match.draft):
        keys = match.draft.keys[first : last + 1]
        if not any(key in places for key in keys for places in match.places):
            continue  # a name without a source is another finding
        if _alone(match, first, last):
            shown = match.draft.said(first, last)
            found.append(f"name {shown} among words that no source has near it")
            continue
        frames = list(_frames(match.draft, match.draft.keys, first, last))
        if frames and owners is None:
            owners = _owners(match)
        for frame in frames:
            held = (owners or {}).get(frame, [])
            own = set(match.draft.keys[first : last + 1])
            if held and _another(match, held, own, own | listed[match.draft.peers[first]], frame):
                if not _initials_of(match, first, last):
                    shown, whose = match.draft.said(first, last), held[0][1].said(*held[0][2])
                    found.append(f"name {shown} where a source has name {whose}")
                break
    return found


def _listed(reading: Reading, keys: Sequence[str]) -> dict[int, set[str]]:
    """Return the keys of each list or name, by its first entry."""
    listed: dict[int, set[str]] = {}
    for key, peer in zip(keys, reading.peers, strict=True):
        listed.setdefault(peer, set()).add(key)
    return listed


def names_of(reading: Reading) -> Iterator[tuple[int, int]]:
    """Yield the first and last entry of each name, its words side by side."""
    first = 0
    while first < len(reading.keys):
        last = first
        if FAMILY[reading.sorts[first]] == FAMILY[NAME]:
            while _goes_on(reading, last):
                last += 1
            yield first, last
        first = last + 1


def _goes_on(reading: Reading, entry: int) -> bool:
    return (
        entry + 1 < len(reading.keys)
        and FAMILY[reading.sorts[entry + 1]] == FAMILY[NAME]
        and reading.at[entry + 1] - reading.at[entry] == 1
    )


def _alone(match: Match, first: int, last: int) -> bool:
    """Return whether no source has a name near any of the words around it, which are its own."""
    draft = match.draft
    around = [*range(first - ASIDE, first), *range(last + 1, last + 1 + ASIDE)]
    keys = draft.keys[first : last + 1]
    known = [
        draft.keys[one]
        for one in around
        if 0 <= one < len(draft.keys)
        and draft.sentence[one] == draft.sentence[first]
        and draft.peers[one] != draft.peers[first]
        and draft.keys[one] not in keys
        and any(draft.keys[one] in places for places in match.places)
    ]
    return len(known) >= FEWEST and not any(_together(match, keys, other) for other in known)


def _together(match: Match, keys: Sequence[str], other: str) -> bool:
    """Return whether a source has one of `keys` near `other`."""
    return any(
        abs(here - there) <= WITHIN
        for places in match.places
        for there in places.get(other, ())
        for key in keys
        for here in places.get(key, ())
    )


def _frames(reading: Reading, keys: Sequence[str], first: int, last: int) -> Iterator[Frame]:
    """Yield what is said of a name, where a plain word follows or leads it in the same clause."""
    if last + 2 < len(keys) and _says(reading, last, last + 1):
        yield True, keys[last + 1], keys[last + 2]
    if first >= 2 and _says(reading, first - 1, first, word=first - 1):
        yield False, keys[first - 1], keys[first - 2]


def _says(reading: Reading, left: int, right: int, word: int | None = None) -> bool:
    between = reading.tokens[reading.at[left] + 1 : reading.at[right]]
    return (
        reading.sorts[right if word is None else word] == WORD
        and reading.sentence[left] == reading.sentence[right]
        and len(between) < GAP
        and not any(token in BREAKS or not token.strip() for token in between)
    )


def _owners(match: Match) -> dict[Frame, list[Owner]]:
    """Return the names of which the sources say each frame, with those listed beside them."""
    owners: dict[Frame, list[Owner]] = {}
    for keys, reading in zip(match.keys, match.answers, strict=True):
        listed = _listed(reading, keys)
        for first, last in names_of(reading):
            for frame in _frames(reading, keys, first, last):
                whole = listed[reading.peers[first]] | set(keys[first : last + 1])
                owners.setdefault(frame, []).append((whole, reading, (first, last)))
    return owners


def _another(
    match: Match, held: Sequence[Owner], own: Set[str], listed: Set[str], frame: Frame
) -> bool:
    """Return whether the sources say a frame of other names alone, and have ours nowhere near."""
    names = {key for keys, *_ in held for key in keys}
    if names & listed or _together(match, list(own), frame[2]):
        return False
    return not any((a, b) in match.names or (b, a) in match.names for a in own for b in names)


def _initials_of(match: Match, first: int, last: int) -> bool:
    """Return whether a name is an acronym of a source's words, or its words those of one."""
    draft = match.draft
    own = initials_around(draft, draft.at[first])
    tokens = {draft.tokens[draft.at[one]].lower() for one in range(first, last + 1)}
    for reading in match.answers:
        acronyms, runs = initials(reading)
        if tokens & runs or own & acronyms:
            return True
    return False
