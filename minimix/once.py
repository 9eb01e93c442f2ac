"""An answer without the sentences that it says a second time.

A small model that merges variants of one text often repeats a sentence of it, up to a loop. What
the sentence says is said already, so nothing is lost without it.
"""

import re

from minimix.parse import parse
from minimix.records import Task

BETWEEN = re.compile(r"((?<=[.!?])\s+|\n+)")
POINTS = ".,;:!?()\"'"
FEWEST_WORDS = 5
"""What is shorter ("Yes, it is.") may be meant twice."""
CODE = "```"


def told_once(task: Task, text: str) -> str:
    """Return a model's answer to `task` without sentences of its response that repeat another.

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
