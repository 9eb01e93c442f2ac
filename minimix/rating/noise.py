"""What neighbours say of ratings: are they alike where the texts are, and which rows stand out?

Ratings that follow quality are alike among neighbours (PAPER: the transition matrix of kNN-Bayes).
Where neighbours agree no better than chance, the ratings are noise, or what they reward is not in
the text; both are reasons to trust them less.
"""

from dataclasses import dataclass

import numpy as np

from minimix.neighbours import nearest
from minimix.rating.knn_bayes import CLASSES, NEIGHBOURS, count_votes, fit, posterior
from minimix.records import Vectors


@dataclass(frozen=True)
class Noise:
    """The diagnosis of n ratings.

    `transitions` (6, 6): P(class of a neighbour | class of a row); `alike` the share of neighbours
    of the same class, `chance` that of any two rows, `beyond_chance` = (alike - chance) / (1 -
    chance), 1 for ratings that never differ among neighbours and 0 for dice; None where all are
    the same. `doubt` (n,) is 0..1:
    the chance, by its neighbours, that a row's class is another.
    """

    transitions: np.ndarray
    alike: float
    chance: float
    beyond_chance: float | None
    doubt: np.ndarray


def diagnose(embeddings: Vectors, classes: np.ndarray) -> Noise:
    """Return what the neighbours of each row say of its class (whole numbers 0..5).

    Raises DataError for 16 rows or fewer.
    """
    library = fit(embeddings, classes)
    rows, _ = nearest(embeddings, count=NEIGHBOURS)
    shares = posterior(library, count_votes(classes[rows]))
    frequencies = np.bincount(classes, minlength=CLASSES) / len(classes)
    chance = float((frequencies**2).sum())
    alike = float(frequencies @ np.diag(library.transitions))
    return Noise(
        transitions=library.transitions,
        alike=alike,
        chance=chance,
        beyond_chance=(alike - chance) / (1 - chance) if chance < 1 else None,
        doubt=1 - shares[np.arange(len(classes)), classes],
    )
