"""Raters behind one type: samples in, ratings 0..5 out, NaN where a rater has none to give.

The learnt rater and the paper's kNN-Bayes come fitted; `fit` makes either from rated samples. What
an LLM says (`llm`) and how hard an instruction is to follow (`difficulty`) need a model, which is
passed in.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from minimix import static
from minimix.config import LEARNT
from minimix.disk import file_sha256
from minimix.errors import ConfigError, DataError
from minimix.progress import Progress, silent
from minimix.rating import fitting, knn_bayes, learnt
from minimix.rating.agreement import Agreement, agree
from minimix.rating.features import features
from minimix.rating.knn_bayes import Library
from minimix.rating.learnt import Learnt
from minimix.rating.store import Model, Stored, load
from minimix.rating.trust import trust
from minimix.records import KINDS, Kind, Rate, Rater, Sample, Vectors
from minimix.spool import subset

VERSION = "2"
"""Changes with any feature or formula of a rater; provenance records it."""
KNN_BAYES = "knn-bayes"
BUNDLED = {name: Path(__file__).parent / f"{name}.npz" for name in (LEARNT, KNN_BAYES)}
UNFITTED = ("llm", "difficulty")
"""Ways to rate that take a model, and too long for every row of a run."""
LEAST_LIBRARY = 50
"""Rated rows of a kind for kNN-Bayes, a fifth of which judge it first."""
BLOCK = 4_096


def open_rater(name: str = LEARNT, *, length_neutral: bool = False) -> Rater:
    """Return a bundled rater (learnt, knn-bayes) or the one in a file that `fit` made.

    Raises DataError where there is none, ConfigError for a length-neutral kNN-Bayes.
    """
    if name in UNFITTED:
        raise ConfigError(
            f"rater: '{name}' is for minimix rate; rate some rows with it, fit a rater to them "
            "(minimix rate --fit) and name that file here"
        )
    path = BUNDLED.get(name, Path(name))
    stored = load(path)
    if length_neutral and stored.way != LEARNT:
        raise ConfigError("length_neutral: only the learnt rater has it, not kNN-Bayes")
    mode = ", length-neutral" if length_neutral else ""
    return Rater(
        rate=_by_kind(stored, _neutral if length_neutral else _usual),
        name=f"{stored.way} rater {VERSION}{mode} ({stored.about}; {file_sha256(path):.12})",
        trust=trust(stored, mode),
    )


def _by_kind(stored: Stored, rate: Callable[[Model, Sequence[Sample]], Vectors]) -> Rate:
    """Return a rating function that asks each kind's own model; NaN for a kind without one."""

    def rate_all(samples: Sequence[Sample]) -> Vectors:
        ratings = np.full(len(samples), np.nan, dtype=np.float32)
        kinds = [sample.kind for sample in samples]
        for kind, model in stored.models.items():
            own = [row for row, one in enumerate(kinds) if one == kind]
            for start in range(0, len(own), BLOCK):
                block = own[start : start + BLOCK]
                ratings[block] = rate(model, list(subset(samples, block)))
        return ratings

    return rate_all


def _usual(model: Model, samples: Sequence[Sample]) -> Vectors:
    if isinstance(model, Library):
        return knn_bayes.expected_class(model, static.embed([sample.text for sample in samples]))
    return learnt.predict(model, features(samples))


def _neutral(model: Model, samples: Sequence[Sample]) -> Vectors:
    assert isinstance(model, Learnt)  # noqa: S101 - open_rater has refused any other
    return learnt.predict_neutral(model, features(samples))


def fit(
    name: str,
    rated: Sequence[tuple[Sample, float]],
    *,
    about: str,
    seed: int,
    progress: Progress = silent,
) -> Stored:
    """Return a rater of the sort `name` (learnt, knn-bayes) fitted to rated samples, by kind.

    How far it agrees is measured on rows it was not fitted on (five folds; a fifth of the rows for
    a library) and stored with it. A kind with too few rows is left out, and `about` names it.
    Raises DataError where no kind is left.
    """
    models: dict[Kind, Model] = {}
    agreement: dict[str, Agreement] = {}
    least = fitting.LEAST_ROWS if name == LEARNT else LEAST_LIBRARY
    by_kind = {kind: [pair for pair in rated if pair[0].kind == kind] for kind in KINDS}
    few = [f"{kind} ({len(own)} rows)" for kind, own in by_kind.items() if 0 < len(own) < least]
    for kind, own in by_kind.items():
        if len(own) < least:
            continue
        samples, classes = [sample for sample, _ in own], np.array([rating for _, rating in own])
        if name == LEARNT:
            found = features(samples)
            fitted = fitting.fit(found, classes, _records(samples), seed=seed, progress=progress)
            models[kind] = fitted.model
            agreement[kind] = agree(fitted.ratings, classes, found.words)
            agreement[f"{kind}, length-neutral"] = agree(fitted.neutral, classes, found.words)
        else:
            models[kind], agreement[kind] = _library(samples, classes, seed)
    if not models:
        hint = f"; knn-bayes needs {LEAST_LIBRARY}" if name == LEARNT else ""
        raise DataError(
            f"a {name} rater needs {least} rated rows of a kind, found {', '.join(few)}{hint}"
        )
    left = f", without {', '.join(few)}" if few else ""
    return Stored(models=models, about=f"{about}{left}", agreement=agreement)


def _library(
    samples: Sequence[Sample], ratings: np.ndarray, seed: int
) -> tuple[Library, Agreement]:
    """Return the library of all rows, and the agreement of one without a fifth on that fifth."""
    vectors = static.embed([sample.text for sample in samples])
    told = np.abs(vectors).sum(axis=1) > 0  # a text without a word is near to nothing
    samples, ratings = [samples[row] for row in np.flatnonzero(told).tolist()], ratings[told]
    vectors = vectors[told]
    classes = np.clip(np.floor(ratings), 0, knn_bayes.CLASSES - 1).astype(np.intp)
    words = np.array([len(sample.response.split()) for sample in samples])
    kept, held = next(fitting.folds(_records(samples), seed))
    part = knn_bayes.fit(vectors[kept], classes[kept])
    found = agree(knn_bayes.expected_class(part, vectors[held]), ratings[held], words[held])
    return knn_bayes.fit(vectors, classes), found


def _records(samples: Sequence[Sample]) -> np.ndarray:
    """Return the number of the record each sample comes from: (n,)."""
    names = [(sample.place.file, sample.place.line) for sample in samples]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names])
