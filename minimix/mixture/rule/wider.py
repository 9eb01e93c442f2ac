"""Neighbours that ask different things, made one: a wider question, and one answer to all of it.

Real pools hold mostly such clusters. Code can only put together what people wrote: questions that
share their words share them here once, and no sentence is said twice.
"""

import re
from collections.abc import Sequence

from minimix.mixture.text.wording import joined, sentences, words

STARTERS = frozenset(
    """what who whom whose how why when where which is are was were can could do does did has have
    give list name explain describe write tell identify classify create provide find suggest
    compare should will would in on for if of the a an please generate make define state
    summarize each after before during according from by at with under to whether""".split()
)
FEWEST_SHARED, MOST_OWN = 2, 7
"""Words that questions must share at the start, and may each have of their own, to be woven."""
SAID = 0.8
"""Share of a sentence's words from which it says nothing new."""
ENDS = tuple(".!?:;,)\"'\u201d")


def wider(questions: Sequence[str]) -> str:
    """Return one question that asks all of `questions`, each of them once."""
    asked = _apart([" ".join(question.split()) for question in questions])
    if len(asked) == 1:
        return asked[0]
    return _woven(asked) or _chained(asked)


def together(answers: Sequence[str]) -> str:
    """Return the answers as one, in their order, without sentences that say nothing new."""
    said: set[str] = set()
    kept: list[str] = []
    for answer in answers:
        own = [unit for unit in sentences(answer) if _is_new(unit, said)]
        for unit in own:
            said |= set(_bag(unit))
        lines = any("\n" in unit for unit in own)
        if own and not lines and not own[-1].endswith(ENDS):
            own[-1] += "."
        if own and lines and kept:
            kept[-1] = kept[-1].rstrip("\n") + "\n"
        if lines:
            own[-1] = own[-1].rstrip("\n") + "\n"
        kept += own
    return joined(kept)


def _apart(questions: Sequence[str]) -> list[str]:
    """Return the questions without those that another one asks as well."""
    kept: list[str] = []
    for question in sorted(questions, key=lambda one: -len(_asks(one))):
        if not any(_asks(question) <= _asks(other) for other in kept):
            kept.append(question)
    return [question for question in dict.fromkeys(questions) if question in kept]


def _asks(question: str) -> frozenset[str]:
    """Return the words that say what is asked."""
    return _bag(question) - STARTERS


def _woven(questions: Sequence[str]) -> str:
    """Return the questions with what they share at both ends said once; "" where that is little."""
    split = [question.rstrip("?.! ").split() for question in questions]
    if len({question[-1:] == "?" for question in questions}) > 1:
        return ""
    start = _shared(split)
    rests = [row[start:] for row in split]
    end = _shared([row[::-1] for row in rests])
    own = [row[: len(row) - end] for row in rests]
    if start < FEWEST_SHARED or not all(0 < len(row) <= MOST_OWN for row in own):
        return ""
    middle = _listed([" ".join(row) for row in own])
    text = " ".join([*split[0][:start], middle, *split[0][len(split[0]) - end :]])
    return text + (questions[0][-1] if questions[0][-1] in "?.!" else "")


def _shared(rows: Sequence[Sequence[str]]) -> int:
    """Return how many words all rows begin with."""
    count = 0
    for column in zip(*rows, strict=False):
        if len({word.lower() for word in column}) > 1:
            break
        count += 1
    return count


def _listed(texts: Sequence[str]) -> str:
    return f"{', '.join(texts[:-1])} and {texts[-1]}"


def _chained(questions: Sequence[str]) -> str:
    """Return the questions one after the other, as one sentence where all of them are questions."""
    small = [questions[0], *map(_small_start, questions[1:])]
    if all(question.endswith("?") and len(sentences(question)) == 1 for question in questions):
        bare = [question.rstrip("? ") for question in small]
        link = ", and " if len(bare) == 2 else ", "
        last = "" if len(bare) == 2 else "and "
        return f"{', '.join(bare[:-1])}{link}{last}{bare[-1]}?"
    text = questions[0]
    for question in small[1:]:
        stop = "" if text.endswith(("?", "!", ".")) else "."
        text = f"{text}{stop} Also, {question}"
    return text


def _small_start(question: str) -> str:
    """Return a question that can stand after a comma: its first word small, unless it is a name."""
    first, _, rest = question.partition(" ")
    return f"{first.lower()} {rest}" if first.lower() in STARTERS else question


def _is_new(unit: str, said: set[str]) -> bool:
    bag = _bag(unit)
    return not bag or len(bag - said) > (1 - SAID) * len(bag) or (words(unit) > 0 and not said)


def _bag(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.lower()))
