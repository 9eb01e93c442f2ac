"""The best candidate of a task without a reference, and then: does it do no harm?"""

from collections.abc import Sequence
from dataclasses import dataclass

from minimix.addressed import addressed
from minimix.records import Audit, Draft

LEAST_KEPT, LEAST_EACH = 0.6, 0.6
"""Of all facts, and of each source's: the freest honest wording keeps 0.63 of each."""
LEAST_SUPPORTED = 0.7
"""Of the weight of a draft's own words: honest wording brings some of its own."""
LEAST_ASKED = 0.3
LEAST_DISTINCT, MOST_REDUNDANT = 0.8, 0.2
"""Honest text repeats hardly a fifth of its trigrams, and no sentence."""
WELL_FORMED = 0.2
RATED = 0.2
HIGHEST = 5.0
FREE_COPIED, FREE_PASTED = 0.8, 0.5
"""Up to here a faithful fusion of like sources may copy one, or hold each in one piece."""
HALVED = 0.5


@dataclass(frozen=True, slots=True)
class Candidate:
    """A draft with its audit, and its rating 0..5 where the audit is clean; else None."""

    draft: Draft
    audit: Audit
    rating: float | None


def merit(candidate: Candidate) -> float:
    """Return how good a candidate is among its like: 0..1.4, higher is better.

    The harmonic mean of kept and supported, times `style`; plus, times style too, 0.2 where it is
    well-formed, and up to 0.2 by its rating: no rating makes up for a trick.
    """
    audit, rating = candidate.audit, candidate.rating or 0.0
    total = audit.kept + audit.supported
    balance = 2 * audit.kept * audit.supported / total if total else 0.0
    formed = WELL_FORMED * (not candidate.draft.problems)
    return style(audit) * (balance + formed + RATED * rating / HIGHEST)


def style(audit: Audit) -> float:
    """Return what is left of a draft's merit for the way it is put together, 0..1.

    The product of: distinct; 1 - redundant; fluent; and 1, down to a half for a draft that is one
    source and nothing else, and down to a half for one in which every source stands unbroken.
    """
    copied = 1 - HALVED * _over(audit.copied, FREE_COPIED)
    pasted = 1 - HALVED * _over(audit.pasted, FREE_PASTED)
    return audit.distinct * (1 - audit.redundant) * audit.fluent * copied * pasted


def _over(share: float, free: float) -> float:
    """Return how far a share lies above what is free, 0..1."""
    return max(0.0, share - free) / (1 - free)


def harm(draft: Draft, audit: Audit) -> str:
    """Return why a draft is refused: its audit is not clean, or it speaks to a model; "" if not."""
    spoken = addressed(draft.prompt, draft.response)
    whole = draft.response and (draft.prompt or not draft.problems)
    faults = {
        "no question and answer in it": not whole,
        f"speaks to a model, with {spoken}": bool(spoken),
        f"loops ({audit.distinct:.0%} of its trigrams are distinct)": (
            audit.distinct < LEAST_DISTINCT
        ),
        f"without a source: {'; '.join(audit.unsupported[:3])}": bool(audit.unsupported),
        f"changed: {'; '.join(audit.changed[:3])}": bool(audit.changed),
        f"only {audit.supported:.0%} of its facts have a source": audit.supported < LEAST_SUPPORTED,
        f"asks only {audit.asked:.0%} of what a source asks": audit.asked < LEAST_ASKED,
        f"says {audit.redundant:.0%} again": audit.redundant > MOST_REDUNDANT,
        f"keeps only {audit.kept:.0%} of the facts": audit.kept < LEAST_KEPT,
        f"keeps only {audit.each:.0%} of a source's facts": audit.each < LEAST_EACH,
    }
    return next((fault for fault, found in faults.items() if found), "")


def choose(candidates: Sequence[Candidate], best_source: float) -> tuple[int | None, str]:
    """Return the position of the best candidate that does no harm; or None, and why not.

    It is clean and rated above `best_source`, the rating of its best source. The reason is that of
    the candidate that came nearest; ties go to the first.
    """
    clean = {n: c.rating for n, c in enumerate(candidates) if c.rating is not None}
    above = [number for number, rating in clean.items() if rating > best_source]
    merits = [merit(candidate) for candidate in candidates]
    if above:
        return max(above, key=lambda number: (merits[number], -number)), ""
    if clean:
        return None, f"rated {max(clean.values()):.2f}, its best source {best_source:.2f}"
    nearest = candidates[max(range(len(candidates)), key=lambda number: (merits[number], -number))]
    return None, harm(nearest.draft, nearest.audit)
