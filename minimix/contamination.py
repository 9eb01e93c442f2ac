"""Evaluation questions that stand in a row: word for word, or with some words changed.

A model measured with questions that it was trained on looks better than it is. The check compares
words alone, so it needs no model; docs/contamination.md says what it cannot see.
"""

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal, TypeVar

from minimix.errors import FormatError
from minimix.files import read_records
from minimix.formats import read_row
from minimix.kinds import Record
from minimix.progress import Progress, silent
from minimix.records import Place, Sample

How = Literal["exact", "near"]
Shingle = tuple[str, str, str]
T = TypeVar("T")

VERSION = "1"
"""Changes with any rule below: a resumed run keeps to one."""
SHORTEST = 5
"""Words from which a question is looked for within a text."""
LEAST_SHARE = 0.4
LEAST_SHARED = 6
COMMON = 0.01
FEW = 10
NAMED = 3
INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
ALONE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # kana and Chinese characters
NUMBER = re.compile(r"(?<!\S)\d\S*")
WORD = re.compile(f"[{ALONE}]|[^\\W_{ALONE}]+")
FIELDS = ("question", "instruction", "prompt", "problem", "query", "input", "text")


@dataclass(frozen=True, slots=True)
class Match:
    """A sample that holds an evaluation question.

    `score` is 1 for an exact match, else the share of the question's shingles found, 0..1.
    """

    sample: Sample
    question: Place
    how: How
    score: float

    @property
    def reason(self) -> str:
        """The match in words, as the ledger of drops says it of each source."""
        its = "its fusion " if len(self.sample.sources) > 1 else ""
        return f"{its}holds the evaluation question {self.question} ({self.how}, {self.score:.2f})"


@dataclass(frozen=True, kw_only=True)
class Questions:
    """Evaluation questions, indexed by what they are looked for with.

    `places` are those of all questions, as read. `exact` leads from a normalised question to its
    first place, `anchors` from a shingle to the questions to compare where it stands. `near` are
    the places of questions that differ in more than numbers; `holders` leads from a shingle that
    counts to positions in `near`, `sizes` from a position to the number of such shingles.
    """

    places: tuple[Place, ...]
    exact: Mapping[str, Place]
    anchors: Mapping[Shingle, Sequence[str]]
    near: tuple[Place, ...]
    sizes: Mapping[int, int]
    holders: Mapping[Shingle, Sequence[int]]


def normal(text: str) -> str:
    """Return the words of `text` with a space between: no case, punctuation or line ends.

    Chinese characters and kana are words of their own.
    """
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(WORD.findall(INVISIBLE.sub("", plain)))


def masked(text: str) -> str:
    """Return a normalised text with every number read as 0."""
    return NUMBER.sub("0", text)


def shingles(text: str) -> list[Shingle]:
    """Return every three words in a row of a normalised text, its numbers masked."""
    words = [*map(sys.intern, masked(text).split())]  # questions share words: each held once
    return list(zip(words, words[1:], words[2:], strict=False))


def index(questions: Iterable[Sample]) -> Questions:
    """Return the prompts of `questions`, ready to be looked for; responses take no part."""
    places: list[Place] = []
    exact: dict[str, Place] = {}
    for question in questions:
        places.append(question.place)
        exact.setdefault(normal(question.prompt), question.place)
    exact.pop("", None)  # signs alone are no question
    near: dict[str, Place] = {}
    for text, place in exact.items():
        near.setdefault(masked(text), place)
    held = Counter(chain.from_iterable(set(shingles(text)) for text in near))
    most = max(FEW, COMMON * len(near))
    counted = ({one for one in shingles(text) if held[one] <= most} for text in near)
    holders = _inverted(
        (position, own) for position, own in enumerate(counted) if len(own) >= LEAST_SHARED
    )
    long = (text for text in exact if text.count(" ") + 1 >= SHORTEST)
    return Questions(
        places=tuple(places),
        exact=exact,
        anchors=_inverted((text, [min(shingles(text), key=held.__getitem__)]) for text in long),
        near=tuple(near.values()),
        sizes=Counter(chain.from_iterable(holders.values())),
        holders=holders,
    )


def matches(samples: Iterable[Sample], questions: Questions) -> tuple[Match, ...]:
    """Return the best match of every sample that holds a question, in the samples' order.

    A question of SHORTEST words or more matches exactly where it stands in the system text, the
    prompt or the response; a shorter one where it is the whole prompt. It matches nearly where at
    least LEAST_SHARED of its shingles, and LEAST_SHARE of those that count, stand in the sample.
    A shingle counts unless more than FEW questions, and more than COMMON of them, hold it.
    """
    found = (_match(sample, questions) for sample in samples)
    return tuple(match for match in found if match)


