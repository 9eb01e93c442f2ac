"""kNN-Bayes: the paper's rater (PAPER, Training the distiller: quality).

A library of rated samples, the classes that neighbours of each class tend to have, and a
posterior over the class of a new sample from the classes of its nearest library rows. It sees
topic more than quality; the learnt rater is the better one wherever there are a hundred ratings.
"""

from dataclasses import dataclass

import numpy as np

from minimix.errors import DataError
from minimix.neighbours import nearest, nearest_in
from minimix.records import Rows, Vectors

CLASSES = 6
NEIGHBOURS = 16
TRANSITION_NEIGHBOURS = 3
SMOOTHING = 0.01


@dataclass(frozen=True)
class Library:
    """Rated samples, and what follows from them.

    `embeddings` (n, d) with unit rows, `classes` (n,) in 0..5; `transitions` (6, 6) holds
    P(class of a neighbour | class of a row); `prior` (6,) sums to 1.
    """

    embeddings: Vectors
    classes: Rows
    transitions: np.ndarray
    prior: np.ndarray


def fit(embeddings: Vectors, classes: np.ndarray) -> Library:
    """Return the library of rated rows; `classes` are whole numbers 0..5.

    Raises DataError for fewer rows than neighbours that vote, or a class out of range.
    """
    if len(embeddings) <= NEIGHBOURS:
        raise DataError(f"a library needs more than {NEIGHBOURS} rows, found {len(embeddings)}")
    if classes.min() < 0 or classes.max() >= CLASSES:
        raise DataError(f"classes: expected 0..5, found {classes.min()}..{classes.max()}")
    transitions, prior = transition_matrix(embeddings, classes)
    return Library(embeddings, classes, transitions, prior)


def transition_matrix(embeddings: Vectors, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return P(class of a neighbour | class of a row), (6, 6), and the prior, (6,).

    Counted over the three nearest rows of each row, with additive smoothing of 0.01.
    """
    rows, _ = nearest(embeddings, count=TRANSITION_NEIGHBOURS)
    pairs = np.full((CLASSES, CLASSES), SMOOTHING)
    np.add.at(pairs, (np.repeat(classes, TRANSITION_NEIGHBOURS), classes[rows].ravel()), 1)
    frequencies = np.bincount(classes, minlength=CLASSES) + SMOOTHING
    return pairs / pairs.sum(axis=1, keepdims=True), frequencies / frequencies.sum()


def posterior(library: Library, votes: np.ndarray) -> np.ndarray:
    """Return P(class | votes): (n, 6); `votes` (n, 6) counts the classes of a row's neighbours.

    posterior(i) ∝ prior(i) · Π_j T[i, j] ^ votes(j).
    """
    logs = np.log(library.prior) + votes @ np.log(library.transitions).T
    likelihood = np.exp(logs - logs.max(axis=1, keepdims=True))
    shares: np.ndarray = likelihood / likelihood.sum(axis=1, keepdims=True)
    return shares


def count_votes(classes: np.ndarray) -> np.ndarray:
    """Return how often each class is among a row's neighbours: (n, k) classes to (n, 6)."""
    return np.stack([(classes == c).sum(axis=1) for c in range(CLASSES)], axis=1)


def expected_class(library: Library, embeddings: Vectors) -> Vectors:
    """Return the expected class of each row under the posterior of its 16 nearest: (n,), 0..5."""
    rows, _ = nearest_in(embeddings, library.embeddings, count=NEIGHBOURS)
    shares = posterior(library, count_votes(library.classes[rows]))
    expected: Vectors = (shares @ np.arange(CLASSES)).astype(np.float32)
    return expected
