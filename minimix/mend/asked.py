"""The question of an answer: it asks what each source asks."""

import re

from minimix.audit import asks
from minimix.mend.words import spelt, words
from minimix.parse import LABEL_Q, parse
from minimix.records import Task

SENTENCES = re.compile(r"(?<=[.!?])\s+|\n+")
LABEL_A = re.compile(r"\s*A(?:nswer)?:", re.IGNORECASE)
ASKED = 0.8
"""The share of a source's question from which an answer's question asks it too."""
MOST_ADDED = 40
"""Words of a question that is added: what is longer tells a story, and stays with its sources."""


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
    many = len(question.split())
    labelled = LABEL_Q.match(question) or LABEL_A.match(question)
    return not SENTENCES.search(question) and not labelled and 0 < many <= MOST_ADDED


def _spelt_as(text: str, question: str) -> str:
    """Return a question with words that are one slip from one of the text's spelt as there."""
    known = dict.fromkeys(words(text))
    return " ".join(spelt(word, known) for word in words(question))