def verdict(found: Sequence[Match], questions: Questions, *, removed: bool) -> str:
    """Return in words what the rows were checked against, and what was found."""
    files = list(dict.fromkeys(place.file for place in questions.places))
    names = [*map(_name, files[:NAMED]), *([f"{len(files) - NAMED} more"] if files[NAMED:] else [])]
    done = "removed and listed" if removed else "listed"
    held = f"{len(found):,} {'row holds' if len(found) == 1 else 'rows hold'} one, {done}"
    return (
        f"checked against {len(questions.places):,} evaluation questions of {', '.join(names)}: "
        + (f"{held} in contamination.jsonl" if found else "no row holds one")
    )


def read_questions(
    sources: Iterable[str], *, max_bad: float = 0.05, progress: Progress = silent
) -> Questions:
    """Return the questions in `sources` (files, folders, hub ids), with or without answers.

    Raises FormatError where more than the share `max_bad` of a source's records hold none.
    """
    samples: list[Sample] = []
    for source in sources:
        found = [
            (record.place, _questions(record))
            for record in progress(read_records(source), "Reading questions")
        ]
        if not found:
            raise FormatError(f"{source}: no records")
        bad = [place for place, asked in found if not asked]
        if len(bad) == len(found) or len(bad) > max_bad * len(found):
            raise FormatError(
                f"{bad[0]}: no question in it, nor in {len(bad) - 1:,} more of {len(found):,} "
                f"records; expected a row as in the data, or text in one of {', '.join(FIELDS)}"
            )
        samples += chain.from_iterable(asked for _, asked in found)
    return index(samples)


def _match(sample: Sample, questions: Questions) -> Match | None:
    texts = [normal(text) for text in (sample.system, sample.prompt, sample.response)]
    own = set(chain.from_iterable(map(shingles, texts)))
    return _exact(sample, texts, own, questions) or _near(sample, own, questions)


def _exact(
    sample: Sample, texts: Sequence[str], own: set[Shingle], questions: Questions
) -> Match | None:
    """Return the longest question that stands in `texts`: system, prompt, response."""
    exact = [texts[1]] if texts[1] in questions.exact else []
    whole = "\n".join(f" {text} " for text in texts)
    for shingle in questions.anchors.keys() & own:
        exact += [text for text in questions.anchors[shingle] if f" {text} " in whole]
    if not exact:
        return None
    longest = max(exact, key=lambda text: (len(text), text))
    return Match(sample, questions.exact[longest], "exact", 1.0)


def _near(sample: Sample, own: set[Shingle], questions: Questions) -> Match | None:
    """Return the question with the largest share of its shingles among a sample's `own`."""
    shared = Counter(
        chain.from_iterable(questions.holders[one] for one in questions.holders.keys() & own)
    )
    share, _, before = max(
        (
            (number / questions.sizes[position], number, -position)
            for position, number in shared.items()
            if number >= LEAST_SHARED
        ),
        default=(0.0, 0, 0),
    )
    return Match(sample, questions.near[-before], "near", share) if share >= LEAST_SHARE else None


def _questions(record: Record) -> Sequence[Sample]:
    """Return a record's samples, or its question alone where it has no answer; none for neither."""
    row, place = record.row or {}, record.place
    try:
        return read_row(row, place).samples
    except FormatError:
        texts = {name.lower(): value for name, value in row.items() if isinstance(value, str)}
        asked = [texts[field] for field in FIELDS if texts.get(field, "").strip()]
        given = texts.get("input", "").strip()
        return [
            Sample(text, "", (place,), input="" if text.strip() == given else given)
            for text in asked[:1]
        ]


def _name(file: str) -> str:
    """Return a file as it was given, or the end of a path that only this machine knows."""
    return "/".join(Path(file).parts[-2:]) if Path(file).is_absolute() else file


def _inverted(holders: Iterable[tuple[T, Iterable[Shingle]]]) -> dict[Shingle, list[T]]:
    """Return who holds each shingle, in the order given."""
    found: dict[Shingle, list[T]] = {}
    for holder, own in holders:
        for shingle in own:
            found.setdefault(shingle, []).append(holder)
    return found


NONE = index(())
"""What a run is checked against that is not checked."""
