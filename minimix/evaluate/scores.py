"""What one answer to a held-out task is worth, and which of several candidates counts.

Drafts are read, audited, chosen and rewarded by the functions of distilling and training, so a
figure here means what it means there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minimix.audit import audit, distinct_trigrams
from minimix.errors import DataError
from minimix.evaluate.baselines import answer_half
from minimix.judge import LEAST_DISTINCT, Candidate, harm, merit
from minimix.mixture.tasks import Example, to_sources
from minimix.overlap import rouge_l
from minimix.parse import UNCLOSED, as_read, parse
from minimix.records import Answer, Draft, Embed, Place, Rate, Reward, Sample, Vectors
from minimix.reward import grade, total

NOWHERE = (Place("", 0, 0, ""),)
UNWRITTEN = ("refused", "failed")
"""`finish` of what was not written at all."""


@dataclass(frozen=True, kw_only=True)
class Judges:
    """What judges drafts: the embedder, the rater of `distill`, and the paper's."""

    embed: Embed
    rate: Rate
    rate_as_paper: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """All that is said of one answer (formulas: docs/evaluation.md); a flag is true where it holds.

    formed: parsed without a problem. format, quality, reward: the paper's, 0..1. cosine, aligned:
    with the reference, and whether it is 0.8 or more. rating: by the rater of `distill`, 0..5;
    reward_rated: the reward with that rating for the paper's. rouge_l, length_ratio: against the
    reference. kept: share of the sources' facts. unsupported: share of the draft's own weight
    without a source, None for a draft without text; strange: any finding without one. copied: from
    one source. loops: repeats itself more than the reference does, was cut, never closed its tag,
    or has no text. harmful: `distill` would refuse it.
    """

    formed: bool
    format: float
    cosine: float
    aligned: bool
    quality: float
    rating: float
    reward: float
    reward_rated: float
    rouge_l: float
    kept: float
    unsupported: float | None
    strange: bool
    copied: float
    loops: bool
    harmful: bool
    length_ratio: float


class _Judged(NamedTuple):
    cosine: float
    rating: float
    reward: Reward
    total: float
    total_rated: float


def score(
    examples: Sequence[Example], answers: Sequence[Answer], *, judges: Judges
) -> tuple[Scores, ...]:
    """Return what each answer is worth: one answer for each example.

    An answer without text is worth nothing: rated 0, and aligned with nothing. Raises DataError
    where a rater knows no such kind.
    """
    drafts = [read(example, one) for example, one in zip(examples, answers, strict=True)]
    marks = _judged(examples, drafts, judges)
    return tuple(
        _scores(example, one, draft, own)
        for example, one, draft, own in zip(examples, answers, drafts, marks, strict=True)
    )


def _judged(examples: Sequence[Example], drafts: Sequence[Draft], judges: Judges) -> list[_Judged]:
    """Return what the models say of each draft, all of them asked together."""
    ratings = _ratings(judges.rate, examples, drafts)
    as_paper = _ratings(judges.rate_as_paper, examples, drafts)
    ours = judges.embed([draft.answer for draft in drafts])
    cosines = np.sum(ours * judges.embed([one.reference for one in examples]), axis=1)
    cosines[[not draft.answer for draft in drafts]] = 0.0
    rewards, rated = grade(drafts, as_paper, cosines), grade(drafts, ratings, cosines)
    kinds = [example.task.kind for example in examples]
    return [
        _Judged(float(cosine), float(rating), reward, total(reward, kind), total(other, kind))
        for cosine, rating, reward, other, kind in zip(
            cosines, ratings, rewards, rated, kinds, strict=True
        )
    ]


def read(example: Example, answer: Answer) -> Draft:
    """Return an answer as a draft, its response what the audit and the rater look at."""
    return as_read(parse(example.task, answer.text), example.task.kind)


def choose(example: Example, answers: Sequence[Answer], *, rate: Rate) -> int:
    """Return the position of the candidate that counts.

    It is that of the best merit among those that do no harm; among all where each does, for here
    nothing is refused. Ties go to the first.
    """
    sources = to_sources(example.task)
    drafts = [read(example, one) for one in answers]
    audits = [audit(draft, sources) for draft in drafts]
    clean = [not harm(draft, marks) for draft, marks in zip(drafts, audits, strict=True)]
    rated = [draft for draft, is_clean in zip(drafts, clean, strict=True) if is_clean]
    ratings = iter(_ratings(rate, [example] * len(rated), rated).tolist())
    merits = [
        merit(Candidate(draft, marks, next(ratings) if is_clean else None))
        for draft, marks, is_clean in zip(drafts, audits, clean, strict=True)
    ]
    return max(range(len(drafts)), key=lambda n: (clean[n], merits[n], -n))


def _ratings(rate: Rate, examples: Sequence[Example], drafts: Sequence[Draft]) -> Vectors:
    """Return a rating 0..5 for each draft, 0 for one without text."""
    samples = [
        Sample(draft.prompt, draft.response, NOWHERE, kind=example.task.kind)
        for example, draft in zip(examples, drafts, strict=True)
    ]
    ratings = rate(samples)
    unknown = {sample.kind for sample, one in zip(samples, ratings, strict=True) if np.isnan(one)}
    if unknown:
        raise DataError(f"the rater has no rating for samples of kind {min(unknown)}")
    return np.where([bool(draft.answer) for draft in drafts], ratings, 0).astype(np.float32)


def _scores(example: Example, answer: Answer, draft: Draft, judged: _Judged) -> Scores:
    marks = audit(draft, to_sources(example.task))
    wanted = answer_half(example.task, example.reference)
    has_text = bool(draft.answer) and answer.finish not in UNWRITTEN
    repeats = marks.distinct / distinct_trigrams(wanted) < LEAST_DISTINCT
    is_cut = answer.finish == "length" or UNCLOSED in draft.problems
    return Scores(
        formed=not draft.problems,
        format=judged.reward.format,
        cosine=judged.cosine,
        aligned=bool(judged.reward.alignment),
        quality=judged.reward.quality,
        rating=judged.rating,
        reward=judged.total,
        reward_rated=judged.total_rated,
        rouge_l=rouge_l(draft.response, wanted),
        kept=marks.kept,
        unsupported=1 - marks.supported if has_text else None,
        strange=bool(marks.unsupported),
        copied=marks.copied,
        loops=is_cut or repeats or not has_text,
        harmful=bool(harm(draft, marks)),
        length_ratio=len(draft.response.split()) / max(1, len(wanted.split())),
    )
