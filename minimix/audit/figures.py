"""Numbers and dates in a text, however they are written, as entries of its reading."""

from collections.abc import Sequence

from minimix.audit.entries import COUNT, DATE, NUMBER, Reading
from minimix.audit.lexicon import SCALES, UNITS
from minimix.audit.words import Sort, Word

HALF = ["a", "half"]
ORDINAL_ENDS = frozenset(("st", "nd", "rd", "th"))
MOST_DAYS = 31
MOST_COUNTED, MOST_SOFT = 4, 3
"""A figure spelt out, or an ordinal, up to here may be what a writer counted or put in order."""


def add_number(reading: Reading, words: Sequence[Word], position: int, sentence: int) -> int:
    """Add the number that begins at `position`, or the date; return where it ends."""
    value, following = _value(words, position)
    month = _month_after(words, following)
    if month and value <= MOST_DAYS and value == int(value):
        return _day(reading, words[month], (position, month + 1), value, sentence)
    spelt = not words[position].key[0].isdecimal()
    ordinal = following < len(words) and words[following].key in ORDINAL_ENDS
    soft = (spelt and value <= MOST_COUNTED) or value == 1 or (ordinal and value <= MOST_SOFT)
    reading.add(f"#{value:.12g}", COUNT if soft else NUMBER, 1.0, position, sentence)
    unit = UNITS.get(words[following].key) if following < len(words) else None
    if unit is None and position and words[position - 1].sort is Sort.SIGN:
        unit = UNITS[words[position - 1].key]
    if unit:
        reading.units[len(reading.keys) - 1] = unit
    return following


def _value(words: Sequence[Word], position: int) -> tuple[float, int]:
    """Return the number that begins at `position`, and where it ends: "two and a half million"."""
    value, following = words[position].value, position + 1
    spelt = not words[position].key[0].isdecimal()
    while following < len(words):
        word = words[following]
        if word.sort is Sort.SCALE or (word.key in SCALES and not spelt):
            value *= SCALES[word.key]
        elif spelt and word.sort is Sort.NUMBER and word.value < 10 <= value % 100 >= 20:
            value += word.value
        elif (
            word.key == "and" and [one.key for one in words[following + 1 : following + 3]] == HALF
        ):
            value, following = value + 0.5, following + 2
        else:
            break
        following += 1
    return value, following


def _month_after(words: Sequence[Word], following: int) -> int | None:
    """Return where the month after a day stands: "5 May", "5th May", "5th of May"."""
    for step in range(following, min(following + 3, len(words))):
        if words[step].sort is Sort.MONTH:
            return step
        if words[step].key not in ORDINAL_ENDS and words[step].key != "of":
            return None
    return None


def _day(reading: Reading, month: Word, span: tuple[int, int], day: float, sentence: int) -> int:
    """Add a month and day; return where they end."""
    reading.add(f"~{int(month.value)}-{int(day)}", DATE, 1.0, span[0], sentence)
    return span[1]


def add_date(reading: Reading, words: Sequence[Word], position: int, sentence: int) -> int:
    """Add the month at `position`, with the day that may follow; return where it ends."""
    month, following = words[position], position + 1
    if following < len(words) and words[following].sort is Sort.NUMBER:
        day = words[following].value
        if 1 <= day <= MOST_DAYS and day == int(day):
            end = following + 1
            end += end < len(words) and words[end].key in ORDINAL_ENDS
            return _day(reading, month, (position, end), day, sentence)
    reading.add(f"~{int(month.value)}", DATE, 1.0, position, sentence)
    return following
