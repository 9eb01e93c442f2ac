"""The baseline without a model: it fuses by picking, and writes no word of its own.

Labelled as what it is wherever it is used; a distiller has to beat it.
"""

import re
from collections.abc import Iterator, Sequence

from minimix.prompt import parts_of
from minimix.records import Answer, Engine, Messages

SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
WORD = re.compile(r"\w+")
NEW_SHARE = 0.5
"""A sentence is added where at least this share of its words has not been said yet."""


def extractive() -> Engine:
    """Return the engine that answers with the longest part and every sentence new to it."""
    return Engine(generate, name="extract (extractive baseline, no model)", sha256=None)


def generate(chats: Sequence[Messages]) -> Iterator[Answer]:
    """Yield one answer for each chat of `minimix.prompt.to_messages`; the same for the same."""
    for number, chat in enumerate(chats):
        yield Answer(number, 0, fuse(parts_of(chat)), "stop")


def fuse(parts: Sequence[str]) -> str:
    """Return the tagged answer made of `parts`, the longest first."""
    halves = [part.partition("\nA: ") for part in parts]
    ordered = sorted(halves, key=lambda half: -len(half[2] or half[0]))
    said: set[str] = set()
    kept: list[str] = []
    for head, _, body in ordered:
        for sentence in filter(None, map(str.strip, SENTENCE.split(body or head))):
            words = {word.lower() for word in WORD.findall(sentence)}
            if len(words - said) > NEW_SHARE * len(words):
                kept.append(sentence)
                said |= words
    question = ordered[0][0].removeprefix("Q: ")
    label = f"Q: {question}\nA: " if ordered[0][1] else ""
    return f"<answer>{label}{' '.join(kept)}</answer>"
