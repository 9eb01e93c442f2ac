"""Numbers, names, dates and verbatim text, one by one: without a source, lost, or elsewhere."""

from collections.abc import Sequence, Set
from itertools import pairwise

from minimix.audit.entries import COUNT, DATE, FAMILY, NAME, NUMBER, SORTS, TITLE, Reading
from minimix.audit.lexicon import HEADS
from minimix.audit.matching import Match, initials, initials_around

SWAPPED = 0.7
"""Neighbours that another fact's place in a source must share before a fact looks misplaced."""
MARGIN = 0.4
"""By how much more than those of the fact's own places."""
FREE = 0.25
"""By how much worse that other fact must stand in the draft."""
LOSABLE = frozenset((NAME, NUMBER, DATE))
MONTHS = (
    "January February March April May June July August September October November December".split()
)
SMALL_MONTHS = {"5": "may", "3": "march"}
"""Months that are common words too, and so are none in small letters."""
TYPED = LOSABLE | {TITLE}
PLACED = TYPED | {COUNT}


def unsupported(match: Match) -> list[str]:
    """Return the draft's typed facts that no source holds."""
    found = []
    lists = {mark for reading in (*match.answers, *match.asked) for mark in reading.marks}
    for reading in (match.prompt, match.draft):
        strange = _missing(reading, match.given | lists, (*match.answers, *match.asked), TYPED)
        found += [_named(reading, entry) for entry in strange]
    known = {piece for reading in (*match.answers, *match.asked) for piece in reading.verbatim}
    for reading in (match.prompt, match.draft):
        found += [f'"{piece}"' for piece in reading.verbatim if piece not in known]
    return found


def lost(match: Match) -> list[str]:
    """Return the typed facts of the sources' answers that the draft does not hold."""
    own = (match.draft, match.prompt)
    there = match.own | match.alias.keys() | match.draft.marks | match.prompt.marks
    found = []
    for reading in match.answers:
        gone = _missing(reading, there, own, LOSABLE)
        found += [_named(reading, entry) for entry in gone if not _rest_kept(reading, entry, there)]
    known = {piece for reading in own for piece in reading.verbatim}
    found += [f'"{p}"' for reading in match.answers for p in reading.verbatim if p not in known]
    return found


def _rest_kept(reading: Reading, entry: int, there: Set[str]) -> bool:
    """Return whether the other words of a name of several are all there."""
    others = [
        reading.keys[one]
        for one in (entry - 1, entry + 1)
        if 0 <= one < len(reading.keys)
        and abs(reading.at[one] - reading.at[entry]) == 1
        and FAMILY[reading.sorts[one]] == FAMILY[NAME]
    ]
    is_name = reading.sorts[entry] == NAME
    return is_name and bool(others) and all(one in there for one in others)


def _missing(
    reading: Reading, there: Set[str], others: Sequence[Reading], wanted: Set[int]
) -> list[int]:
    """Return the typed entries of `reading` that are not `there`, initials and parts of dates."""
    strange = [
        entry
        for entry, (key, sort) in enumerate(zip(reading.keys, reading.sorts, strict=True))
        if sort in wanted and key not in there
    ]
    if not strange:
        return []
    return [entry for entry in strange if not _elsewhere(reading, entry, others)]


def _elsewhere(reading: Reading, entry: int, others: Sequence[Reading]) -> bool:
    key, sort = reading.keys[entry], reading.sorts[entry]
    if sort in (NAME, TITLE):
        if _part_of_known(reading, entry, others):
            return True
        return _by_initials(reading, entry, others)
    if sort == DATE:
        return any(_holds_date(other, key) for other in others)
    return False


def _part_of_known(reading: Reading, entry: int, others: Sequence[Reading]) -> bool:
    """Return whether a word only fills up a name that is known by its other words."""
    at = reading.at[entry]
    if reading.spelt(entry) not in HEADS:
        return False
    beside = [one for one in (entry - 1, entry + 1) if 0 <= one < len(reading.keys)]
    return any(
        abs(reading.at[one] - at) == 1
        and any(reading.keys[one] in other.places for other in others)
        for one in beside
        if FAMILY[reading.sorts[one]] == FAMILY[NAME]
    )


def _by_initials(reading: Reading, entry: int, others: Sequence[Reading]) -> bool:
    """Return whether a name is an acronym whose words stand elsewhere, or the reverse."""
    token = reading.tokens[reading.at[entry]]
    own = initials_around(reading, reading.at[entry])
    for other in others:
        acronyms, runs = initials(other)
        if token.isupper() and (token.lower() in other.tokens or token.lower() in runs):
            return True
        if not acronyms.isdisjoint(own):
            return True
    return False


