"""kNN-Bayes: the paper's rater (PAPER, Training the distiller: quality).

A library of rated samples, the classes that neighbours of each class tend to have, and a
posterior over the class of a new sample from the classes of its nearest library rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minimix.errors import DataError
from minimix.neighbours import nearest, nearest_in
from minimix.records import Rate, Sample, Vectors

BUNDLED_LIBRARY = Path(__file__).parent / "library.npz"
CLASSES = 6
NEIGHBOURS = 16
TRANSITION_NEIGHBOURS = 3
SMOOTHING = 0.01
INT8 = 127


@dataclass(frozen=True)
class Library:
    """Rated samples: `embeddings` (n, d) with unit rows, `classes` (n,) in 0..5, and what follows.

    `transitions` (6, 6) holds P(class of a neighbour | class of a row); `prior` (6,) sums to 1.
    """

    embeddings: Vectors
    classes: np.ndarray
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
    rows, _ = nearest(embeddings, count=TRANSITION_NEIGHBOURS)
    counts = np.full((CLASSES, CLASSES), SMOOTHING)
    np.add.at(counts, (np.repeat(classes, TRANSITION_NEIGHBOURS), classes[rows].ravel()), 1)
    frequencies = np.bincount(classes, minlength=CLASSES) + SMOOTHING
    return Library(
        embeddings,
        classes,
        counts / counts.sum(axis=1, keepdims=True),
        frequencies / frequencies.sum(),
    )


def expected_class(library: Library, embeddings: Vectors) -> Vectors:
    """Return the expected class of each row under the posterior: (n,), 0..5.

    posterior(i) ∝ prior(i) · Π_j T[i, j] ^ h(j), with h the classes of the 16 nearest rows.
    """
    rows, _ = nearest_in(embeddings, library.embeddings, count=NEIGHBOURS)
    votes = np.stack([(library.classes[rows] == c).sum(axis=1) for c in range(CLASSES)], axis=1)
    logs = np.log(library.prior) + votes @ np.log(library.transitions).T
    posterior = np.exp(logs - logs.max(axis=1, keepdims=True))
    posterior /= posterior.sum(axis=1, keepdims=True)
    expected: Vectors = (posterior @ np.arange(CLASSES)).astype(np.float32)
    return expected


def rater(library: Library) -> Rate:
    """Return the rating function over a library."""

    def rate(_samples: Sequence[Sample], embeddings: Vectors) -> Vectors:
        return expected_class(library, embeddings)

    return rate


def save(library: Library, path: Path) -> None:
    """Write the library as arrays: embeddings in eight bits, no pickle."""
    eight = np.round(library.embeddings / np.abs(library.embeddings).max(1, keepdims=True) * INT8)
    classes = library.classes.astype(np.int8)
    np.savez_compressed(path, embeddings=eight.astype(np.int8), classes=classes)


def load(path: Path = BUNDLED_LIBRARY) -> Library:
    """Return a saved library, its transitions and prior counted anew.

    Raises DataError where the file is no library.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            vectors = arrays["embeddings"].astype(np.float32)
            classes = arrays["classes"].astype(np.intp)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: not a rated library ({error})") from error
    return fit(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), classes)
