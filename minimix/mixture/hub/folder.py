"""What `minimix mixture sample` calls: a sample of MIXTURE, written with what is known of it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from minimix.mixture.hub.layout import Layout
from minimix.mixture.hub.sample import Drawn, Sampled, Sampling, sample
from minimix.mixture.lengths import token_counter
from minimix.mixture.readme import describe, write_readme, write_tasks
from minimix.mixture.statistics import table
from minimix.mixture.tasks import Example
from minimix.progress import Progress, silent

HEAD = ("kind", "rows", "read", "looked at", "taken", "wanted")
ROWS = {"train": "training", "test": "test"}


def sample_folder(
    layout: Layout, output: Path, settings: Sampling, *, model: str, progress: Progress = silent
) -> str:
    """Write a sample of MIXTURE to `output` and return what is in it, as text.

    Tokens are counted as `model` (bundled, a GGUF file or hub id) has them.
    """
    count_tokens = token_counter(model)
    sampled = sample(layout, settings, count_tokens, progress=progress)
    train, held_out = _examples(sampled.train), _examples(sampled.held_out)
    body = describe(train, held_out, notes=[drawing(sampled)], count_tokens=count_tokens)
    facts = {
        "by": "minimix mixture sample",
        "source": layout.source,
        "revision": layout.revision or "a folder",
        "stage": layout.stage,
        "seed": settings.seed,
        "most tokens": f"{settings.max_tokens:,}, as {model} counts them",
        "reasoning": "asked for where a row has some" if settings.think else "left out",
    }
    write_tasks(output, train, held_out)
    write_readme(output, facts, body)
    return f"{body}\n\nwritten {output}"


def drawing(sampled: Sampled) -> str:
    """Return how many rows were read, looked at and taken of each kind, and why others were not."""
    groups = {"to train on": sampled.train, "to hold out": sampled.held_out}
    rows = [
        (
            f"{one.kind}, {name}",
            ROWS[one.part],
            *(f"{n:,}" for n in (one.read, one.looked, len(one.examples), one.wanted)),
        )
        for name, drawn in groups.items()
        for one in drawn
    ]
    return "\n\n".join(["Rows drawn", table(HEAD, rows), *_reasons(sampled)])


def _reasons(sampled: Sampled) -> list[str]:
    left_out = Counter[tuple[str, str]]()
    for one in (*sampled.train, *sampled.held_out):
        left_out.update({(one.kind, why): count for why, count in one.left_out.items()})
    rows = [(kind, why, f"{count:,}") for (kind, why), count in sorted(left_out.items())]
    lines = [table(("left out", "why", "rows"), rows)] if rows else ["None was left out."]
    nameless = f"{sampled.nameless:,} training rows say no kind, and none could be told."
    return [*lines, nameless] if sampled.nameless else lines


def _examples(drawn: Sequence[Drawn]) -> list[Example]:
    return [example for one in drawn for example in one.examples]
