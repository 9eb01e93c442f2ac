"""`minimix evaluate`."""

from pathlib import Path
from typing import Any

import click

from minimix.cli import options
from minimix.cli.bar import watch


@click.command(short_help="How good a distiller is, on held-out TASKS.")
@click.argument("tasks", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("evaluation.json"),
    show_default=True,
    help="File to write; the same as Markdown beside it.",
)
@click.option(
    "--candidates",
    default=options.RUN.candidates,
    type=click.IntRange(1),
    show_default=True,
    help="Drafts of each task; the one that distill would take counts.",
)
@click.option(
    "--sampled",
    is_flag=True,
    help="Draw the first candidate like the others, rather than greedily.",
)
@click.option("--limit-per-kind", type=click.IntRange(1), help="Use only so many tasks of a kind.")
@options.model
@options.writing
@options.common
def command(
    tasks: Path,
    output: Path,
    limit_per_kind: int | None,
    sampled: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Put held-out TASKS to a distiller and score what it writes beside baselines without a model.

    TASKS is a folder with held_out.jsonl, or a file of tasks in that form. Each figure comes with
    its 95 % interval. Answers are remembered, so a run that is stopped goes on.

    \b
    minimix evaluate mixture/
    minimix evaluate mixture/ --adapter grpo.gguf --candidates 5 --limit-per-kind 40
    minimix evaluate mixture/ --candidates 1 --sampled --temperature 1 --top-p 1
    minimix evaluate mixture/ --model my-model --base-url http://localhost:8000/v1
    """
    from minimix.evaluate import evaluate_file

    evaluation = evaluate_file(
        tasks,
        options.settings(given),
        output=output,
        limit_per_kind=limit_per_kind,
        greedy_first=not sampled,
        progress=watch(quiet=quiet),
    )
    click.echo(_text(evaluation, output))


def _text(evaluation: Any, output: Path) -> str:
    """Return the engine's figures by kind, and what it gains on each baseline."""
    from minimix.evaluate.table import ALL, LABELS
    from minimix.records import KINDS

    system = next(iter(evaluation.found))
    columns = [group for group in (ALL, *KINDS) if group in evaluation.groups]
    figures = evaluation.found[system]
    width = max(map(len, LABELS.values())) + 1
    lines = [
        f"{evaluation.engine}, {system}" if system != evaluation.engine else system,
        _row(width, "tasks", [str(len(evaluation.groups[group])) for group in columns], columns),
    ]
    for name, label in LABELS.items():
        lines.append(_row(width, label, [f"{figures[one][name].value:.3f}" for one in columns]))
    for rival, by_group in evaluation.compared.items():
        gain = by_group[ALL]["rouge_l"]
        told = f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
        lines.append(f"ROUGE-L {told} against {rival}")
    speed = evaluation.written.speed()["tokens_per_second"]
    lines += [f"{speed:.0f} tokens a second, prompts read in that time too"] if speed else []
    return "\n".join([*lines, f"written {output} and {output.with_suffix('.md')}"])


def _row(width: int, label: str, cells: list[str], heads: list[str] | None = None) -> str:
    head = f"{'':{width}}" + "".join(f"{one:>8}" for one in heads) + "\n" if heads else ""
    return head + f"{label:{width}}" + "".join(f"{one:>8}" for one in cells)
