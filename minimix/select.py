"""The final set: high originals and fusions by quality and rarity, then stand-ins."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minimix.config import HIGH
from minimix.records import Entry, Rows, Vectors

FIFTHS = 5


@dataclass(frozen=True, slots=True)
class Selection:
    """The chosen entries, in the order they were taken, and in words where the mix fell short."""

    entries: tuple[Entry, ...]
    notes: tuple[str, ...]


def by_length(rows: Rows, lengths: np.ndarray, ratings: Vectors, rarity: Vectors) -> Rows:
    """Return `rows`, the best by (rating, rarity) of each fifth of the pool by length in turn.

    `lengths`, `ratings` and `rarity` (n,) are of the whole pool. Raters reward length, so that the
    best rated rows are the longest answers, and a student of these alone forgets short ones
    (docs/evidence.md). A fifth that has no more rows lets the others go on; ties go by row.
    """
    edges = np.quantile(lengths, np.arange(1, FIFTHS) / FIFTHS)
    best = rows[np.lexsort((rows, -rarity[rows], -ratings[rows]))]
    fifths = np.searchsorted(edges, lengths[best], side="right")
    turns = np.empty(len(best), dtype=np.intp)
    for fifth in range(FIFTHS):
        own = np.flatnonzero(fifths == fifth)
        turns[own] = np.arange(len(own))
    return best[np.argsort(turns, kind="stable")]


def select(
    originals: Sequence[Entry],
    fusions: Sequence[Entry],
    stand_ins: Sequence[Entry],
    *,
    budget: int,
    wanted: int,
) -> Selection:
    """Return at most `budget` entries, `wanted` of them fusions where there are so many.

    Originals are taken as they come, fusions by (high, rarity): PAPER, Distilling a data pool, 6.
    What one kind lacks the other fills; stand-ins fill what both leave, the best rated first.
    """
    best_fusions = sorted(fusions, key=lambda e: (e.rating < HIGH, -e.rarity, e.sample.id))
    best_stand_ins = sorted(stand_ins, key=lambda e: (-e.rating, -e.rarity, e.sample.id))
    fused = min(wanted, len(best_fusions))
    kept = min(budget - fused, len(originals))
    fused = min(budget - kept, len(best_fusions))
    stood_in = min(budget - kept - fused, len(best_stand_ins))
    chosen = [*originals[:kept], *best_fusions[:fused], *best_stand_ins[:stood_in]]
    notes = _notes(budget, wanted, kept=kept, fused=fused, stood_in=stood_in)
    return Selection(tuple(chosen), tuple(notes))


def _notes(budget: int, wanted: int, *, kept: int, fused: int, stood_in: int) -> list[str]:
    notes = []
    if fused < wanted:
        notes.append(f"fusions: {wanted} wanted, {fused} good enough")
    if kept < budget - wanted:
        notes.append(f"high originals: {budget - wanted} wanted, {kept} there")
    if fused > wanted:
        notes.append(f"fusions in places that originals left: {fused - wanted}")
    if stood_in:
        notes.append(f"best sources standing in for clusters without a good fusion: {stood_in}")
    if kept + fused + stood_in < budget:
        notes.append(f"rows: {budget} in the budget, {kept + fused + stood_in} to fill it")
    return notes
