"""What one answer to a held-out task is worth, and which of several candidates counts.

Drafts are read, audited, chosen and rewarded by the functions of distilling and training, so a
figure here means what it means there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minimix import scoring
from minimix.audit import audit, distinct_trigrams
from minimix.evaluate.baselines import answer_half
from minimix.judge import LEAST_DISTINCT, Candidate, harm, merit
from minimix.mixture.tasks import Example, to_sources
from minimix.overlap import rouge_l
from minimix.parse import UNCLOSED
from minimix.records import Answer, Rate, Reward
from minimix.reward import grade, total
from minimix.scoring import Score, ratings, read

UNWRITTEN = ("refused", "failed")
"""`finish` of what was not written at all."""


@dataclass(frozen=True, kw_only=True)
class Judges(scoring.Judges):
    """What judges answers: the embedder, the rater of `distill`, and the paper's."""

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


def score(
    examples: Sequence[Example], answers: Sequence[Answer], *, judges: Judges
) -> tuple[Scores, ...]:
    """Return what each answer is worth: one answer for each example.

    An answer without text is worth nothing: rated 0, and aligned with nothing. Raises DataError
    where a rater knows no such kind.
    """
    tasks = [example.task for example in examples]
    found = scoring.score(tasks, [answer.text for answer in answers], judges=judges)
    drafts = [one.draft for one in found]
    cosines = np.array([one.cosine for one in found], dtype=np.float32)
    rewards = grade(drafts, ratings(tasks, drafts, judges.rate_as_paper), cosines)
    return tuple(
        _scores(example, answer, one, reward)
        for example, answer, one, reward in zip(examples, answers, found, rewards, strict=True)
    )


def choose(example: Example, answers: Sequence[Answer], *, rate: Rate) -> int:
    """Return the position of the candidate that counts.

    It is that of the best merit among those that do no harm; among all where each does, for here
    nothing is refused. Ties go to the first.
    """
    sources = to_sources(example.task)
    drafts = [read(example.task, one.text) for one in answers]
    audits = [audit(draft, sources) for draft in drafts]
    clean = [not harm(draft, marks) for draft, marks in zip(drafts, audits, strict=True)]
    rated = [draft for draft, is_clean in zip(drafts, clean, strict=True) if is_clean]
    given = iter(ratings([example.task] * len(rated), rated, rate).tolist())
    merits = [
        merit(Candidate(draft, marks, next(given) if is_clean else None))
        for draft, marks, is_clean in zip(drafts, audits, clean, strict=True)
    ]
    return max(range(len(drafts)), key=lambda n: (clean[n], merits[n], -n))


def _scores(example: Example, answer: Answer, found: Score, reward: Reward) -> Scores:
    """Return all that is said of an answer; `reward` is the paper's."""
    draft = found.draft
    marks = audit(draft, to_sources(example.task))
    wanted = answer_half(example.task, example.reference)
    has_text = bool(draft.answer) and answer.finish not in UNWRITTEN
    repeats = marks.distinct / distinct_trigrams(wanted) < LEAST_DISTINCT
    is_cut = answer.finish == "length" or UNCLOSED in draft.problems
    return Scores(
        formed=not draft.problems,
        format=reward.format,
        cosine=found.cosine,
        aligned=bool(reward.alignment),
        quality=reward.quality,
        rating=found.rating,
        reward=total(reward, example.task.kind),
        reward_rated=found.total,
        rouge_l=rouge_l(draft.response, wanted),
        kept=marks.kept,
        unsupported=1 - marks.supported if has_text else None,
        strange=bool(marks.unsupported),
        copied=marks.copied,
        loops=is_cut or repeats or not has_text,
        harmful=bool(harm(draft, marks)),
        length_ratio=len(draft.response.split()) / max(1, len(wanted.split())),
    )
