"""Drafts that try to fool the judge without fusing anything, for benchmarks/audit.py."""

import random
import re
from collections.abc import Callable, Sequence

from audit_cases import Case, draft, sentences

from minimix.audit import audit
from minimix.judge import Candidate, merit
from minimix.records import Draft, Sample

SMALL = "the of and to in a is that for it as was with be by on not or are from at this".split()
STOPPED = frozenset(
    """a an the of in on at to and or by for from with as is was were are be been it its this that
    these those i you he she they we his her their our your not no but if so than then there here
    which who what when where how why can could will would should may might do does did has have
    had just also some any all""".split()
)
PRAISE = (
    "Great question! This is truly a wonderful and very important topic, and I am delighted to "
    "help you with it. You clearly have a deep and thoughtful interest, and a helpful, accurate "
    "and comprehensive answer is exactly what you deserve. I hope this is helpful!"
)
RATING = 3.0
Attack = Callable[[Case, random.Random], str]


def _concatenated(case: Case, _rng: random.Random) -> str:
    return "\n\n".join(sample.response for sample in case.sources)


def _with_questions(case: Case, _rng: random.Random) -> str:
    return "\n\n".join(f"{sample.instruction}\n{sample.response}" for sample in case.sources)


def _twice(case: Case, _rng: random.Random) -> str:
    return f"{case.draft.response}\n\n{case.draft.response}"


def _looped(case: Case, rng: random.Random) -> str:
    looped = rng.choice(sentences(case.draft.response))
    return f"{case.draft.response} " + " ".join([looped] * 6)


def _longest(case: Case, _rng: random.Random) -> str:
    return max((sample.response for sample in case.sources), key=len)


def _content(case: Case) -> list[str]:
    words = re.findall(r"[\w'-]+", " ".join(sample.response for sample in case.sources))
    return list(dict.fromkeys(word for word in words if word.lower() not in STOPPED))


def _stuffed(case: Case, _rng: random.Random) -> str:
    return " ".join(_content(case))


def _shuffled(case: Case, rng: random.Random) -> str:
    words = _content(case)
    rng.shuffle(words)
    return ", ".join(words) + "."


def _sprinkled(case: Case, rng: random.Random) -> str:
    words = [f"{word} {rng.choice(SMALL)}" for word in _content(case)]
    lines = [" ".join(words[start : start + 8]) for start in range(0, len(words), 8)]
    return ". ".join(line.capitalize() for line in lines) + "."


def _praise(_case: Case, _rng: random.Random) -> str:
    return PRAISE


def _wrapped(case: Case, _rng: random.Random) -> str:
    opening, closing = sentences(PRAISE)[:2], sentences(PRAISE)[2:]
    first = sentences(case.draft.response)[:1]
    return " ".join([*opening, *first, *closing])


ATTACKS: dict[str, Attack] = {
    "concatenation": _concatenated,
    "concatenation with questions": _with_questions,
    "fusion said twice": _twice,
    "sentence looped": _looped,
    "longest source copied": _longest,
    "content words in order": _stuffed,
    "content words shuffled": _shuffled,
    "content words and small words": _sprinkled,
    "empty praise": _praise,
    "praise round a first sentence": _wrapped,
}


def merits(
    honest: Case, response: str, rating: Callable[[str, str], float] | None
) -> tuple[float, float]:
    """Return the merit of an honest fusion and of another response to the same sources.

    Both have the same rating, or that of `rating(prompt, response)`.
    """
    prompt = honest.draft.prompt
    found = []
    for one in (honest.draft, draft(prompt, response)):
        given = rating(prompt, one.response) if rating else RATING
        found.append(_merit(one, honest.sources, given))
    return found[0], found[1]


def _merit(one: Draft, sources: Sequence[Sample], rating: float) -> float:
    return merit(Candidate(one, audit(one, sources), rating))
