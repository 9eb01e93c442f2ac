"""Good samples and worse versions of them, written by an LLM out of articles: the paper's steps.

Nothing that it writes is mended or guessed at: what is not in the form that was asked for is
counted, by step, kind and reason, and left out.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from minimix.config import HIGH
from minimix.contamination import normal
from minimix.mixture.text.passages import REQUESTS
from minimix.mixture.writer.prompts import WAYS, to_degrade, to_merge, to_write
from minimix.mixture.writer.segments import Segment
from minimix.mixture.writer.tally import GOOD, Tally
from minimix.neighbours import nearest
from minimix.parse import parse
from minimix.progress import Progress, silent
from minimix.prompt import part_text
from minimix.rating import llm
from minimix.records import Answer, Embed, Generate, Kind, Messages, Place, Sample, Task

TRIES = 4
"""Segments tried at most for each sample wanted: a writer that gets nothing right ends soon."""
SIZES, WEIGHTS = (2, 3, 4, 5), (0.25, 0.35, 0.25, 0.15)
"""Worse versions of a sample."""
MERGED: tuple[Kind, ...] = ("qa", "para")
"""Kinds of which two samples can be one: a question with two right options is none."""
SHARE_MERGED, LEAST_SIMILAR, NEIGHBOURS = 0.2, 0.4, 10
EMPTY = re.compile(r"^\s*(?:\w+[:)]\s*)?(?:\.{3}|\u2026)\s*$", re.MULTILINE)
"""A line of the form that was asked for, with nothing put in."""


@dataclass(frozen=True, kw_only=True)
class Writer:
    """What writes and what rates, by the same name; both give one answer a chat, in order."""

    write: Generate
    rate: Generate
    name: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: the chat, the kind that it wants, what the sample says it was asked for."""

    chat: Messages
    kind: Kind
    request: str
    places: tuple[Place, ...]


def good_samples(
    pieces: Sequence[Segment],
    counts: Mapping[Kind, int],
    writer: Writer,
    *,
    rng: np.random.Generator,
    progress: Progress = silent,
) -> tuple[list[Sample], Tally]:
    """Return samples that the writer wrote, and rated 4 or more, up to so many of each kind.

    Each piece serves a kind once; at most four are tried for each sample wanted.
    """
    left = {
        kind: [pieces[n] for n in rng.permutation(len(pieces))][: TRIES * count]
        for kind, count in counts.items()
    }
    good, tally = list[Sample](), Tally()
    while True:
        have = Counter(sample.kind for sample in good)
        wanted = {kind: counts[kind] - have[kind] for kind in counts}
        asked = [_to_write(kind, one) for kind in counts for one in left[kind][: wanted[kind]]]
        if not asked:
            return good, tally
        left = {kind: left[kind][wanted[kind] :] for kind in counts}
        found, counted = _written("write", asked, writer, progress)
        good += found
        tally += counted


def worse_versions(
    samples: Sequence[Sample],
    writer: Writer,
    *,
    rng: np.random.Generator,
    progress: Progress = silent,
) -> tuple[list[tuple[Sample, ...]], Tally]:
    """Return 2..5 worse versions of each sample, all different; fewer where the writer failed.

    The first of each is asked to lose nothing, the others to say less.
    """
    asked, owners = list[Asked](), list[int]()
    for number, sample in enumerate(samples):
        first, *others = WAYS
        count = int(rng.choice(SIZES, p=WEIGHTS)) - 1
        ways = [first, *(others[n] for n in rng.permutation(len(others))[:count])]
        for way in ways:
            chat = to_degrade(sample, way)
            asked.append(Asked(chat, sample.kind, sample.instruction, sample.sources))
            owners.append(number)
    found, tally = [list[Sample]() for _ in samples], Tally()
    answers = _ask([one.chat for one in asked], writer.write, progress, "Making them worse")
    for one, owner, answer in zip(asked, owners, answers, strict=True):
        version = _read(answer, one)
        said = {normal(part_text(other)) for other in (samples[owner], *found[owner])}
        if isinstance(version, Sample) and normal(part_text(version)) in said:
            version = "says the same again"
        tally["degrade", one.kind, version if isinstance(version, str) else GOOD] += 1
        if isinstance(version, Sample):
            found[owner].append(version)
    return [tuple(versions) for versions in found], tally


