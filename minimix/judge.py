"""The best candidate of a task without a reference, and then: does it do no harm?"""

from collections.abc import Sequence

from minimix.records import Audit, Draft

LEAST_KEPT = 0.6
LEAST_SUPPORTED = 0.85
LEAST_ASKED = 0.25
LEAST_DISTINCT = 0.8
FEWEST_WORDS = 3
WELL_FORMED = 0.2


def merit(draft: Draft, audit: Audit) -> float:
    """Return how good a candidate is among its like: 0..1.2, higher is better.

    The harmonic mean of kept and supported, times distinct, plus 0.2 where it is well-formed.
    """
    total = audit.kept + audit.supported
    balance = 2 * audit.kept * audit.supported / total if total else 0.0
    return balance * audit.distinct + WELL_FORMED * (not draft.problems)


def harm(draft: Draft, audit: Audit) -> str:
    """Return why a draft's audit is not clean, "" where it is."""
    figures = [fact[1:] for fact in audit.unsupported if fact[0] in "#@"]
    whole = draft.prompt and len(draft.response.split()) >= FEWEST_WORDS
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


def best(drafts: Sequence[Draft], audits: Sequence[Audit]) -> int:
    """Return the position of the best candidate: clean ones first, then by merit, then order."""
    keys = [
        (not harm(draft, audit), merit(draft, audit), -position)
        for position, (draft, audit) in enumerate(zip(drafts, audits, strict=True))
    ]
    return max(range(len(drafts)), key=lambda position: keys[position])
