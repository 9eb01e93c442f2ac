"""How far ratings can be trusted, in plain words: what the report and the command line say."""

from collections.abc import Sequence

import numpy as np

from minimix import static
from minimix.rating.agreement import Agreement, agree
from minimix.rating.knn_bayes import CLASSES, NEIGHBOURS
from minimix.rating.noise import Noise, diagnose
from minimix.rating.store import Stored
from minimix.records import Kind, Sample, Vectors
from minimix.spool import Texts, subset

MOST_DIAGNOSED = 20_000
"""Rows whose neighbours are looked at: more say no more, and take minutes."""


def trust(stored: Stored, mode: str = "") -> dict[Kind, str]:
    """Return in plain words how far a rater can be trusted, for each kind that it knows."""
    lines: dict[Kind, str] = {}
    for kind in stored.models:
        one = stored.agreement.get(f"{kind}{mode}") or stored.agreement.get(kind)
        if one is None:
            lines[kind] = "not measured"
            continue
        teacher = "depth of degradation (synthetic)" if kind in stored.synthetic else "its teacher"
        parts = [f"cross-validated on {one.rows:,} rows"]
        if one.spearman is not None:
            parts.append(f"rank correlation with {teacher} {one.spearman:.2f}")
        if one.right is not None:
            parts.append(f"{one.right:.0%} of the rows rated 4 or more are of class 4 or more")
        if one.found is not None:
            parts.append(f"{one.found:.0%} of the rows of class 4 or more found")
        if one.length is not None:
            parts.append(f"correlation with length {one.length:.2f}")
        lines[kind] = ", ".join(parts)
    return lines


def compare(samples: Sequence[Sample], ratings: Vectors) -> tuple[Agreement, Noise] | None:
    """Return how ratings (n,) agree with those in the data, and how noisy these are.

    None where the data rate 16 samples or fewer. The diagnosis is of at most 20,000 rows, evenly
    spread.
    """
    own = np.array([np.nan if one.rating is None else one.rating for one in samples])
    both = np.flatnonzero(~np.isnan(own) & ~np.isnan(ratings))
    if len(both) <= NEIGHBOURS:
        return None
    words = np.array([len(one.response.split()) for one in subset(samples, both)])
    agreement = agree(ratings[both], own[both], words)
    some = both[:: -(-len(both) // MOST_DIAGNOSED)]
    classes = np.clip(np.floor(own[some]), 0, CLASSES - 1).astype(np.intp)
    return agreement, diagnose(static.embed(Texts(subset(samples, some))), classes)


def in_words(agreement: Agreement, noise: Noise) -> list[str]:
    """Return what `compare` found, a line for each."""
    figures = {
        "rank correlation": agreement.spearman,
        "AUC for 4 or more": agreement.auc,
        "beyond length": agreement.beyond_length,
    }
    found = [f"{name} {value:.2f}" for name, value in figures.items() if value is not None]
    lines = [f"rater and data on {agreement.rows:,} samples: {', '.join(found) or 'no figure'}"]
    if noise.beyond_chance is None:
        return [*lines, "the data rate all samples alike: that says nothing of them"]
    return [
        *lines,
        f"neighbours' ratings in the data are alike in {noise.alike:.0%} of pairs, by chance "
        f"{noise.chance:.0%}: {noise.beyond_chance:.0%} beyond chance (100%: they never differ; "
        "0%: dice)",
    ]
