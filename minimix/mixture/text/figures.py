"""Figures of like shape and size: what a wrong number must be to be believed."""

import re
from collections.abc import Iterator, Sequence

import numpy as np

from minimix.mixture.text.wording import COUNTS, DATE, NUMBER, NUMBER_WORDS, YEAR

HEDGE = re.compile(r"(?:about|over|around|nearly|almost|some|approximately|more than|less than) ")
LEADING = re.compile(r"\W{0,2}#")
DECADE = re.compile(r"(?:1\d|20)\d0s")
NEAR_YEARS = 60
LARGEST_RATIO = 3.0
WHOLE_PERCENT = 100


def shape_of(text: str) -> str:
    """Return a text that begins with a figure, each number as "#"; "" where it does not."""
    spelt = " ".join("#" if word.lower() in NUMBER_WORDS else word.lower() for word in text.split())
    shape = re.sub(r"#(?:[\s-]#)+", "#", NUMBER.sub("#", HEDGE.sub("", spelt)))
    return shape if LEADING.match(shape) else ""


def figures_like(
    answer: str, others: Sequence[str], text: str, rng: np.random.Generator
) -> Iterator[str]:
    """Yield believable wrong figures for `answer`: of its shape, and near it.

    First those of `others`, then the answer with its number put as one of `text`, in random order.
    """
    yield from (one for one in others if _is_near(one, answer))
    numbers = NUMBER.findall(answer)
    if YEAR.search(answer) and len(numbers) == 1 + bool(DATE.search(answer)):
        found = [YEAR.sub(one, answer) for one in YEAR.findall(text)]
    elif DECADE.fullmatch(answer):
        found = DECADE.findall(text)
    elif len(numbers) == 1 and not DATE.search(answer):
        found = [answer.replace(numbers[0], one, 1) for one in NUMBER.findall(text)]
        found = [one for one in found if not YEAR.search(one)]
    else:
        found = _counts_near(answer)
    likely = sorted({one for one in found if _is_near(one, answer)})
    yield from (likely[number] for number in rng.permutation(len(likely)))


def _counts_near(answer: str) -> list[str]:
    """Return a spelt number's neighbours, with the words that follow it and its casing."""
    first, _, rest = answer.partition(" ")
    if first.lower() not in COUNTS:
        return []
    at = COUNTS.index(first.lower())
    near = [COUNTS[number] for number in range(max(1, at - 2), min(len(COUNTS), at + 4))]
    near = [word.capitalize() if first[0].isupper() else word for word in near]
    return [f"{word} {rest}".strip() for word in near if rest or word.lower() != "one"]


def _is_near(one: str, answer: str) -> bool:
    """Return whether two figures are alike in form and size, and not equal."""
    first, second = _value(one), _value(answer)
    if YEAR.search(answer) or DECADE.fullmatch(answer):
        return bool(YEAR.search(one)) and 0 < abs(first - second) <= NEAR_YEARS
    if _form(one) != _form(answer):
        return False
    if "%" in answer and first > WHOLE_PERCENT:
        return False
    low, high = sorted((first, second))
    return low != high and low > 0 and high / low <= LARGEST_RATIO


def _form(text: str) -> tuple[bool, ...]:
    """Return how a figure is written: in digits, with thousands set off, with decimals."""
    return text[:1].isdigit(), "," in text, "." in text


def _value(text: str) -> float:
    """Return the year, number or counted number that a text holds first; 0 for none."""
    numbers = YEAR.findall(text) or NUMBER.findall(text)
    if numbers:
        return float(re.sub(r"[^\d.]", "", numbers[0]) or 0)
    first = text.lower().split(" ")[0] if text else ""
    return float(COUNTS.index(first)) if first in COUNTS else 0.0
