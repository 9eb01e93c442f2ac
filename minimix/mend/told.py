"""The response of an answer: each sentence once, none of the sources' left out, in their order."""

import re
from collections.abc import Collection, Sequence

from rapidfuzz.fuzz import partial_ratio_alignment

from minimix.addressed import addressed
from minimix.mend.words import pieces, spelt, words
from minimix.parse import UNCLOSED, parse
from minimix.records import Task

FEWEST_WORDS = 5
"""What is shorter ("Yes, it is.") may be meant twice, and stands in no certain place."""
MOST_WORDS = 60
"""What is longer without a point is no sentence."""
NEW, LONG = 0.5, 4
"""The share of a sentence's words, of so many letters, from which it says what is not said yet."""
LIKE = 75.0
"""How like a piece of a source a sentence is, of 100, to be that piece."""
CODE = "```"
LABEL = re.compile(r"\b(?:Q|A|Question|Answer):")
LIST = re.compile(r"(?:^|\s)[-*•]\s|(?:^|\n|[.!?:]\s)\d{1,2}[.)]\s")
PROSE = frozenset({"qa", "para"})


def told_well(task: Task, text: str) -> str:
    """Return an answer with its response told once and, where it is prose, in full and in order.

    Question, options and tags stay as they are, and so does a response with code. A source that
    speaks to a model adds nothing, and nothing is added to an answer that was cut.
    """
    draft = parse(task, text)
    response = draft.response
    if not response or response not in text or CODE in response:
        return text
    told = told_once(response)
    halves = [_halves(part) for part in task.parts]
    if task.kind in PROSE and not LIST.search(told) and UNCLOSED not in draft.problems:
        told = told_in_full(told, [body for head, body in halves if not addressed(head, body)])
        told = told_in_order(told, [body for _, body in halves])
    before, _, after = text.rpartition(response)
    return f"{before}{told}{after}"


def _halves(part: str) -> tuple[str, str]:
    """Return the question and the answer of a part; one without a question is all answer."""
    head, _, body = part.partition("\nA: ")
    return (head, body) if body else ("", part)


def told_once(response: str) -> str:
    """Return a response without sentences that repeat another.

    Two are the same whatever the case and the points around their words.
    """
    kept, said = list[str](), set[str]()
    for sentence, gap in pieces(response):
        own = words(sentence)
        if len(own) < FEWEST_WORDS or " ".join(own) not in said:
            kept += [sentence, gap]
            said.add(" ".join(own))
    return "".join(kept).rstrip()


def told_in_full(response: str, sources: Sequence[str]) -> str:
    """Return a response with the sentences of its sources that it says nothing of at its end.

    Those of 5 to 60 words, where more than half of the longer ones are not in it, however spelt;
    finished sentences first, and never more words than it has itself: else it would be a
    concatenation, and no model's work. One with a label in it is no plain sentence.
    """
    said = dict.fromkeys(words(response))
    room = len(words(response))
    gap = "\n" if "\n" in response else " "
    found = [sentence.strip() for source in sources for sentence, _ in pieces(source)]
    for sentence in sorted(found, key=lambda one: (_finished(one) != one, -len(one))):
        own = words(sentence)
        fits = FEWEST_WORDS <= len(own) <= min(MOST_WORDS, room) and not LABEL.search(sentence)
        if fits and _is_new(own, said):
            response = f"{response.rstrip()}{gap}{_finished(sentence)}"
            said |= dict.fromkeys(own)
            room -= len(own)
    return response


def _is_new(own: Sequence[str], said: Collection[str]) -> bool:
    """Return whether more than half of a sentence's longer words are not said yet."""
    long = [word for word in own if len(word) >= LONG]
    new = [word for word in long if spelt(word, said) not in said]
    return len(new) > NEW * len(long)


def _finished(sentence: str) -> str:
    """Return a sentence with a capital and an end, "" for none."""
    return _ended(f"{sentence[:1].upper()}{sentence[1:]}")


def _ended(sentence: str) -> str:
    """Return a sentence with an end, "" for none."""
    return sentence if sentence[-1:] in ".!?" else f"{sentence}."


def told_in_order(response: str, sources: Sequence[str]) -> str:
    """Return a response in the order of its sources, where those that hold two sentences agree.

    A sentence that no source holds goes with the one before it; what no source orders stays in
    its order. The gaps between sentences stay, and a last one that moves gets an end.
    """
    found = pieces(response)
    blocks = list[list[int]]()
    places = list[tuple[int | None, ...]]()
    for number, (sentence, _) in enumerate(found):
        own = tuple(_place(sentence, source) for source in sources)
        if blocks and own.count(None) == len(own):
            blocks[-1].append(number)
        else:
            blocks.append([number])
            places.append(own)
    order = [number for block in _sorted(places) for number in blocks[block]]
    told = [sentence for sentence, _ in found]
    if order[-1] != len(told) - 1:
        told[-1] = _ended(told[-1])
    gaps = (gap for _, gap in found)
    return "".join(told[number] + gap for number, gap in zip(order, gaps, strict=True))


def _place(sentence: str, source: str) -> int | None:
    """Return where in a source a sentence begins, or would; None where it does not hold it."""
    if len(words(sentence)) < FEWEST_WORDS or len(sentence) > len(source):
        return None
    found = partial_ratio_alignment(sentence.lower(), source.lower(), score_cutoff=LIKE)
    return found.dest_start - found.src_start if found else None


def _sorted(places: Sequence[Sequence[int | None]]) -> list[int]:
    """Return the positions of `places`, one that must come first before the other."""
    left, order = list(range(len(places))), list[int]()
    while left:
        free = (one for one in left if not any(_precedes(places[o], places[one]) for o in left))
        order.append(next(free, left[0]))
        left.remove(order[-1])
    return order


def _precedes(one: Sequence[int | None], other: Sequence[int | None]) -> bool:
    """Return whether more sources tell the one before the other than the other way round."""
    votes = [
        (a < b) - (a > b)
        for a, b in zip(one, other, strict=True)
        if a is not None and b is not None
    ]
    return sum(votes) > 0
