"""Statements out of sentences: what of a sentence can be asked, cut off, or put wrong."""

import re
from collections.abc import Sequence

from minimix.mixture.text.answers import Asked
from minimix.mixture.text.prose import DEPENDENT, stands_alone
from minimix.mixture.text.wording import DATE, clauses, is_balanced, words

FIGURE = re.compile(r"(?<![\w.,$\u00a3\u20ac\u2013-])\d[\d,]*\d(?:\.\d+)?%?(?![\w\u2013-]|[.,]\d)")
LAST_WORD = re.compile(r"([\w.'-]+)\W*$")
NEXT_WORD = re.compile(r"^\W*(\w+)")
FINITE = re.compile(
    r"\b(?:is|was|are|were|has|had|have|did|does|can|could|will|would|may|might|must|became|began"
    r"|made|led|took|gave|won|held|came|went|wrote|said|included|includes|remains|remained)\b"
)
SUBORDINATE = frozenset("while when because if since after before as until unless for".split())
BOUND = frozenset("but or as even both unless".split())
"""A clause that begins so may turn what was said before it."""
FEWEST_WORDS = 6


def gaps(run: Sequence[str]) -> tuple[Asked, ...]:
    """Return what could be asked without a question: the first plain figure of each sentence.

    Only of sentences that stand alone; a figure that is part of a name or a date is none.
    """
    found = []
    for number, sentence in enumerate(run):
        figure = next((one for one in FIGURE.finditer(sentence) if _is_plain(sentence, one)), None)
        if figure and stands_alone(sentence):
            found.append(Asked("", figure[0], number, figure.start()))
    return tuple(found)


def short_form(sentence: str, end: int) -> str:
    """Return the shortest statement that a sentence begins with and that reaches past `end`.

    The sentence itself where nothing can be cut off safely.
    """
    first = sentence.split(maxsplit=1)[0].lower()
    if first in DEPENDENT | SUBORDINATE:
        return sentence
    text, said = "", clauses(sentence)
    for clause, after in zip(said, (*said[1:], ""), strict=True):
        text = f"{text} {clause}".strip()
        whole = len(text) > end and FINITE.search(text) and words(text) >= FEWEST_WORDS
        if whole and is_balanced(text) and after.split(" ")[0] not in BOUND:
            break
    return sentence if len(text) >= len(sentence) else text.rstrip(",; ") + "."


def put_wrong(sentence: str, asked: Asked, wrong: str) -> str:
    """Return the sentence with `wrong` in place of the answer; "" where that is not there."""
    answer = asked.answer
    if not sentence.startswith(answer, asked.at):
        return ""
    made = sentence[: asked.at] + wrong + sentence[asked.at + len(answer) :]
    return made[:1].upper() + made[1:]


def _is_plain(sentence: str, figure: re.Match[str]) -> bool:
    before = LAST_WORD.search(sentence[: figure.start()])
    after = NEXT_WORD.match(sentence[figure.end() :])
    if not before or sentence[: figure.start()].rstrip()[-1:] in "(,":
        return False
    is_small = before[1].islower() or before.start() == 0
    dated = DATE.search(f"{before[1]} {after[1] if after else ''}")
    return is_small and not dated and (not after or after[1].lower() not in {"bc", "bce", "ad"})
