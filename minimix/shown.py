"""What the report shows of a run, as plain values that JSON holds."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from minimix.arrow import Distilled
from minimix.config import HIGH
from minimix.figures import charts, pool_map
from minimix.plan import Group, by_worth, describe
from minimix.records import Entry, Fusion, Sample, Stage

GROUPS, SKIPPED, REASONS = 5, 20, 40
"""Groups of the plan, skipped clusters and reasons of drops that are shown."""
LONGEST, SHORT = 6_000, 120
"""Characters that are shown of a text, and of one in a list."""
MOST_FUSIONS = 10_000
"""A page of more would be slow to open: 20 MB."""
LOST: dict[Stage, str] = {
    "copy": "exact copies",
    "near copy": "near copies",
    "rate": "without a rating",
    "cluster": "low, with no similar one",
    "plan": "in clusters not written",
    "write": "in clusters that the model refused",
    "judge": "in clusters without a good fusion",
    "contamination": "with an evaluation question",
    "select": "good, but the budget was full",
}


def shown(
    result: Distilled, *, title: str, trust: Sequence[str], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the page of a run holds; `trust` and `settings` are its lines as they are.

    Fusions are in the order of the final set. Longer texts are cut, and say by how much.
    """
    counts = result.counts
    return {
        "title": title,
        "counts": dict(counts),
        "notes": list(result.notes),
        "trust": list(trust),
        "settings": {name: str(value) for name, value in settings.items()},
        "figures": _figures(result),
        "flow": _flow(counts, result),
        "went": _went(counts),
        "good": _good(result),
        "charts": list(charts(result)),
        "map": {
            "title": "Map of the pool",
            "note": "Two main directions of the embeddings; a fusion lies amid its sources.",
            "points": pool_map(result),
        },
        "fusions": list(islice(_fusions(result), MOST_FUSIONS)),
        "more_fusions": max(0, counts["fusions"] - MOST_FUSIONS),
        **_plan(result),
        "matches": [
            {
                "row": match.sample.id,
                "question": str(match.question),
                "how": match.how,
                "score": match.score,
            }
            for match in result.matches
        ],
        **_reasons(result),
    }


def _figures(result: Distilled) -> list[dict[str, str]]:
    counts = result.counts
    return [
        {"value": f"{counts['samples']:,}", "label": "samples in"},
        {"value": f"{counts['final']:,}", "label": "rows out"},
        {"value": f"{counts['originals']:,}", "label": "originals"},
        {
            "value": f"{counts['fusions']:,}",
            "label": f"fusions, {counts['high_fusions']:,} rated {HIGH:g} or more",
        },
        {"value": f"{counts['best_sources']:,}", "label": "best sources, standing in"},
    ]


def _flow(counts: Mapping[str, int], result: Distilled) -> list[dict[str, Any]]:
    """Return where every sample went; the parts add up to the samples read."""
    lost = Counter(drop.stage for drop in result.dropped)
    parts = [
        ("kept as they were", counts["kept"], "kept"),
        (f"fused into {counts['fusions']:,} rows", counts["fused"], "fused"),
        *((name, lost[stage], "dropped") for stage, name in LOST.items()),
    ]
    return [
        {"name": name, "samples": samples, "kind": kind} for name, samples, kind in parts if samples
    ]


def _went(counts: Mapping[str, int]) -> str:
    return (
        f"{counts['records']:,} records were read, {counts['dropped_read']:,} dropped while "
        f"reading. {counts['clusters']:,} clusters hold {counts['clustered']:,} low samples; "
        f"{counts['tried']:,} clusters were written with {counts['candidates']:,} candidates, "
        f"{counts['accepted']:,} fusions accepted. Every sample is in provenance.jsonl or in "
        "dropped.jsonl; that was checked before this was written."
    )


def _good(result: Distilled) -> str:
    before = float(np.mean(result.prepared.ratings))
    if not result.entries:
        return f"Samples without copies are rated {before:.2f} of 5 on average; no row was written."
    after = float(np.mean([entry.rating for entry in result.entries]))
    return (
        f"Samples without copies are rated {before:.2f} of 5 on average, the rows here "
        f"{after:.2f}. A rating is a hint, not a verdict. How far it was right where that could "
        "be checked:"
    )


def _fusions(result: Distilled) -> Iterator[dict[str, Any]]:
    prepared = result.prepared
    for entry in result.entries:
        if entry.fusion:
            cluster = prepared.clusters[entry.fusion.cluster]
            rated = zip(prepared.sources(cluster), cluster.rows, strict=True)
            sources = [
                {
                    **_text(sample),
                    "place": str(sample.place),
                    "rating": round(float(prepared.ratings[row]), 2),
                }
                for sample, row in rated
            ]
            yield {**_fusion(entry, entry.fusion), "sources": sources}


def _fusion(entry: Entry, fusion: Fusion) -> dict[str, Any]:
    audit = fusion.audit
    return {
        **_text(entry.sample),
        "id": entry.sample.id,
        "rating": round(entry.rating, 2),
        "rarity": round(entry.rarity, 2),
        "kept": round(audit.kept, 2),
        "supported": round(audit.supported, 2),
        "copied": round(audit.copied, 2),
        "lost": list(audit.lost),
        "unsupported": list(audit.unsupported),
        "changed": list(audit.changed),
        "mended": fusion.mended,
    }


def _text(sample: Sample) -> dict[str, Any]:
    """Return prompt and response as far as they are shown, and how many characters are not."""
    prompt, response = sample.prompt, sample.response
    more = max(0, len(prompt) - LONGEST) + max(0, len(response) - LONGEST)
    return {"prompt": prompt[:LONGEST], "response": response[:LONGEST], "more": more}


def _plan(result: Distilled) -> dict[str, Any]:
    prepared, written, outlook = result.prepared, result.written, result.prepared.outlook
    skipped = [number for number in written.unreached if number < len(outlook.rating)][:SKIPPED]
    few = describe(outlook, written.turned, [[number] for number in skipped])
    fifths = by_worth(outlook, written.turned, groups=GROUPS)
    return {
        "plan": [_group(group) for group in describe(outlook, written.turned, fifths)],
        "skipped": [
            {
                **_group(group),
                "rows": [
                    {"place": str(one.place), "prompt": one.prompt[:SHORT]}
                    for one in prepared.sources(prepared.clusters[number])
                ],
            }
            for group, number in zip(few, skipped, strict=True)
        ],
    }


def _group(group: Group) -> dict[str, Any]:
    return {name: getattr(group, name) for name in Group.__slots__}


def _reasons(result: Distilled) -> dict[str, Any]:
    reasons = Counter((drop.stage, drop.reason) for drop in result.dropped)
    return {
        "reasons": [
            {"stage": stage, "reason": reason, "number": number}
            for (stage, reason), number in reasons.most_common(REASONS)
        ],
        "other_reasons": max(0, len(reasons) - REASONS),
    }
