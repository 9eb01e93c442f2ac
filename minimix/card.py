"""The dataset card: what stands in README.md of an output folder.

The same for the same run, byte for byte: it holds no time.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

CARD = """---
pretty_name: {quoted}
tags:
- minimix
- instruction-distillation
size_categories:
- {size}
configs:
- config_name: default
  data_files: train.jsonl
---
# {name}

{final:,} rows distilled from {samples:,} samples by minimix {version}.

| origin | rows |
|---|---|
| originals, rated 4 or higher | {originals:,} |
| fusions of 2 to 5 low samples | {fusions:,} (of them rated 4 or higher: {high_fusions:,}) |
| best sources, standing in for clusters without a good fusion | {best_sources:,} |
{sources}
Every row is traced to its source rows in `provenance.jsonl`; every other input row stands with
its reason in `dropped.jsonl`.

## Limits
- Ratings come from {rater}; they are an estimate, not a human judgement.
- Fusions were written by {model} and accepted by rule: no number or name without a source, and a
  rating above the best source's. Rules do not see every error.
- The licence is that of the source data, which minimix does not know.
{unchecked}{notes}
## Made with
{settings}

All settings, the model's hash and all versions stand in `run.yaml`.
"""
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
LARGEST = "n>1M"
UNCHECKED = "- The set was not checked against evaluation questions.\n"


def card(
    counts: Mapping[str, int],
    *,
    name: str,
    made_by: Mapping[str, str],
    notes: Sequence[str],
    settings: Mapping[str, Any],
    sources: Sequence[tuple[str, Sequence[int]]] = (),
) -> str:
    """Return the card of a run.

    `made_by` names version, model and rater; `settings` are those worth a reader's time. `sources`
    are the samples read and the rows here of each source that the data name.
    """
    size = next((label for rows, label in SIZES if counts["final"] < rows), LARGEST)
    lines = "\n".join(f"- {key}: `{value}`" for key, value in settings.items())
    return CARD.format(
        **counts,
        name=name,
        quoted=json.dumps(name),
        size=size,
        **made_by,
        unchecked="" if counts["questions"] else UNCHECKED,
        notes="".join(f"- {note[:1].upper()}{note[1:]}.\n" for note in notes),
        settings=lines,
        sources="".join(_sources(sources)),
    )


def _sources(sources: Sequence[tuple[str, Sequence[int]]]) -> Iterator[str]:
    """Yield the lines of a table; names are code, so that they mean nothing to Markdown."""
    if sources:
        yield "\n| source | samples | rows |\n|---|---|---|\n"
    for name, (samples, rows) in sources:
        code = name.replace("`", "'").replace("|", "\\|")
        yield f"| `{code}` | {samples:,} | {rows:,} |\n"
