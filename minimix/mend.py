"""What a small distiller often gets wrong and a rule puts right, before anything is judged.

It merges two answers and asks one of their questions, and it says a sentence of both twice.
"""

import re

from rapidfuzz.distance import OSA
from rapidfuzz.process import extractOne

from minimix.audit import asks
from minimix.parse import LABEL_Q, parse
from minimix.records import Task

BETWEEN = re.compile(r"((?<=[.!?])\s+|\n+)")
POINTS = ".,;:!?()\"'"
FEWEST_WORDS = 5
"""What is shorter ("Yes, it is.") may be meant twice."""
CODE = "```"
LABEL_A = re.compile(r"\s*A(?:nswer)?:", re.IGNORECASE)
ASKED = 0.8
"""The share of a source's question from which an answer's question asks it too."""
SHORTEST_TYPO = 5
"""Letters of a word that may be another one, misspelt."""
MOST_ADDED = 40
"""Words of a question that is added: what is longer tells a story, and stays with its sources."""


def mended(task: Task, text: str) -> str:
    """Return a model's answer to `task`, told once and asked in full; its form does not change."""
    return asked_in_full(task, told_once(task, text))


def told_once(task: Task, text: str) -> str:
    """Return an answer without sentences of its response that repeat another.

    Two are the same whatever the case and the points around their words. Question, options and
    tags stay as they are, and so does a response with code.
    """
    response = parse(task, text).response
    if not response or response not in text or CODE in response:
        return text
    before, _, after = text.rpartition(response)
    return f"{before}{_once(response)}{after}"


def _once(text: str) -> str:
    parts = [*BETWEEN.split(text), ""]
    kept, said = list[str](), set[str]()
    for sentence, gap in zip(parts[::2], parts[1::2], strict=True):
        words = [word.strip(POINTS) for word in sentence.lower().split()]
        own = " ".join(words)
        if len(words) < FEWEST_WORDS or own not in said:
            kept += [sentence, gap]
            said.add(own)
    return "".join(kept).rstrip()


def asked_in_full(task: Task, text: str) -> str:
    """Return an answer whose question asks what each source asks: of a source that it leaves out,
    the question is added, on a line of its own.

    Questions of several lines, or of more than 40 words, are not added, nor to any of several
    lines: they hold a passage.
    """  # noqa: D205
    asked = parse(task, text).prompt
    if task.kind != "qa" or not asked or "\n" in asked:
        return text
    full = asked
    for part in task.parts:
        question = LABEL_Q.sub("", part.partition("\nA: ")[0].strip())
        if _is_short(question) and asks(full, _spelt_as(full, question)) < ASKED:
            full += f"\n{question}"
    return text.replace(asked, full, 1)


def _is_short(question: str) -> bool:
    words = question.split()
    labelled = LABEL_Q.match(question) or LABEL_A.match(question)
    return not BETWEEN.search(question) and not labelled and 0 < len(words) <= MOST_ADDED


def _spelt_as(text: str, question: str) -> str:
    """Return a question with words that are one slip from one of the text's spelt as there."""
    known = list(dict.fromkeys(word.strip(POINTS) for word in text.lower().split()))
    words = [word.strip(POINTS) for word in question.lower().split()]
    near = [
        extractOne(word, known, scorer=OSA.distance, score_cutoff=1)
        if len(word) >= SHORTEST_TYPO
        else None
        for word in words
    ]
    return " ".join(best[0] if best else word for word, best in zip(words, near, strict=True))
