"""The reward function of GRPO, and what is shown of it: the scores that evaluating uses.

A candidate that cannot be scored stops the training: a number made up for it would be learnt.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from minimix.audit import audit
from minimix.mixture.tasks import to_sources
from minimix.records import Task
from minimix.scoring import Judges, Score, score


@dataclass
class Judging:
    """The reward function of a run, and what it has found since it was last asked.

    `copied` is how much each candidate copies from a source, 0..1.
    """

    tasks: Sequence[Task]
    judges: Judges
    scores: list[Score] = field(default_factory=list)
    copied: list[float] = field(default_factory=list)

    def reward(self, prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        """Return the reward 0..1 of each candidate; `prompts` are numbers of tasks."""
        asked = [self.tasks[int(number)] for number in prompts]
        scores = score(asked, completions, judges=self.judges)
        self.scores += scores
        self.copied += [
            audit(one.draft, to_sources(task)).copied
            for task, one in zip(asked, scores, strict=True)
        ]
        return [one.total for one in scores]

    def means(self) -> dict[str, float]:
        """Return the mean of each part since the last call; alignment of those that have it."""
        scores, self.scores = self.scores, []
        copied, self.copied = self.copied, []
        parts = {
            "reward": [one.total for one in scores],
            "quality": [one.reward.quality for one in scores],
            "alignment": [a for one in scores if (a := one.reward.alignment) is not None],
            "format": [one.reward.format for one in scores],
            "copied": copied,
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
