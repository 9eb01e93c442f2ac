"""What a text is worth as an answer to a task with a reference, in training and evaluating alike.

What cannot be scored is an error: a number made up for it would be learnt, or believed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minimix.errors import DataError
from minimix.parse import as_read, parse
from minimix.records import Draft, Embed, Place, Rate, Reward, Sample, Task, Vectors
from minimix.reward import grade, total

NOWHERE = (Place("", 1, 0, ""),)


@dataclass(frozen=True, kw_only=True)
class Judges:
    """What scores answers; `continuous` is that of `minimix.reward.quality`."""

    rate: Rate
    embed: Embed
    continuous: bool = False


@dataclass(frozen=True, slots=True)
class Score:
    """A draft's rating 0..5, its cosine with the reference, its reward in parts and in all, 0..1.

    A draft without text is rated 0, and its cosine is 0.
    """

    draft: Draft
    rating: float
    cosine: float
    reward: Reward
    total: float


def score(tasks: Sequence[Task], texts: Sequence[str], *, judges: Judges) -> list[Score]:
    """Return what each text is worth as an answer to its task.

    Raises DataError where a rating or a cosine is no number.
    """
    drafts = [read(task, text) for task, text in zip(tasks, texts, strict=True)]
    given = ratings(tasks, drafts, judges.rate)
    cosines = _cosines(tasks, drafts, judges.embed)
    rewards = grade(drafts, given, cosines, continuous=judges.continuous)
    return [
        Score(draft, float(rating), float(cosine), reward, total(reward, task.kind))
        for task, draft, rating, cosine, reward in zip(
            tasks, drafts, given, cosines, rewards, strict=True
        )
    ]


def read(task: Task, text: str) -> Draft:
    """Return a text as a draft, its response what the audit and the rater look at."""
    return as_read(parse(task, text), task.kind)


def ratings(tasks: Sequence[Task], drafts: Sequence[Draft], rate: Rate) -> Vectors:
    """Return a rating 0..5 for each draft, 0 for one without text: (n,).

    Raises DataError where one is no number.
    """
    samples = [
        Sample(draft.prompt, draft.response, NOWHERE, kind=task.kind)
        for task, draft in zip(tasks, drafts, strict=True)
    ]
    given = rate(samples)
    for sample, rating in zip(samples, given, strict=True):
        if not np.isfinite(rating):
            raise DataError(
                f"the rater has no rating for a sample of kind {sample.kind} "
                f"({sample.text[:60]!r}); fit one with minimix rate --fit"
            )
    return np.where([bool(draft.answer) for draft in drafts], given, 0).astype(np.float32)


def _cosines(tasks: Sequence[Task], drafts: Sequence[Draft], embed: Embed) -> Vectors:
    """Return the cosine of each draft with its reference, 0 for one without text: (n,)."""
    ours = embed([draft.answer for draft in drafts])
    cosines: Vectors = np.sum(ours * embed([task.reference or "" for task in tasks]), axis=1)
    if not np.isfinite(cosines).all():
        raise DataError("the embedder gave a vector that is no number; give another one")
    cosines[[not draft.answer for draft in drafts]] = 0.0
    return cosines
