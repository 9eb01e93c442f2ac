"""The paper's reward in its three parts (PAPER, Training the distiller)."""

from collections.abc import Sequence

import numpy as np

from minimix.config import HIGH
from minimix.records import Draft, Reward, Vectors

MIDDLE = 3.0
MIDDLE_REWARD = 0.3
ALIGNED = 0.8
TAG_PROBLEMS = ("<", "text before", "text after", "no <")


def quality(rating: float) -> float:
    """Return 1 for a rating of 4 or more, 0.3 for 3 up to 4, else 0."""
    if rating >= HIGH:
        return 1.0
    return MIDDLE_REWARD if rating >= MIDDLE else 0.0


def form(draft: Draft) -> float:
    """Return 0.5 for the tags asked for and nothing outside, and 0.5 for the kind's pattern."""
    tags = [problem for problem in draft.problems if problem.startswith(TAG_PROBLEMS)]
    inner = len(draft.problems) - len(tags)
    return 0.5 * (not tags) + 0.5 * (not inner)


def grade(
    drafts: Sequence[Draft], ratings: Vectors, similarities: Vectors | None = None
) -> list[Reward]:
    """Return the reward of each draft.

    `ratings` (n,) are 0..5; `similarities` (n,) are cosines to the references, None where there
    are none, and alignment is then None too.
    """
    aligned = np.full(len(drafts), np.nan) if similarities is None else similarities
    return [
        Reward(
            quality=quality(float(rating)),
            alignment=None if similarities is None else float(cosine >= ALIGNED),
            format=form(draft),
        )
        for draft, rating, cosine in zip(drafts, ratings, aligned, strict=True)
    ]