def merged_samples(
    samples: Sequence[Sample],
    writer: Writer,
    *,
    embed: Embed,
    progress: Progress = silent,
) -> tuple[list[tuple[int, int, Sample]], Tally]:
    """Return pairs of near samples of different articles, each with one sample that holds both.

    For a fifth of the samples of a kind at most, the nearest pairs first. What the writer makes of
    a pair counts where it rates it 4 or more.
    """
    pairs = [pair for kind in MERGED for pair in _near(samples, kind, embed)]
    asked = [_to_merge(samples[one], samples[other]) for one, other in pairs]
    found, tally = _written("merge", asked, writer, progress)
    of = {(one.kind, one.sources): one for one in found}
    made = [(pair, of.get((one.kind, one.places))) for pair, one in zip(pairs, asked, strict=True)]
    return [(*pair, sample) for pair, sample in made if sample], tally


def _to_write(kind: Kind, segment: Segment) -> Asked:
    request = REQUESTS.get(kind, "").format(title=segment.title)
    return Asked(to_write(kind, segment), kind, request, (segment.place,))


def _to_merge(one: Sample, other: Sample) -> Asked:
    request = one.instruction if one.kind == "qa" else f"{one.instruction} {other.instruction}"
    return Asked(to_merge(one, other), one.kind, request, (*one.sources, *other.sources))


def _written(
    step: str, asked: Sequence[Asked], writer: Writer, progress: Progress
) -> tuple[list[Sample], Tally]:
    """Return what was written well and rated 4 or more, with its rating."""
    answers = _ask([one.chat for one in asked], writer.write, progress, "Writing samples")
    read = [_read(answer, one) for answer, one in zip(answers, asked, strict=True)]
    samples = [one for one in read if isinstance(one, Sample)]
    tally = Tally(
        (step, one.kind, found)
        for one, found in zip(asked, read, strict=True)
        if isinstance(found, str)
    )
    good = []
    for sample, mark in zip(
        samples, llm.judge(samples, writer.rate, progress=progress), strict=True
    ):
        rating = mark.rating if isinstance(mark, llm.Judgement) else None
        why = "not rated" if rating is None else GOOD if rating >= HIGH else "rated below 4"
        tally[step, sample.kind, why] += 1
        if why == GOOD:
            good.append(replace(sample, rating=rating))
    return good, tally


def _ask(
    chats: Sequence[Messages], generate: Generate, progress: Progress, label: str
) -> list[Answer]:
    return list(progress(generate(chats), label, len(chats)))


def _read(answer: Answer, asked: Asked) -> Sample | str:
    """Return the sample in an answer, or why there is none."""
    if answer.finish in {"refused", "failed"}:
        return answer.finish
    draft = parse(Task(asked.kind, ()), answer.text)
    if draft.problems:
        return f"ill-formed: {draft.problems[0]}"
    if EMPTY.search(draft.answer):
        return "ill-formed: the form, not filled in"
    if asked.kind == "qa":
        return Sample(draft.prompt, draft.response, asked.places)
    return Sample(asked.request, draft.answer, asked.places, kind=asked.kind)


def _near(samples: Sequence[Sample], kind: Kind, embed: Embed) -> list[tuple[int, int]]:
    """Return pairs of a kind that are near but of different articles, no sample in two."""
    own = [n for n, sample in enumerate(samples) if sample.kind == kind]
    most = int(SHARE_MERGED * len(own))
    if len(own) < 2 or not most:
        return []
    rows, cosines = nearest(
        embed([samples[n].text for n in own]), count=min(NEIGHBOURS, len(own) - 1)
    )
    found = sorted(
        (-float(cosine), min(n, int(m)), max(n, int(m)))
        for n, (near, close) in enumerate(zip(rows, cosines, strict=True))
        for m, cosine in zip(near, close, strict=True)
        if cosine >= LEAST_SIMILAR
    )
    pairs, used = list[tuple[int, int]](), set[int]()
    for _, n, m in found:
        one, other = samples[own[n]].place, samples[own[m]].place
        apart = (one.file, one.line) != (other.file, other.line)
        if apart and not used & {n, m} and len(pairs) < most:
            pairs.append((own[n], own[m]))
            used |= {n, m}
    return pairs
