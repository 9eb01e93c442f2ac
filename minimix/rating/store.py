"""A rater on disk: arrays and one text in an .npz file, nothing that runs when it is read."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minimix.disk import parse_json, read_arrays, write_bytes
from minimix.errors import DataError, brief
from minimix.rating.agreement import Agreement, read_agreement
from minimix.rating.features import PAIRS
from minimix.rating.knn_bayes import Library
from minimix.rating.knn_bayes import fit as fit_library
from minimix.rating.learnt import Curve, Learnt, Linear, Trees
from minimix.records import KINDS, Kind
from minimix.static import PIECES, WIDTH

FORM = 1
"""Changes when files of before cannot be read any more."""
INT8 = 127
BAGS = 4
MOST_BYTES = 2**28
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError)
"""What arrays that are no rater's may raise."""

Model = Learnt | Library


@dataclass(frozen=True)
class Stored:
    """A fitted rater: a model for each kind it knows, what it was fitted on, and how it agrees.

    `about` says in a few words whose ratings it learnt; `agreement` is cross-validated or on rows
    held out, by kind and mode ("qa", "qa, length-neutral"); `synthetic` names kinds whose classes
    are depths of degradation, not ratings.
    """

    models: Mapping[Kind, Model]
    about: str
    agreement: Mapping[str, Agreement]
    synthetic: tuple[Kind, ...] = ()

    @property
    def way(self) -> str:
        """What sort of rater it is."""
        learnt = any(isinstance(model, Learnt) for model in self.models.values())
        return "learnt" if learnt else "kNN-Bayes"


def save(stored: Stored, path: Path) -> None:
    """Write a rater; embeddings of a library in eight bits, weights of words in sixteen."""
    arrays: dict[str, np.ndarray] = {}
    for kind, model in stored.models.items():
        parts = _learnt_arrays(model) if isinstance(model, Learnt) else _library_arrays(model)
        arrays |= {f"{kind}.{name}": value for name, value in parts.items()}
    meta = {
        "form": FORM,
        "about": stored.about,
        "synthetic": list(stored.synthetic),
        "agreement": {name: one.plain() for name, one in stored.agreement.items()},
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, meta=np.array(json.dumps(meta)), **arrays)
    write_bytes(path, buffer.getvalue())


def load(path: Path) -> Stored:
    """Return the rater in a file.

    Raises DataError where the file is no rater, or one of another form.
    """
    try:
        arrays = read_arrays(path, most_bytes=MOST_BYTES)
        meta = parse_json(str(arrays.pop("meta")))
        if meta["form"] != FORM:
            raise DataError(f"form {meta['form']}, expected {FORM}: fit it anew")
        models = {kind: _model(_of(arrays, kind)) for kind in KINDS if _of(arrays, kind)}
        return Stored(
            models=models,
            about=str(meta["about"]),
            agreement={name: read_agreement(one) for name, one in meta["agreement"].items()},
            synthetic=tuple(kind for kind in KINDS if kind in meta["synthetic"]),
        )
    except UNREADABLE as error:
        raise DataError(f"{path}: not a rater ({brief(error)})") from error
    except DataError as error:
        raise DataError(f"{path}: not a rater ({error})") from error


def _of(arrays: Mapping[str, np.ndarray], kind: Kind) -> dict[str, np.ndarray]:
    start = f"{kind}."
    return {name.removeprefix(start): a for name, a in arrays.items() if name.startswith(start)}


def _model(parts: Mapping[str, np.ndarray]) -> Model:
    return _read_library(parts) if "classes" in parts else _read_learnt(parts)


def _library_arrays(library: Library) -> dict[str, np.ndarray]:
    widest = np.abs(library.embeddings).max(axis=1, keepdims=True)
    return {
        "embeddings": np.round(library.embeddings / widest * INT8).astype(np.int8),
        "classes": library.classes.astype(np.int8),
    }


def _read_library(parts: Mapping[str, np.ndarray]) -> Library:
    """Return a library, its transitions and prior counted anew."""
    vectors = parts["embeddings"].astype(np.float32)
    classes = parts["classes"].astype(np.intp)
    if vectors.shape != (len(classes), WIDTH) or not np.abs(vectors).sum(axis=1).all():
        raise DataError(f"{classes.shape} classes for {vectors.shape} embeddings, some empty")
    return fit_library(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), classes)


def _learnt_arrays(model: Learnt) -> dict[str, np.ndarray]:
    linear, trees = model.linear, model.trees
    arrays: dict[str, np.ndarray] = {
        **{f"words{n}": weights.astype(np.float16) for n, weights in enumerate(linear.words)},
        "dense": linear.dense.astype(np.float32),
        "mean": linear.mean.astype(np.float32),
        "scale": linear.scale.astype(np.float32),
        "features": trees.features,
        "thresholds": trees.thresholds,
        "leaves": trees.leaves,
        "bases": np.array([linear.intercept, trees.base]),
    }
    curves = {"calibration": model.calibration, "length": model.length, "neutral": model.neutral}
    return arrays | {name: np.stack([curve.x, curve.y]) for name, curve in curves.items()}


def _read_learnt(parts: Mapping[str, np.ndarray]) -> Learnt:
    words = tuple(parts[f"words{n}"].astype(np.float32) for n in range(BAGS))
    intercept, base = (float(value) for value in parts["bases"])
    dense, features = parts["dense"], parts["features"]
    linear = Linear(words, dense, parts["mean"], parts["scale"], intercept)
    trees = Trees(features, parts["thresholds"], parts["leaves"], base)
    _check_shapes(linear, trees)
    curves: dict[str, Any] = {}
    for name in ("calibration", "length", "neutral"):
        x, y = parts[name].astype(np.float64)
        if x.ndim != 1 or not len(x) or not np.isfinite([x, y]).all() or not (np.diff(x) > 0).all():
            raise DataError(f"the knots of '{name}' do not rise")
        curves[name] = Curve(x, y)
    return Learnt(linear, trees, **curves)


def _check_shapes(linear: Linear, trees: Trees) -> None:
    same = linear.dense.shape == linear.mean.shape == linear.scale.shape
    count, inner = trees.features.shape
    whole = trees.thresholds.shape == (count, inner) and trees.leaves.shape == (count, inner + 1)
    power = count > 0 and (inner + 1) & inner == 0 and trees.features.dtype.kind == "i"
    columns = linear.dense.shape[0] - 3 * WIDTH + 1  # the counts, and the linear model's figure
    within = (trees.features >= 0).all() and (trees.features < columns).all()
    widths = [words.shape for words in linear.words] == [
        (n,) for n in (PIECES, PIECES, PAIRS, PAIRS)
    ]
    if not (same and whole and power and within and widths):
        raise DataError("its arrays do not fit together")
    figures: tuple[Any, ...] = (
        linear.dense, linear.mean, linear.scale, linear.intercept, trees.leaves, trees.base,
        *linear.words,
    )  # fmt: skip
    if not all(np.isfinite(part).all() for part in figures) or np.isnan(trees.thresholds).any():
        raise DataError("it holds figures that are no numbers")