def _holds_date(reading: Reading, key: str) -> bool:
    """Return whether a month stands in a longer date, or a small "may" beside its day."""
    month, _, day = key[1:].partition("-")
    small = SMALL_MONTHS.get(month) in reading.tokens
    if not day:
        return small or any(other.startswith(f"{key}-") for other in reading.places)
    return (small or f"~{month}" in reading.places) and f"#{day}" in reading.places


def _named(reading: Reading, entry: int) -> str:
    """Return a typed fact as people read it."""
    sort = reading.sorts[entry]
    shown = reading.tokens[reading.at[entry]]
    if sort in (NUMBER, COUNT):
        shown = reading.keys[entry][1:]
    elif sort == DATE:
        month, _, day = reading.keys[entry][1:].partition("-")
        shown = f"{MONTHS[int(month) - 1]} {day}".strip()
    return f"{SORTS[sort]} {shown}"


def misplaced(match: Match) -> list[str]:
    """Return the draft's typed facts that stand where the sources have another of their sort."""
    found: list[str] = []
    draft, frames = match.draft, Frames(match)
    for entry, (key, sort) in enumerate(zip(draft.keys, draft.sorts, strict=True)):
        if sort not in PLACED or (key not in match.given and sort != COUNT):
            continue
        other = frames.other(entry)
        if not other and other is not None:
            own = _best_own(match, entry, key)
            other = _best_other(match, entry, own + MARGIN) if own < 1 - MARGIN else ""
        if other:
            found.append(f"{_named(draft, entry)} where a source has {other}")
    return found


class Frames:
    """What stands between two words in the sources: the plainest sign that something changed."""

    def __init__(self, match: Match) -> None:
        """Note the two neighbours of each typed entry of the sources."""
        self.match = match
        self.between: dict[tuple[int, str, str], list[tuple[str, Reading, int]]] = {}
        self.beside: set[tuple[str, str]] = set()
        for keys, reading in zip(match.keys, match.answers, strict=True):
            self.beside.update(pairwise(keys))
            for entry, sort in enumerate(reading.sorts):
                if sort in PLACED and 0 < entry < len(keys) - 1:
                    frame = (FAMILY[sort], keys[entry - 1], keys[entry + 1])
                    self.between.setdefault(frame, []).append((keys[entry], reading, entry))
        draft = match.draft.keys
        self.drafted = set(zip(draft, draft[1:], draft[2:], strict=False))

    def other(self, entry: int) -> str | None:
        """Return what the sources have between an entry's neighbours, None where it is right."""
        keys = self.match.draft.keys
        if not 0 < entry < len(keys) - 1:
            return ""
        before, key, after = keys[entry - 1 : entry + 2]
        held = self.between.get((FAMILY[self.match.draft.sorts[entry]], before, after))
        if (before, key) in self.beside and (key, after) in self.beside:
            return None if not held or any(one == key for one, *_ in held) else ""
        if not held or (before, key) in self.beside or (key, after) in self.beside:
            return ""
        free = [
            (reading, there)
            for one, reading, there in held
            if (before, one, after) not in self.drafted
            and self.match.names.isdisjoint({(one, key), (key, one)})
        ]
        return _named(*free[0]) if free and all(one != key for one, *_ in held) else ""


def _best_own(match: Match, entry: int, key: str) -> float:
    best = 0.0
    for source, places in enumerate(match.places):
        for there in places.get(key, ()):
            best = max(best, match.alike(entry, source, there))
            if best >= 1 - MARGIN:
                return best
    return best


def _best_other(match: Match, entry: int, least: float) -> str:
    """Return another fact of the sort whose place in a source fits better, "" for none.

    A place that the draft fills with its own fact elsewhere is not free for this one.
    """
    best, name = 0.0, ""
    near = set(match.draft.keys[max(0, entry - 2) : entry + 3])
    key, family = match.draft.keys[entry], FAMILY[match.draft.sorts[entry]]
    least = max(least, SWAPPED)
    for source, reading in enumerate(match.answers):
        keys = match.keys[source]
        for there, other in enumerate(reading.sorts):
            if FAMILY[other] != family or keys[there] in near:
                continue
            if (key, keys[there]) in match.names or (keys[there], key) in match.names:
                continue
            alike = match.alike(entry, source, there)
            if alike > best and alike >= least:
                held = match.draft.places.get(keys[there], ())
                if all(match.alike(one, source, there) < alike - FREE for one in held):
                    best, name = alike, _named(reading, there)
    return name


def other_units(match: Match) -> list[str]:
    """Return the draft's figures whose unit no source gives them, where each gives another."""
    found = []
    for entry, unit in match.draft.units.items():
        key = match.draft.keys[entry]
        given = {
            reading.units.get(there, "")
            for reading in (*match.answers, *match.asked)
            for there in reading.places.get(key, ())
        }
        if given and "" not in given and unit not in given:
            shown = f"{key[1:]} {unit}"
            found.append(f"{shown} where a source has {key[1:]} {min(given)}")
    return found
