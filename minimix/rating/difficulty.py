"""Instruction-following difficulty: how little an instruction helps a model foresee its response.

The ratio of the response's surprise after the instruction to its surprise without (Cherry LLM,
arXiv 2308.12032). Near 1 the instruction hardly helps, so there is something to learn; near 0 the
response follows from it; above 1 it misleads. It needs no rated data: only its place on the scale
0..5 does.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from minimix.disk import read_arrays
from minimix.errors import DataError
from minimix.extras import need
from minimix.progress import Progress, silent
from minimix.rating.learnt import Curve
from minimix.records import Messages, Rate, Sample, Vectors

BUNDLED_CURVE = Path(__file__).parent / "difficulty.npz"
"""Fitted on 1,195 rows of dolly_rated_00 with the bundled model."""
COHORT = 64
LEAST_ROWS = 100

Likelihood = Callable[[Sequence[tuple[Messages | None, str]]], Vectors]
"""(Chat or None, answer) in, mean surprise of the answer's tokens in nats out: (n,), NaN for none.

None stands for a chat that asks nothing.
"""


def difficulty(
    samples: Sequence[Sample], likelihood: Likelihood, *, progress: Progress = silent
) -> Vectors:
    """Return the surprise of each response with its prompt over that without: (n,), above 0.

    NaN where a response has no token, does not fit the model's context, or surprises it not at all.
    """
    starts = range(0, len(samples), COHORT)
    ratios = [np.zeros(0, dtype=np.float32)]
    for start in progress(starts, "Measuring difficulty (cohorts)", len(starts)):
        cohort = samples[start : start + COHORT]
        asked = likelihood([(_chat(sample), sample.response) for sample in cohort])
        alone = likelihood([(None, sample.response) for sample in cohort])
        ratios.append(np.divide(asked, alone, out=np.full_like(asked, np.nan), where=alone > 0))
    return np.concatenate(ratios)


def _chat(sample: Sample) -> Messages:
    chat: Messages = [{"role": "system", "content": sample.system}] if sample.system else []
    return [*chat, {"role": "user", "content": sample.prompt}]


def fit(difficulties: Vectors, classes: np.ndarray) -> Curve:
    """Return the monotone curve from difficulty to the mean class: rising or falling, what fits.

    Where difficulty says little of the classes, the curve is nearly level: a rating then says as
    little. Rows of difficulty NaN are left out. Raises DataError for fewer than 100 others.
    """
    known = ~np.isnan(difficulties)
    if known.sum() < LEAST_ROWS:
        raise DataError(f"a curve needs at least {LEAST_ROWS} rows, found {known.sum()}")
    x, y = difficulties[known].astype(np.float64), classes[known].astype(np.float64)
    regression = need("sklearn.isotonic").IsotonicRegression
    either = [regression(increasing=rising).fit(x, y) for rising in (True, False)]
    best = min(either, key=lambda fitted: float(((fitted.predict(x) - y) ** 2).sum()))
    return Curve(best.X_thresholds_.astype(np.float32), best.y_thresholds_.astype(np.float32))


def rater(likelihood: Likelihood, curve: Curve, *, progress: Progress = silent) -> Rate:
    """Return the rating function by difficulty; NaN where that is NaN.

    `curve` must have been fitted with the same model: another finds other things hard.
    """

    def rate(samples: Sequence[Sample]) -> Vectors:
        return curve(difficulty(samples, likelihood, progress=progress))

    return rate


def save(curve: Curve, path: Path) -> None:
    """Write the curve as arrays, no pickle."""
    np.savez_compressed(path, difficulties=curve.x, ratings=curve.y)


def load(path: Path = BUNDLED_CURVE) -> Curve:
    """Return a saved curve. Raises DataError where the file is none."""
    try:
        arrays = read_arrays(path)
        curve = Curve(arrays["difficulties"], arrays["ratings"])
    except (DataError, KeyError) as error:
        raise DataError(f"{path}: not a curve of difficulty ({error})") from error
    if curve.x.ndim != 1 or curve.x.shape != curve.y.shape or not len(curve.x):
        raise DataError(f"{path}: expected as many difficulties as ratings, found {curve.x.shape}")
    return curve
