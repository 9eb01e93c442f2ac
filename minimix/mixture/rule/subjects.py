"""Neighbours about one subject, from passages: each says a part, and the target says it all.

Every kind has its own way to be wider: a question that asks more, a paragraph that goes on, a
statement with a second one, an option that answers twice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

import numpy as np

from minimix.mixture.rule.wider import together, wider
from minimix.mixture.text.articles import Article, Passage
from minimix.mixture.text.passages import (
    LETTERS,
    REQUESTS,
    answer_lines,
    mcq,
    qa,
    questions,
    run,
    tfq,
)
from minimix.mixture.text.wording import joined, words
from minimix.mixture.worse.content import Content, put_together, take_apart
from minimix.records import Kind, Sample

T = TypeVar("T")
Group = tuple[tuple[Sample, ...], Sample]
"""Neighbours, and the sample that says what all of them say."""

FEWEST_PIECES, MOST_PIECES = 2, 4
LEAST_RUN, MOST_RUN = 45, 150
LEAST_STATEMENT, MOST_STATEMENT = 24, 90
GAP_MARK = "____"


def groups(article: Article, rng: np.random.Generator) -> Iterator[Group]:
    """Yield groups of every kind that the passages of an article give."""
    for make in (_qa, _mcq, _tfq):
        yield from make(article, rng)
    for passage in article.passages:
        yield from _runs(article, passage, rng)


def _qa(article: Article, rng: np.random.Generator) -> Iterator[Group]:
    """Yield questions about one passage; the answer to all is its sentences, in their order."""
    made = {sample.instruction: sample for sample in qa(article, rng)}
    for passage in article.passages:
        asked = [one for p, one in questions(article) if p is passage and one.question in made]
        for picked in _packs(asked, rng):
            lines = {line for one in picked for line in answer_lines(passage, one)}
            answer = joined([line for line in passage.sentences if line in lines])
            own = tuple(made[one.question] for one in picked)
            ordered = sorted(picked, key=lambda one: (one.sentence, one.at))
            question = wider([one.question for one in ordered])
            yield own, Sample(question, answer, (passage.place,))


def _tfq(article: Article, rng: np.random.Generator) -> Iterator[Group]:
    """Yield statements about one passage; all together are false where one of them is."""
    for own in _by_passage(tfq(article, rng)):
        for picked in _packs(own, rng):
            held = [take_apart(sample) for sample in picked]
            verdict = "False" if any(one.verdict == "False" for one in held) else "True"
            head = joined([one.head for one in held])
            said = together([joined(one.sentences) for one in held if one.sentences])
            yield tuple(picked), _like(picked[0], head, verdict, said)


def _mcq(article: Article, rng: np.random.Generator) -> Iterator[Group]:
    """Yield two questions about one passage; an option answers both."""
    for own in _by_passage(mcq(article, rng)):
        asked = [sample for sample in own if GAP_MARK not in sample.response]
        for first, second in zip(asked[::2], asked[1::2], strict=False):
            whole = _both(first, second, rng)
            if take_apart(whole).head not in {take_apart(one).head for one in (first, second)}:
                yield (first, second), whole


def _both(first: Sample, second: Sample, rng: np.random.Generator) -> Sample:
    one, two = take_apart(first), take_apart(second)
    rights = [dict(held.options)[held.right] for held in (one, two)]
    wrong = [[text for letter, text in held.options if letter != held.right] for held in (one, two)]
    pairs = [
        (rights[0], rights[1]),
        (rights[0], wrong[1][0]),
        (wrong[0][0], rights[1]),
        (wrong[0][1], wrong[1][1]),
    ]
    order = rng.permutation(len(pairs))
    options = tuple(
        (letter, f"{pairs[number][0]}; {pairs[number][1]}")
        for letter, number in zip(LETTERS, order, strict=True)
    )
    letter = LETTERS[int(np.flatnonzero(order == 0)[0])]
    verdict = f"{letter}) {rights[0]}; {rights[1]}"
    content = Content("mcq", wider([one.head, two.head]), options, verdict)
    return put_together(first, content)


def _runs(article: Article, passage: Passage, rng: np.random.Generator) -> Iterator[Group]:
    """Yield pieces of a passage that overlap or follow each other, and the passage as one."""
    sizes: tuple[tuple[Kind, int, int], ...] = (
        ("para", LEAST_RUN, MOST_RUN),
        ("cs", LEAST_STATEMENT, MOST_STATEMENT),
    )
    for kind, least, most in sizes:
        lines = run(passage, least=least, most=most, count=int(rng.integers(3, 9)))
        if len(lines) < FEWEST_PIECES:
            continue
        head = f"C: {article.title}\nS: " if kind == "cs" else ""
        request = REQUESTS[kind].format(title=article.title)
        pieces = [
            Sample(request, head + joined(piece), (passage.place,), kind=kind)
            for piece in _pieces(lines, rng)
        ]
        whole = Sample(request, head + joined(lines), (passage.place,), kind=kind)
        if all(words(piece.response) < words(whole.response) for piece in pieces):
            yield tuple(pieces), whole


def _pieces(lines: Sequence[str], rng: np.random.Generator) -> list[Sequence[str]]:
    """Return 2..4 runs of lines that together hold all, in random order; some share a line."""
    count = int(rng.integers(FEWEST_PIECES, min(MOST_PIECES, len(lines)) + 1))
    inner = rng.permutation(np.arange(1, len(lines)))[: count - 1]
    bounds = [0, *sorted(int(cut) for cut in inner), len(lines)]
    shared = int(rng.integers(2))
    pieces = [lines[max(0, start - shared) : end] for start, end in pairwise(bounds)]
    return [pieces[number] for number in rng.permutation(len(pieces))]


def _packs(own: Sequence[T], rng: np.random.Generator) -> Iterator[list[T]]:
    """Yield the things of one passage in packs of 2..4, in random order, none twice."""
    order = [own[number] for number in rng.permutation(len(own))]
    while len(order) >= FEWEST_PIECES:
        size = int(rng.integers(FEWEST_PIECES, MOST_PIECES + 1))
        yield order[:size]
        order = order[size:]


def _by_passage(samples: Sequence[Sample]) -> list[list[Sample]]:
    found: dict[object, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.place, []).append(sample)
    return list(found.values())


def _like(sample: Sample, head: str, verdict: str, said: str) -> Sample:
    content = replace(take_apart(sample), head=head, verdict=verdict, sentences=(said,))
    return put_together(sample, content)
