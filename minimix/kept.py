"""Answers that an earlier start put on disk, read back: each is an answer, or an error."""

from collections.abc import Mapping
from typing import Any, get_args

from minimix.records import Answer, Finish

FINISHES = get_args(Finish)


def answer_of(plain: Any) -> Answer:
    """Return the answer whose fields `plain` holds; raises ValueError where it is none."""
    if not isinstance(plain, Mapping) or set(plain) != set(Answer.__dataclass_fields__):
        raise ValueError(f"expected an answer, found {type(plain).__name__}")
    answer = Answer(**plain)
    numbers = all(type(one) is int and one >= 0 for one in (answer.task, answer.candidate))
    texts = isinstance(answer.text, str) and isinstance(answer.note, str)
    if not (numbers and texts and answer.finish in FINISHES):
        raise ValueError("expected an answer, found one with other values")
    return answer
