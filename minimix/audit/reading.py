"""From a text to its reading: what is no fact cut out, each token looked up, entries made."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from minimix.audit.entries import NAME, WORD, Reading
from minimix.audit.figures import add_date, add_number
from minimix.audit.words import Sort, Word, look_up

VERBATIM = re.compile(r"https?://[^\s<>\"')\]]*[^\s<>\"')\].,;:!?]|www\.[^\s<>\"')\]]*\w|`[^`\n]+`")
DOTTED = re.compile(r"\b(?:[A-Za-z]\.){2,}")
DIGIT = re.compile(r"\d")
DEGREES = re.compile(
    r"(?:°|\bdegrees?\b)\s*(?:(C|Celsius|centigrade)|F|Fahrenheit)\b", re.IGNORECASE
)
ISO = re.compile(r"\b(\d{4})-(\d{1,2})-(\d{1,2})\b")
TOKEN = re.compile(
    r"\d+(?:[.,]\d+)*|[^\W\d_][^\W_]*(?:'[^\W\d_]+)*'?|[.!?]+(?=\s|$|[\"')\]])|\n+|[%$€£°]|[,;:()]"
)
PLAIN_DENIALS = frozenset(("not", "never", "cannot", "n't"))
MARK = re.compile(
    r"^[ \t]*\(?(\d{1,2})(?:[.)](?!\d)|[ \t]*[-:][ \t]|[ \t])"
    r"|(?<=\s)\(?(\d{1,2})[.)][ \t]+(?=[A-Za-z])",
    re.MULTILINE,
)
SLASHED = re.compile(r"\b(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})\b")
GLUED = re.compile(r"(?<=[A-Za-z]{3})(?=\d{2})")
QUOTES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u2013": "-", "\u2014": "-", "\u2212": "-",
                        "\u00a0": " ", "\u201c": '"', "\u201d": '"', "_": " "})  # fmt: skip
REMEMBERED = 512
"""Readings: those of some clusters' sources and drafts, of 30 KiB for a thousand characters."""
MONTH_NAMES = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
SILENT = frozenset((Sort.END, Sort.SIGN, Sort.POINT))


@lru_cache(REMEMBERED)
def read(text: str) -> Reading:
    """Return the reading of `text`. Callers share it, and change nothing in it."""
    text = text if text.isascii() else unicodedata.normalize("NFC", text)
    text, verbatim = _plain(text.translate(QUOTES))
    marks: frozenset[str] = frozenset()
    if DIGIT.search(text):
        marks, text = _marks(GLUED.sub(" ", SLASHED.sub(_slashed, ISO.sub(_iso, text))))
    reading = Reading(TOKEN.findall(text), verbatim=verbatim, marks=marks)
    words = list(map(look_up, reading.tokens))
    _scan(reading, words)
    sorts = [word.sort for word in words]
    spoken = len(sorts) - sum(map(sorts.count, SILENT))
    reading.small = sorts.count(Sort.SKIP) / max(spoken, 1)
    reading.sentence_words = spoken / max(sorts.count(Sort.END), 1)
    return reading


def _plain(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a text without its addresses, code and points within acronyms; and the first two."""
    verbatim: tuple[str, ...] = ()
    if "`" in text or "http" in text or "www." in text:
        verbatim = tuple(found.strip("`").rstrip("/") for found in VERBATIM.findall(text))
        text = VERBATIM.sub(" ", text)
    if "°" in text or "egree" in text:
        text = DEGREES.sub(lambda found: " degc" if found[1] else " degf", text)
    return DOTTED.sub(lambda found: found[0].replace(".", "") + " ", text), verbatim


def _iso(found: re.Match[str]) -> str:
    return _date_text(found, int(found[3]), int(found[2]), found[1])


def _slashed(found: re.Match[str]) -> str:
    day, month = int(found[1]), int(found[2])
    if month > 12:
        day, month = month, day
    return _date_text(found, day, month, found[3])


def _date_text(found: re.Match[str], day: int, month: int, year: str) -> str:
    return f"{day} {MONTH_NAMES[month - 1]} {year}" if 1 <= month <= 12 else found[0]


def _marks(text: str) -> tuple[frozenset[str], str]:
    """Return the numbers that only count the points of a list, and the text without them."""
    found = [first or second for first, second in MARK.findall(text)]
    run = {number for number in found if int(number) == 1 or str(int(number) - 1) in found}
    if len(run) < 2:
        return frozenset(), text

    def cut(mark: re.Match[str]) -> str:
        return " / " if (mark[1] or mark[2]) in run else mark[0]

    return frozenset(f"#{number}" for number in run), MARK.sub(cut, text)


def _scan(reading: Reading, words: Sequence[Word]) -> None:
    """Give `reading` the entries of its tokens."""
    sentence, started, position, count = 0, False, 0, len(words)
    while position < count:
        word = words[position]
        sort = word.sort
        if sort is Sort.END:
            sentence, started, position = sentence + 1, False, position + 1
        elif sort in MEASURES:
            position = MEASURES[sort](reading, words, position, sentence)
            started = True
        else:
            if sort is Sort.PLAIN:
                kind = word.name if started or _leads_name(words, position) else WORD
                reading.add(word.key, kind, word.weight, position, sentence)
            elif sort is not Sort.SKIP and sort not in SILENT:
                _note_turn(reading, word, position, sentence)
            started = started or sort not in SILENT
            position += 1


def _note_turn(reading: Reading, word: Word, position: int, sentence: int) -> None:
    """Note a negation, or a word that can stand for one, which is an entry too."""
    entry = len(reading.keys)
    reading.turns.append(entry)
    if word.sort is Sort.DENIAL:
        reading.denials.append((entry, position))
    if word.key not in PLAIN_DENIALS:
        reading.others.append(entry)
    if word.sort is Sort.TURN:
        reading.add(word.key, WORD, word.weight, position, sentence)


def _leads_name(words: Sequence[Word], position: int) -> bool:
    """Return whether the first word of a sentence is a name: another name follows it."""
    return position + 1 < len(words) and words[position + 1].name == NAME


MEASURES = {Sort.NUMBER: add_number, Sort.SCALE: add_number, Sort.MONTH: add_date}
