"""report.html: one file that opens from disk, asks nobody for anything, and escapes all text."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minimix.extras import need
from minimix.records import Cluster, Dropped, Entry, Sample

TEMPLATE = Path(__file__).parent / "report.html.jinja"
REASONS = 40


def render(
    *,
    title: str,
    counts: Mapping[str, int],
    notes: Sequence[str],
    fusions: Sequence[tuple[Entry, Sequence[Sample]]],
    dropped: Sequence[Dropped],
    settings: Mapping[str, Any],
) -> str:
    """Return the page; each of `fusions` comes with its source samples.

    `settings` are the lines at its foot: settings, model, versions, times.
    """
    jinja = need("jinja2")
    environment = jinja.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja.StrictUndefined
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    reasons = Counter((drop.stage, drop.reason) for drop in dropped)
    text: str = template.render(
        title=title,
        counts=counts,
        notes=notes,
        fusions=fusions,
        reasons=reasons.most_common(REASONS),
        other_reasons=max(0, len(reasons) - REASONS),
        settings=settings,
    )
    return text


def mean_similarity(clusters: Sequence[Cluster]) -> float:
    """Return the mean cosine within clusters; 0 for none."""
    return sum(c.similarity for c in clusters) / len(clusters) if clusters else 0.0
