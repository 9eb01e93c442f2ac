"""What `minimix mixture build` calls where no model writes: tasks out of rows and articles."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from minimix.mixture.folder import BuildConfig, build_folder
from minimix.mixture.lengths import token_counter
from minimix.mixture.readme import describe, write_readme
from minimix.mixture.statistics import table
from minimix.progress import Progress, silent
from minimix.records import Embed


def build_offline(
    rows: Sequence[str],
    articles: Sequence[Path],
    output: Path,
    config: BuildConfig,
    *,
    embed: Embed,
    progress: Progress = silent,
) -> str:
    """Build tasks without a model into `output`, and return what is in them, as text."""
    built = build_folder(rows, articles, output, config, embed=embed, progress=progress)
    notes = [
        f"left out so that nothing leaks: {built.left_out:,} tasks",
        *([reading(built.rows)] if built.rows else []),
    ]
    body = describe(built.train, built.held_out, notes=notes, count_tokens=token_counter())
    facts = {
        "by": "minimix mixture build, without a model",
        "rows": ", ".join(Path(row).name for row in rows) or "none",
        "articles": ", ".join(path.name for path in articles) or "none",
        "rows rated at least": config.least_rating,
        "clusters of each row": config.per_row,
        "seed": config.seed,
    }
    write_readme(output, facts, body)
    return f"{body}\n\nwritten {output}"


def reading(rows: Mapping[str, int]) -> str:
    """Return how many samples of the rows were read, and what became of them, as a table."""
    fates = [("read", sum(rows.values())), *((fate, count) for fate, count in rows.items())]
    return table(("samples of the rows", "number"), [(fate, f"{n:,}") for fate, n in fates if n])
