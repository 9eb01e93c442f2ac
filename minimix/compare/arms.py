"""The sets that are compared: what distilling chose, and what costs nothing to choose.

Each is in an order, so that a smaller set is the beginning of a larger one. Random and longest are
the hard ones to beat at equal tokens ("Long Is More for Alignment", arXiv 2402.04833).
"""

from collections.abc import Iterator, Sequence

import numpy as np

from minimix.arrow import Distilled
from minimix.config import HIGH
from minimix.pool import Pool
from minimix.records import Rows, Sample
from minimix.spool import subset

SHARES = {"mixed_3_7": 7, "mixed_5_5": 5, "mixed_7_3": 3}
"""Fusions among ten rows of a mix, named originals first (PAPER, Distilling a data pool, 6)."""
FULL = "full"
ARMS = ("random", "longest", "top_rated", "high", "distilled", *SHARES, FULL)
"""random and full are of the whole pool, the others of what is left without copies."""
MADE = frozenset({"distilled", *SHARES})
"""Sets that hold fusions, and so cost what distilling costs."""
DRAW = 7


def arms(result: Distilled, pool: Pool, *, seed: int) -> dict[str, Sequence[Sample]]:
    """Return every set by name, in the order of `ARMS`, its best rows first.

    `result` is a run over `pool` whose fusions are all in its final set. What is drawn, or tied,
    follows from `seed`; full is in the order of the pool.
    """
    prepared, rng = result.prepared, np.random.default_rng([seed, DRAW])
    chance = rng.random(len(prepared.samples))
    lengths = np.array([len(sample.response) for sample in prepared.samples])
    high = np.asarray(prepared.high, dtype=np.intp)
    drawn = rng.permutation(len(pool.samples)).tolist()
    originals, made = subset(prepared.samples, prepared.high), fusions(result)
    found: dict[str, Sequence[Sample]] = {
        "random": subset(pool.samples, drawn),
        "longest": subset(prepared.samples, _down(lengths, chance)),
        "top_rated": subset(prepared.samples, _down(prepared.ratings, chance)),
        "high": subset(prepared.samples, high[np.argsort(chance[high])].tolist()),
        "distilled": made,
        **{name: list(mixed(originals, made, of_ten)) for name, of_ten in SHARES.items()},
        FULL: pool.samples,
    }
    return {name: found[name] for name in ARMS}


def fusions(result: Distilled) -> list[Sample]:
    """Return the fusions of a final set, those worth most first, as `minimix.select` has it."""
    entries = [entry for entry in result.entries if entry.origin == "fusion"]
    order = sorted(entries, key=lambda e: (e.rating < HIGH, -e.rarity, e.sample.id))
    return [entry.sample for entry in order]


def mixed(originals: Sequence[Sample], made: Sequence[Sample], of_ten: int) -> Iterator[Sample]:
    """Yield both in turn, `of_ten` of every ten rows fusions; ends where either does."""
    taken = 0
    for row in range(len(originals) + len(made)):
        source, at = (made, taken) if (row + 1) * of_ten // 10 > taken else (originals, row - taken)
        if at >= len(source):
            return
        taken += source is made
        yield source[at]


def _down(values: np.ndarray, chance: np.ndarray) -> Rows:
    """Return rows by value, the largest first, and by chance among equals."""
    return np.lexsort((chance, -values))
