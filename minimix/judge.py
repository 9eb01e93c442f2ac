"""The best candidate of a task without a reference, and then: does it do no harm?"""

from collections.abc import Sequence
from dataclasses import dataclass

from minimix.records import Audit, Draft

LEAST_KEPT = 0.6
LEAST_SUPPORTED = 0.85
LEAST_ASKED = 0.3
LEAST_DISTINCT = 0.8
WELL_FORMED = 0.2
RATED = 0.2
HIGHEST = 5.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A draft with its audit, and its rating 0..5 where the audit is clean; else None."""

    draft: Draft
    audit: Audit
    rating: float | None


def merit(candidate: Candidate) -> float:
    """Return how good a candidate is among its like: 0..1.4, higher is better.

    The harmonic mean of kept and supported, times distinct; plus 0.2 where it is well-formed, and
    up to 0.2 by its rating.
    """
    audit, rating = candidate.audit, candidate.rating or 0.0
    total = audit.kept + audit.supported
    balance = 2 * audit.kept * audit.supported / total if total else 0.0
    formed = WELL_FORMED * (not candidate.draft.problems)
    return balance * audit.distinct + formed + RATED * rating / HIGHEST


def harm(draft: Draft, audit: Audit) -> str:
    """Return why a draft's audit is not clean, "" where it is."""
    figures = [fact[1:] for fact in audit.unsupported if fact[0] in "#@"]
    whole = draft.response and (draft.prompt or not draft.problems)
    faults = {
        "no question and answer in it": not whole,
        f"loops ({audit.distinct:.0%} of its trigrams are distinct)": (
            audit.distinct < LEAST_DISTINCT
        ),
        f"numbers or names without a source: {', '.join(figures[:3])}": bool(figures),
        f"only {audit.supported:.0%} of its facts have a source": audit.supported < LEAST_SUPPORTED,
        f"asks only {audit.asked:.0%} of what a source asks": audit.asked < LEAST_ASKED,
        f"keeps only {audit.kept:.0%} of the facts": audit.kept < LEAST_KEPT,
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
