"""The reward of GRPO: the parser, the grades and the weights that distilling and evaluating use.

A candidate that cannot be scored stops the training: a number made up for it would be learnt.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from minimix.audit import audit
from minimix.disk import file_sha256
from minimix.errors import DataError
from minimix.mixture.tasks import to_sources
from minimix.parse import as_read, parse
from minimix.rating import BUNDLED
from minimix.records import Draft, Embed, Place, Rate, Reward, Sample, Task, Vectors
from minimix.reward import grade, total

NOWHERE = (Place("", 1, 0, ""),)


@dataclass(frozen=True, kw_only=True)
class Judges:
    """What scores candidates; `continuous` is that of `minimix.reward.quality`."""

    rate: Rate
    embed: Embed
    continuous: bool = False


@dataclass(frozen=True, slots=True)
class Score:
    """A candidate's reward, in parts and in all, and how much it copies from a source; 0..1."""

    reward: Reward
    total: float
    copied: float


def score(tasks: Sequence[Task], texts: Sequence[str], *, judges: Judges) -> list[Score]:
    """Return what each text is worth as an answer to its task.

    An answer without text is rated 0 and aligned with nothing. Raises DataError where a rating or
    a similarity is no number.
    """
    drafts = [
        as_read(parse(task, text), task.kind) for task, text in zip(tasks, texts, strict=True)
    ]
    ratings = _ratings(tasks, drafts, judges.rate)
    cosines = _cosines(tasks, drafts, judges.embed)
    graded = grade(drafts, ratings, cosines, continuous=judges.continuous)
    return [
        Score(reward, total(reward, task.kind), audit(draft, to_sources(task)).copied)
        for task, draft, reward in zip(tasks, drafts, graded, strict=True)
    ]


@dataclass
class Judging:
    """The reward function of a run, and the scores that it gave since it was last asked."""

    tasks: Sequence[Task]
    judges: Judges
    scores: list[Score] = field(default_factory=list)

    def reward(self, prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        """Return the reward 0..1 of each candidate; `prompts` are numbers of tasks."""
        scores = score(
            [self.tasks[int(number)] for number in prompts], completions, judges=self.judges
        )
        self.scores += scores
        return [one.total for one in scores]

    def means(self) -> dict[str, float]:
        """Return the mean of each part since the last call; alignment of those that have it."""
        scores, self.scores = self.scores, []
        parts = {
            "reward": [one.total for one in scores],
            "quality": [one.reward.quality for one in scores],
            "alignment": [a for one in scores if (a := one.reward.alignment) is not None],
            "format": [one.reward.format for one in scores],
            "copied": [one.copied for one in scores],
        }
        return {name: float(np.mean(values)) for name, values in parts.items() if values}


def check_kinds(tasks: Sequence[Task], judges: Judges) -> None:
    """Raise DataError where a kind among `tasks` has no rating, before anything is trained."""
    first = {task.kind: task for task in reversed(tasks)}
    score(
        list(first.values()),
        [f"<answer>{task.reference}</answer>" for task in first.values()],
        judges=judges,
    )


def _ratings(tasks: Sequence[Task], drafts: Sequence[Draft], rate: Rate) -> Vectors:
    samples = [
        Sample(draft.prompt, draft.response, NOWHERE, kind=task.kind)
        for task, draft in zip(tasks, drafts, strict=True)
    ]
    ratings = rate(samples)
    for sample, rating in zip(samples, ratings, strict=True):
        if not np.isfinite(rating):
            raise DataError(
                f"the rater has no rating for a sample of kind {sample.kind} "
                f"({sample.text[:60]!r}); fit one with minimix rate --fit"
            )
    return np.where([bool(draft.answer) for draft in drafts], ratings, 0).astype(np.float32)


def _cosines(tasks: Sequence[Task], drafts: Sequence[Draft], embed: Embed) -> Vectors:
    references = [task.reference or "" for task in tasks]
    vectors = embed([*(draft.answer for draft in drafts), *references])
    cosines: Vectors = np.sum(vectors[: len(drafts)] * vectors[len(drafts) :], axis=1)
    if not np.isfinite(cosines).all():
        raise DataError("the embedder gave a vector that is no number")
    cosines[[not draft.answer for draft in drafts]] = 0.0
    return cosines


def rater_hash(rater: str) -> dict[str, str]:
    """Return the hash of a rater's file by name, nothing where there is no such file."""
    path = BUNDLED.get(rater, Path(rater))
    return {"rater file": file_sha256(path)} if path.is_file() else {}
