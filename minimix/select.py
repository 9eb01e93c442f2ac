"""The final set: high originals and fusions by quality and rarity, then stand-ins."""

from collections.abc import Sequence
from dataclasses import dataclass

from minimix.config import HIGH
from minimix.records import Entry


@dataclass(frozen=True, slots=True)
class Selection:
    """The chosen entries, best first within each origin, and in words where the mix fell short."""

    entries: tuple[Entry, ...]
    notes: tuple[str, ...]


def select(
    originals: Sequence[Entry],
    fusions: Sequence[Entry],
    stand_ins: Sequence[Entry],
    *,
    budget: int,
    wanted: int,
) -> Selection:
    """Return at most `budget` entries, `wanted` of them fusions where there are so many.

    Originals go by (rating, rarity), fusions by (high, rarity): PAPER, Distilling a data pool, 6.
    What one kind lacks the other fills; stand-ins fill what both leave, the best rated first.
    """
    best_originals = sorted(originals, key=lambda e: (-e.rating, -e.rarity, e.sample.id))
    best_fusions = sorted(fusions, key=lambda e: (e.rating < HIGH, -e.rarity, e.sample.id))
    best_stand_ins = sorted(stand_ins, key=lambda e: (-e.rating, -e.rarity, e.sample.id))
    fused = min(wanted, len(best_fusions))
    kept = min(budget - fused, len(best_originals))
    fused = min(budget - kept, len(best_fusions))
    stood_in = min(budget - kept - fused, len(best_stand_ins))
    chosen = best_originals[:kept] + best_fusions[:fused] + best_stand_ins[:stood_in]
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
