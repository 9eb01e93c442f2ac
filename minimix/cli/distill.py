"""`minimix distill`."""

import sys
from pathlib import Path
from typing import Any

import click

from minimix.cli import options
from minimix.cli.bar import show, show_json, tell, watch
from minimix.config import EXECUTORS


@click.command(short_help="Distil SOURCE: keep its best rows, fuse the rest.")
@click.argument("source")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="Output folder.  [default: <name>.distilled]",
)
@click.option(
    "--budget",
    default=options.RUN.budget,
    show_default=True,
    help="Rows of the final set: a number, or a share such as 10%.",
)
@click.option(
    "--mix",
    default=options.RUN.mix,
    type=click.FloatRange(0, 1),
    show_default=True,
    help="Share of fusions in the final set; originals fill what is missing.",
)
@click.option(
    "--candidates",
    default=options.RUN.candidates,
    type=click.IntRange(1),
    show_default=True,
    help="Drafts of each fusion; the best one counts.",
)
@click.option(
    "--tries",
    default=options.RUN.tries,
    type=click.IntRange(1),
    show_default=True,
    help="Clusters written at most per fusion wanted.",
)
@click.option(
    "--exhaustive",
    is_flag=True,
    default=options.RUN.exhaustive,
    help="Write every cluster, and choose among all fusions; the plan gets near that for a part.",
)
@click.option(
    "--cohort",
    default=options.RUN.cohort,
    type=click.IntRange(1),
    show_default=True,
    help="Clusters written together; what a crash costs at most.",
)
@click.option(
    "--check-against",
    multiple=True,
    metavar="QUESTIONS",
    help="Evaluation questions that must not be in the final set: a file, a folder or a hub id. "
    "May be given again.",
)
@click.option(
    "--drop-contaminated",
    is_flag=True,
    help="Remove rows that hold such a question, rather than only list them.",
)
@click.option(
    "--license",
    multiple=True,
    metavar="ID",
    help="Licence of the data for the card, such as cc-by-sa-4.0. May be given again.  [default: "
    "what rows say in 'license', else unknown]",
)
@click.option(
    "--language",
    multiple=True,
    metavar="CODE",
    help="Language of the data for the card, such as en. May be given again.",
)
@click.option(
    "--push-to-hub",
    metavar="REPO",
    help="Upload the result to the hub as a data set, owner/name; private where it is new.",
)
@options.shape
@options.rating
@options.reading
@options.grouping
@options.model
@options.writing
@options.common
@click.option(
    "--executor",
    type=click.Choice(EXECUTORS),
    default=options.RUN.executor,
    show_default=True,
    help="Where it runs: in this process, or on Ray (RAY_ADDRESS names a cluster).",
)
@options.as_json
@click.option("--dry-run", is_flag=True, help="Say what it would take, and write nothing.")
@click.option(
    "--restart", is_flag=True, help="Start afresh: what an earlier run had finished is done again."
)
def command(
    source: str,
    output: Path | None,
    push_to_hub: str | None,
    as_json: bool,
    quiet: bool,
    dry_run: bool,
    restart: bool,
    **given: Any,
) -> None:
    """Distil SOURCE: keep its best samples, fuse the rest, write a small set.

    SOURCE is a file (.jsonl, .json, .csv, .parquet, also .gz and .zst), a folder of them, - for
    stdin, or a data set on the hub (owner/name or owner/name:split). Row shapes are detected:
    Alpaca, ShareGPT, OpenAI messages, prompt/completion, question/answer, MIXTURE.

    The result is in <name>.distilled: train.jsonl, where each row came from, what was dropped and
    why, a report to look at, and a dataset card. A run that is stopped goes on from where it was
    when the same command is started again.

    \b
    minimix distill data.jsonl
    minimix distill data.jsonl --budget 500 --mix 0.3
    minimix distill data.jsonl --model Qwen2.5-1.5B-Instruct-Q4_K_M.gguf
    minimix distill data.jsonl --base-url http://localhost:8000/v1
    """
    from minimix import publish, run

    config = options.settings(given)
    progress = watch(quiet=quiet)
    if dry_run:
        click.echo(_estimate(run.estimate(source, config, progress=progress, say=tell)))
        return
    if push_to_hub:
        publish.check_repo(push_to_hub)
    folder = run.output_folder(source, output)
    result, pool = run.distill_file(
        source, config, output=folder, restart=restart, progress=progress, say=tell
    )
    if as_json:
        show_json(_figures(result, pool, folder))
    else:
        show(_summary(result, pool, folder))
    if push_to_hub:
        told = tell if as_json else show
        told(f"uploaded  {publish.push(folder, push_to_hub)}")
    sys.stdout.flush()


def _estimate(found: Any) -> str:
    prepared = found.prepared
    lines = [
        f"{len(prepared.samples):,} samples after copies: {len(prepared.high):,} high, "
        f"{len(prepared.samples) - len(prepared.high):,} low",
        f"{len(prepared.clusters):,} clusters of low samples, every pair at "
        f"{prepared.floor:.2f} or above",
        f"budget: {prepared.budget:,} rows, {prepared.wanted:,} of them fusions",
        f"at most {found.tasks:,} clusters written, {found.candidates:,} generations",
    ]
    if found.prompt_tokens is not None:
        lines.append(f"at most {found.prompt_tokens:,} prompt tokens")
        lines.append(
            f"at most {found.seconds / 60:,.1f} minutes of generation, by the pace of a few "
            "of them here"
        )
    return "\n".join([*lines, "nothing was written"])


def _figures(result: Any, pool: Any, folder: Path) -> dict[str, Any]:
    """Return what `_summary` says, by name."""
    return {
        "output": str(folder),
        "shapes": dict(pool.shapes),
        "counts": dict(result.counts),
        "notes": [*_reading_notes(pool), *result.notes],
        "seconds": {stage: round(spent, 1) for stage, spent in result.seconds.items()},
    }


def _summary(result: Any, pool: Any, folder: Path) -> str:
    counts = result.counts
    shapes = ", ".join(f"{name} ({number:,})" for name, number in pool.shapes.items())
    unread = f", {counts['dropped_read']:,} not read" if counts["dropped_read"] else ""
    lines = [
        f"read      {counts['records']:,} records, {counts['samples']:,} samples{unread}: {shapes}",
        f"kept      {counts['kept']:,} samples: {counts['originals']:,} originals, "
        f"{counts['best_sources']:,} best sources",
        f"fused     {counts['fused']:,} samples into {counts['fusions']:,} fusions, "
        f"{counts['high_fusions']:,} of them high",
        f"dropped   {counts['samples'] - counts['kept'] - counts['fused']:,} samples, "
        "each with its reason",
        f"clusters  {counts['clusters']:,}, of them {counts['tried']:,} written with "
        f"{counts['candidates']:,} candidates, {counts['accepted']:,} accepted",
        f"final     {counts['final']:,} rows of a budget of {counts['budget']:,}",
    ]
    lines += [f"note      {note}" for note in (*_reading_notes(pool), *result.notes)]
    if not counts["final"]:
        lines.append("note      nothing was good enough to keep: train.jsonl is empty")
    return "\n".join([*lines, f"report    {folder / 'report.html'}"])


def _reading_notes(pool: Any) -> list[str]:
    lines = []
    if pool.rating_field:
        lines.append(f"ratings come from '{pool.rating_field}'")
    elif pool.unscaled:
        lines.append(f"'{pool.unscaled}' was not used: say its scale with --rating-range LOW HIGH")
    if pool.sources:
        lines.append(f"clusters keep to one source: '{pool.source_field}'")
    return lines
