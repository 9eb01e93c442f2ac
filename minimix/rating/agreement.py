"""How far a rater agrees with ratings it has not seen, and how much of that is length."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from minimix.config import HIGH
from minimix.errors import DataError
from minimix.extras import need
from minimix.records import Vectors

CLASSES = 6
LEAST_ROWS = 10
FIGURES = ("spearman", "auc", "right", "found", "length", "beyond_length")


@dataclass(frozen=True)
class Agreement:
    """A rater against held-out ratings; None where a figure cannot be had.

    `spearman` -1..1; `auc` 0..1 for a class of 4 or more; `right` the share of such classes among
    rows rated 4 or more, `found` the share of those rows among such classes; `confusion` counts
    rows by class (down) and rating rounded down (across); `length` the Spearman correlation of the
    rating with the response's words, `beyond_length` its partial correlation with the class where
    length is held fixed.
    """

    rows: int
    spearman: float | None
    auc: float | None
    right: float | None
    found: float | None
    length: float | None
    beyond_length: float | None
    confusion: tuple[tuple[int, ...], ...]

    def plain(self) -> dict[str, Any]:
        """Return the figures as JSON can hold them, rounded to four digits."""
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def agree(ratings: Vectors, classes: np.ndarray, words: np.ndarray) -> Agreement:
    """Return how `ratings` (n,) agree with `classes` (n,) of responses of `words` (n,) words.

    Rows that the rater gave no rating (NaN) are left out. Raises DataError for fewer than 10.
    """
    rated = ~np.isnan(ratings)
    if rated.sum() < LEAST_ROWS:
        raise DataError(f"agreement needs at least {LEAST_ROWS} rated rows, found {rated.sum()}")
    values, classes, words = ratings[rated], classes[rated], words[rated]
    good, called = classes >= HIGH, values >= HIGH
    with_class, with_length = spearman(values, classes), spearman(values, words)
    confusion = np.zeros((CLASSES, CLASSES), dtype=int)
    np.add.at(confusion, (_whole(classes), _whole(values)), 1)
    return Agreement(
        rows=int(rated.sum()),
        spearman=with_class,
        auc=auc(values, good),
        right=float(good[called].mean()) if called.any() else None,
        found=float(called[good].mean()) if good.any() else None,
        length=with_length,
        beyond_length=_partial(with_class, with_length, spearman(classes, words)),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
    )


def spearman(left: np.ndarray, right: np.ndarray) -> float | None:
    """Return the rank correlation, -1..1; None where either side is all the same."""
    rank = need("scipy.stats").rankdata
    a, b = rank(left), rank(right)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def auc(figures: np.ndarray, positive: np.ndarray) -> float | None:
    """Return the chance that a positive row has the higher figure, ties counting half."""
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if not ones or not zeros:
        return None
    ranks = need("scipy.stats").rankdata(figures)[positive].sum()
    return float((ranks - ones * (ones + 1) / 2) / (ones * zeros))


def preferred(chosen: np.ndarray, other: np.ndarray) -> float:
    """Return the share of pairs whose chosen side has the higher figure, ties counting half."""
    return float(np.mean((chosen > other) + (chosen == other) / 2))


def _partial(xy: float | None, xz: float | None, yz: float | None) -> float | None:
    """Return the correlation of x and y with z held fixed; None where it is not defined."""
    if xy is None or xz is None or yz is None or abs(xz) >= 1 or abs(yz) >= 1:
        return None
    return float((xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2)))


def _whole(values: np.ndarray) -> np.ndarray:
    whole: np.ndarray = np.clip(np.floor(values), 0, CLASSES - 1).astype(int)
    return whole


def read_agreement(plain: Mapping[str, Any]) -> Agreement:
    """Return the agreement that `plain` was made of.

    Raises DataError where it is not one.
    """
    try:
        confusion: Sequence[Sequence[int]] = plain["confusion"]
        figures = [plain[name] for name in FIGURES]
        if not all(one is None or isinstance(one, int | float) for one in figures):
            raise TypeError(f"expected numbers, found {figures}")
        int(plain["rows"])
        rest = {name: plain[name] for name in Agreement.__dataclass_fields__ if name != "confusion"}
        return Agreement(**rest, confusion=tuple(tuple(row) for row in confusion))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"not the figures of a rater ({error})") from error
