"""The paper's reward in its three parts (PAPER, Training the distiller)."""

from collections.abc import Sequence

import numpy as np

from minimix.config import HIGH
from minimix.parse import UNCLOSED
from minimix.records import Draft, Kind, Reward, Vectors

MIDDLE = 3.0
MIDDLE_REWARD = 0.3
ALIGNED = 0.8
TAG_PROBLEMS = ("<", "text before", "text after", "no <")
WEIGHTS: dict[Kind, tuple[float, float, float]] = {
    "qa": (0.5, 0.4, 0.1),
    "cs": (0.5, 0.4, 0.1),
    "mcq": (0.8, 0.0, 0.2),
    "tfq": (0.8, 0.0, 0.2),
    "para": (0.8, 0.0, 0.2),
}
"""Of quality, alignment and format, by kind."""


def quality(rating: float, *, continuous: bool = False) -> float:
    """Return 1 for a rating of 4 or more, 0.3 for 3 up to 4, else 0.

    `continuous` returns the share of 4 that a rating has, 1 at most.
    """
    if continuous:
        return min(1.0, max(0.0, rating / HIGH))
    if rating >= HIGH:
        return 1.0
    return MIDDLE_REWARD if rating >= MIDDLE else 0.0


def form(draft: Draft) -> float:
    """Return 0.5 for the tags asked for and nothing outside, and 0.5 for the kind's pattern."""
    tags = [problem for problem in draft.problems if problem.startswith(TAG_PROBLEMS)]
    inner = len(draft.problems) - len(tags)
    return 0.5 * (not tags) + 0.5 * (not inner)


def grade(
    drafts: Sequence[Draft],
    ratings: Vectors,
    similarities: Vectors | None = None,
    *,
    continuous: bool = False,
) -> list[Reward]:
    """Return the reward of each draft.

    `ratings` (n,) are 0..5; `similarities` (n,) are cosines to the references, None where there
    are none, and alignment is then None too. `continuous` is that of `quality`. A draft that never
    closes its tag is no answer: only its form counts. Raters like length, and training would learn
    to go on and on.
    """
    aligned = np.full(len(drafts), np.nan) if similarities is None else similarities
    ended = [UNCLOSED not in draft.problems for draft in drafts]
    return [
        Reward(
            quality=quality(float(rating), continuous=continuous) if end else 0.0,
            alignment=None if similarities is None else float(end and cosine >= ALIGNED),
            format=form(draft),
        )
        for draft, end, rating, cosine in zip(drafts, ended, ratings, aligned, strict=True)
    ]


def total(reward: Reward, kind: Kind) -> float:
    """Return the weighted sum of the three parts, 0..1.

    The weight of an alignment that there is not goes to the others, by their own weights.
    """
    weights = WEIGHTS[kind]
    parts = (reward.quality, reward.alignment, reward.format)
    known = [
        (weight, part) for weight, part in zip(weights, parts, strict=True) if part is not None
    ]
    whole = sum(weight for weight, _ in known)
    return sum(weight * part for weight, part in known) / whole
