"""What a text is made of: sentences, clauses, and the words that carry facts.

A sentence here keeps the line breaks that follow it, so that `joined` gives a list back as a list.
"""

import re
from collections.abc import Sequence

BREAK = re.compile(r"[.!?\u2026]+[\"'\u201d\u2019)\]]*\s+|\n+")
OPENS = re.compile(r"[\"'\u201c\u2018(\[]?[A-Z0-9\u00c0-\u00de]")
LAST_WORD = re.compile(r"[\w.]+$")
DOTTED = re.compile(r"(?:[A-Za-z]\.)+[A-Za-z]")
FRESH = re.compile(
    r"(?:The|A|An|In|On|At|It|He|She|They|This|These|There|As|By|For|From|After|His)\b"
)
LIST_MARK = re.compile(r"\(?(?:\d{1,2}|[a-zA-Z])")
ABBREVIATIONS = frozenset(
    """dr mr mrs ms prof st ste jr sr vs e.g i.e eg ie cf ca c no nos vol fig gen col lt sgt capt
    rev hon inc ltd co corp dept est approx op pp ed eds al bros mt ft ph.d gov sen
    rep adm""".split()
)
LONGEST_ASIDE = 300
CLAUSE = re.compile(
    r"(?<=;)\s+|(?<=,)\s+(?=(?:and|but|or|while|which|who|whose|where|when|because|although|though"
    r"|so|with|including|as|after|before|since|whereas|even|both|leading|making)\b)"
    r"|\s+(?=(?:because|although|whereas|but|while|unless)\b)"
)
FEWEST_CLAUSE_WORDS = 4
CLOSERS = {'"': '"', "(": ")", "[": "]", "\u201c": "\u201d"}

MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
YEAR = re.compile(r"\b(?:1\d{3}|20\d{2})\b(?![,.]\d)")
DATE = re.compile(rf"\b(?:{MONTHS})\b")
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
COUNTS = tuple("zero one two three four five six seven eight nine ten eleven twelve".split())
NEGATIONS = frozenset(
    """no not never none nobody nothing nowhere neither nor without cannot hardly barely unless
    except false lack lacks lacked""".split()
)
NUMBER_WORDS = frozenset(
    """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety half
    third quarter first second fourth fifth sixth seventh eighth ninth tenth once twice""".split()
)
SCALES = frozenset("hundred thousand million billion trillion dozen double triple both".split())


def sentences(text: str) -> tuple[str, ...]:
    """Return the sentences and lines of `text`, each with the line breaks after it."""
    found, start = [], 0
    for gap in BREAK.finditer(text):
        if _ends(text, start, gap):
            found.append(text[start : gap.end()])
            start = gap.end()
    found.append(text[start:])
    return tuple(_trimmed(piece) for piece in found if piece.strip())


def joined(units: Sequence[str]) -> str:
    """Return sentences or clauses as one text."""
    return "".join(unit if unit.endswith("\n") else f"{unit} " for unit in units).strip()


def clauses(sentence: str) -> tuple[str, ...]:
    """Return the clauses of a sentence, each of 4 words or more; itself alone where it has one."""
    found, start = [], 0
    for gap in CLAUSE.finditer(sentence):
        before, after = sentence[start : gap.start()], sentence[gap.end() :]
        if min(map(words, (before, after))) >= FEWEST_CLAUSE_WORDS and is_balanced(before):
            found.append(before)
            start = gap.end()
    return (*found, sentence[start:])


def units(text: str) -> tuple[str, ...]:
    """Return what can be lost of a text one by one: its sentences, or the clauses of a lone one."""
    whole = sentences(text)
    return clauses(whole[0]) if len(whole) == 1 else whole


def words(text: str) -> int:
    """Return how many words `text` has."""
    return len(text.split())


def content_words(text: str) -> frozenset[str]:
    """Return the words of 5 letters or more, in lower case: those that a topic shows in."""
    return frozenset(re.findall(r"[^\W\d_]{5,}", text.lower()))


def is_balanced(text: str) -> bool:
    """Return whether every quotation mark and bracket of `text` is closed."""
    return not any(_is_open(text, mark) for mark in CLOSERS)


def _is_open(text: str, mark: str) -> bool:
    closer = CLOSERS[mark]
    return bool(text.count(mark) % 2) if closer == mark else text.count(mark) != text.count(closer)


def _trimmed(piece: str) -> str:
    body = piece.strip()
    after = piece[len(piece.rstrip()) :]
    return body + "\n" * after.count("\n")


def _ends(text: str, start: int, gap: re.Match[str]) -> bool:
    """Return whether a sentence that began at `start` ends at `gap`."""
    if "\n" in gap.group():
        return True
    if not OPENS.match(text, gap.end()):
        return False
    before = text[start : gap.start()].lstrip()
    if gap.group().startswith(".") and _is_short(before, text[gap.end() : gap.end() + 6]):
        return False
    ahead = text[gap.end() : gap.end() + LONGEST_ASIDE]
    inside = text[start : gap.end()]
    return not any(_is_open(inside, mark) and CLOSERS[mark] in ahead for mark in CLOSERS)


def _is_short(before: str, after: str) -> bool:
    """Return whether the point between two texts belongs to an abbreviation or a list number."""
    found = LAST_WORD.search(before)
    word = found[0] if found else ""
    if DOTTED.fullmatch(word):
        return not FRESH.match(after)
    initial = len(word) == 1 and word.isupper()
    return initial or word.lower() in ABBREVIATIONS or bool(LIST_MARK.fullmatch(before))
