"""report.html: one file that opens from disk, asks nobody for anything, and escapes all text."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minimix.contamination import Match
from minimix.extras import need
from minimix.plan import Group
from minimix.records import Cluster, Dropped, Entry, Sample

TEMPLATE = Path(__file__).parent / "report.html.jinja"
REASONS = 40


@dataclass(frozen=True, kw_only=True)
class Page:
    """What the report shows; each of `fusions` comes with its source samples.

    `plan` are all clusters by worth, `skipped` some of those without a turn, each a group of
    its own, with its samples. `trust` says line by line how far the ratings can be trusted;
    `settings` are the lines at the foot: settings, model, versions, times.
    """

    title: str
    counts: Mapping[str, int]
    notes: Sequence[str]
    trust: Sequence[str]
    fusions: Sequence[tuple[Entry, Sequence[Sample]]]
    plan: Sequence[Group]
    skipped: Sequence[tuple[Group, Sequence[Sample]]]
    matches: Sequence[Match]
    dropped: Sequence[Dropped]
    settings: Mapping[str, Any]


def render(page: Page) -> str:
    """Return the report as one HTML text."""
    jinja = need("jinja2")
    environment = jinja.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja.StrictUndefined
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    reasons = Counter((drop.stage, drop.reason) for drop in page.dropped)
    text: str = template.render(
        page=page,
        reasons=reasons.most_common(REASONS),
        other_reasons=max(0, len(reasons) - REASONS),
    )
    return text


def mean_similarity(clusters: Sequence[Cluster]) -> float:
    """Return the mean cosine within clusters; 0 for none."""
    return sum(c.similarity for c in clusters) / len(clusters) if clusters else 0.0
