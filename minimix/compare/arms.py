"""The sets that are compared: what distilling chose, and what costs nothing to choose.

Each is in an order, so that a smaller set is the beginning of a larger one. Random and longest are
the hard ones to beat at equal tokens ("Long Is More for Alignment", arXiv 2402.04833).
"""

from collections.abc import Iterator, Sequence

import numpy as np

from minimix.arrow import Distilled
from minimix.config import HIGH
from minimix.pool import Pool
from minimix.rarity import scaled
from minimix.records import Rows, Sample
from minimix.spool import subset

SHARES = {"mixed_3_7": 0.7, "mixed_5_5": 0.5, "mixed_7_3": 0.3}
"""Share of fusions in a mix, which is named originals first (PAPER, Distilling a data pool, 6)."""
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
    best = high[np.lexsort((-scaled(prepared.rarity)[high], -prepared.ratings[high]))]
    originals, made = subset(prepared.samples, best.tolist()), fusions(result)
    found: dict[str, Sequence[Sample]] = {
        "random": subset(pool.samples, drawn),
        "longest": subset(prepared.samples, _down(lengths, chance)),
        "top_rated": subset(prepared.samples, _down(prepared.ratings, chance)),
        "high": subset(prepared.samples, high[np.argsort(chance[high])].tolist()),
        "distilled": made,
        **{name: list(mixed(originals, made, share)) for name, share in SHARES.items()},
        FULL: pool.samples,
    }
    return {name: found[name] for name in ARMS}


def fusions(result: Distilled) -> list[Sample]:
    """Return the fusions of a final set, those worth most first, as `minimix.select` has it."""
    entries = [entry for entry in result.entries if entry.origin == "fusion"]
    order = sorted(entries, key=lambda e: (e.rating < HIGH, -e.rarity, e.sample.id))
    return [entry.sample for entry in order]


def mixed(originals: Sequence[Sample], made: Sequence[Sample], share: float) -> Iterator[Sample]:
    """Yield both in turn so that `share` of every beginning are fusions; ends with either."""
    taken = 0
    for row in range(len(originals) + len(made)):
        wanted = round((row + 1) * share)
        source, at = (made, taken) if wanted > taken else (originals, row - taken)
        if at >= len(source):
            return
        taken += source is made
        yield source[at]


def _down(values: np.ndarray, chance: np.ndarray) -> Rows:
    """Return rows by value, the largest first, and by chance among equals."""
    return np.lexsort((chance, -values))
