"""Bytes to a value: rows that reach behind the first check, which bytes of JSON rarely do."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

NAMES = (
    "instruction", "input", "output", "context", "response", "prompt", "completion", "question",
    "answer", "messages", "conversations", "role", "content", "from", "value", "system", "text",
    "type", "tool_calls", "function_call", "task_type", "source", "cot", "rating", "score",
    "quality", "rating_detail", "Overall", "Overall_compressed", "minimix_rating", "ratings",
    "license", "dataset", "kind", "thought", "id", "rating_detail.Overall", "",
)  # fmt: skip
TEXTS = (
    "user", "assistant", "human", "gpt", "tool", "system", "text", "image_url", "qa_mixup", "cs",
    "mcq", "tf", "Name a moon.", "Io.", "3", "-1e999", "0x10", "nan", " ", "", "\ud800", "\x00",
    "=cmd|' /C calc'!A0", "<answer>Q: a\nA: b</answer>", "<think>so</think>", "\u2028", "A" * 200,
    "Q: a\nA: b\n\nQ: c\nA: d", "C: a\nS: b", "a\nAnswer: True", "<|im_end|>", "\U0001f34e", "1/2",
    "Which is it? A) 1\nB) 2\nC) 3\nD) 4\nAnswer: B", "multiple-choice", "and it?", "one.two",
)  # fmt: skip
NUMBERS = (
    0, 1, 5, -1, 10, 2**63, -(2**64), 10**4000, 0.5, -0.0, 4.5, 1e308, math.inf, -math.inf,
    math.nan, True, False, None,
)  # fmt: skip
AT_HAND: tuple[Any, ...] = (
    10**5000, np.int64(3), np.float32("nan"), np.array([1, 2]), np.array([["a"]]), np.bool_(True),
    b"\xff", {1, 2}, (1, "a"), {1: 2, "1": 3}, {None: 1, "a": 2}, 1j, object(), print, {(1,): 2},
    range(3), np.datetime64("2026-01-01"), np.array(3.0), np.array([None, "x"], dtype=object),
)  # fmt: skip
DEEPEST = 60


class _Bytes:
    """Bytes to choose by, one at a time; zero when they are used up."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def next(self) -> int:
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def text(self) -> str:
        size = self.next()
        self.at += size
        return self.data[self.at - size : self.at].decode(
            "utf-8", "surrogatepass" if size % 2 else "replace"
        )


def value_of(data: bytes, *, at_hand: bool = False) -> Any:
    """Return a value; `at_hand`, one that Python can hold and JSON may not."""
    odd = AT_HAND if at_hand else ()
    return _value(_Bytes(data), odd, 0)


def _value(given: _Bytes, odd: tuple[Any, ...], depth: int) -> Any:
    kinds: list[Callable[[], Any]] = [
        lambda: TEXTS[given.next() % len(TEXTS)],
        lambda: (*NUMBERS, *odd)[given.next() % (len(NUMBERS) + len(odd))],
        lambda: _text(given),
        lambda: [_value(given, odd, depth + 1) for _ in range(given.next() % 6)],
        lambda: {_name(given): _value(given, odd, depth + 1) for _ in range(given.next() % 8)},
        lambda: _nested(given.next() * 8),
    ]
    chosen = given.next() if depth else 4  # a record is an object, most of the time
    return kinds[chosen % (6 if depth < DEEPEST else 3)]()


def _name(given: _Bytes) -> str:
    chosen = given.next()
    return NAMES[chosen % len(NAMES)] if chosen < 250 else _text(given)


def _text(given: _Bytes) -> str:
    try:
        return given.text()
    except UnicodeDecodeError:
        return "\udcff"


def _nested(depth: int) -> Any:
    value: Any = "deep"
    for _ in range(depth):
        value = [value]
    return value
