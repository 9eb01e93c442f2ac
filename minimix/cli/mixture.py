"""`minimix mixture sample` and `minimix mixture build`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from minimix.cli import options
from minimix.cli.bar import watch
from minimix.config import DistillConfig

HUB_NAME = "dokiik/MIXTURE"


@click.group(short_help="Tasks to train a distiller on: a sample of MIXTURE, or built here.")
def command() -> None:
    """Tasks with known good answers: what a distiller is trained on, and measured with.

    Both commands write a folder with train.jsonl, held_out.jsonl and README.md.

    \b
    minimix mixture sample --per-kind 2000 --output mixture
    minimix mixture build rated.jsonl --articles wiki.txt --output mixture
    minimix train sft mixture -o sft --preset cpu
    """


output = click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder to write.",
)


@command.command(short_help="Take a seeded sample of MIXTURE.")
@click.argument("source", default=HUB_NAME)
@output
@click.option(
    "--per-kind",
    multiple=True,
    metavar="N",
    help="Examples of each kind to train on; qa=500,mcq=100 for some kinds.  [default: 1000]",
)
@click.option(
    "--held-out", multiple=True, metavar="N", help="The same, to hold out.  [default: 100]"
)
@click.option(
    "--stage",
    type=click.Choice(["sft", "grpo"]),
    default="sft",
    show_default=True,
    help="Which of its two parts: data_sft or data_grpo.",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(1),
    default=options.ENGINE.context,
    show_default=True,
    help="Tokens of prompt and answer together; longer rows are left out.",
)
@click.option(
    "--model",
    default=options.ENGINE.model,
    show_default=True,
    help="Whose tokens: bundled, a GGUF file, or owner/repo[:file] on the hub.",
)
@click.option(
    "--think/--no-think",
    default=False,
    help="Whether rows with reasoning ask for it; distill never does.  [default: no-think]",
)
@click.option("--revision", default="", help="Branch, tag or commit on the hub.  [default: main]")
@options.common
def sample(
    source: str,
    output: Path,
    per_kind: tuple[str, ...],
    held_out: tuple[str, ...],
    quiet: bool,
    **given: Any,
) -> None:
    """Take a sample of MIXTURE, so many rows of each kind, the same for the same seed.

    SOURCE is its name on the hub, or a folder laid out like it. Rows whose target is not in its
    kind's form, too long, or nearly that of a held-out row, are left out and counted.

    \b
    minimix mixture sample --per-kind 2000 --output mixture
    minimix mixture sample MIXTURE/ --per-kind qa=500,mcq=200 --held-out 50 --output small
    minimix mixture sample --stage grpo --per-kind 1500 --output mixture-grpo
    """
    from minimix.mixture.hub.folder import sample_folder
    from minimix.mixture.hub.layout import locate
    from minimix.mixture.hub.sample import Sampling, counts

    settings = Sampling(
        train=counts(per_kind, default=1000),
        held_out=counts(held_out, default=100),
        max_tokens=given["max_tokens"],
        think=given["think"],
        seed=given["seed"],
    )
    layout = locate(source, stage=given["stage"], revision=given["revision"])
    progress = watch(quiet=quiet)
    click.echo(sample_folder(layout, output, settings, model=given["model"], progress=progress))


@command.command(short_help="Build tasks here, from rows and articles or by a model.")
@click.argument("sources", nargs=-1)
@click.option(
    "--articles",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Articles: .txt (one a line), records of title and text, or SQuAD's layout. "
    "May be given again.",
)
@output
@click.option(
    "--per-kind",
    multiple=True,
    metavar="N",
    help="Tasks of each kind at most; a model writes as many samples. qa=500,mcq=100 for some "
    "kinds.  [default: all; 100 where a model writes]",
)
@click.option(
    "--held-out",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.05,
    show_default=True,
    help="Share of the tasks to hold out, apart from the others in all they are made of.",
)
@click.option(
    "--per-row",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Clusters of variants made of each good row.",
)
@click.option(
    "--least-rating",
    type=click.FloatRange(0, 5),
    default=2.0,
    show_default=True,
    help="Rows rated lower take no part.",
)
@options.ratings
@click.option(
    "--max-new-tokens",
    default=options.ENGINE.max_new_tokens,
    show_default=True,
    help="Tokens of what a model writes.",
)
@options.model
@options.common
def build(
    sources: tuple[str, ...],
    articles: tuple[Path, ...],
    output: Path,
    per_kind: tuple[str, ...],
    quiet: bool,
    **given: Any,
) -> None:
    """Build tasks from good rows (SOURCES) and from articles, without a model or by one.

    Without a model, variants of good rows and of what people wrote in articles are made by rule.
    With --model or --base-url, the model writes good samples about the articles, rates them, and
    makes them worse; its answers are kept in the folder, so a run that was stopped goes on.

    \b
    minimix mixture build rated.jsonl --rating-range 0 5 --output mixture
    minimix mixture build --articles wiki.txt --articles squad.json --output mixture
    minimix mixture build --articles wiki.txt --per-kind 500 --output mixture \\
        --base-url http://localhost:8000/v1
    """
    from minimix.embed import load_embedder
    from minimix.mixture.rule.folder import build_folder
    from minimix.mixture.writer.folder import write_folder

    rules = {name: given.pop(name) for name in ("held_out", "per_row", "least_rating")}
    config, progress = options.settings(given), watch(quiet=quiet)
    by_model = bool(config.engine.base_url) or _is_given("model")
    if sources and by_model:
        raise click.UsageError("a model writes about --articles alone: leave out SOURCES")
    if not (sources or articles):
        raise click.UsageError("expected SOURCES, or --articles, to make tasks of")
    embed = load_embedder(progress=progress).embed
    if by_model:
        wanted = _written(config, per_kind, rules["held_out"])
        engine = config.engine
        text = write_folder(articles, output, wanted, engine=engine, embed=embed, progress=progress)
    else:
        plan = _offline(config, per_kind, **rules)
        text = build_folder(sources, articles, output, plan, embed=embed, progress=progress)
    click.echo(text)


def _offline(config: DistillConfig, per_kind: Sequence[str], **rules: Any) -> Any:
    """Return how tasks are built without a model."""
    from minimix.columns import Columns
    from minimix.mixture.hub.sample import counts
    from minimix.mixture.rule.folder import BuildConfig

    low, high = config.rating_range or (None, None)
    return BuildConfig(
        per_kind=counts(per_kind, default=0) if per_kind else {},
        columns=Columns(rating=config.rating_field, low=low, high=high),
        seed=config.seed,
        **rules,
    )


def _written(config: DistillConfig, per_kind: Sequence[str], held_out: float) -> Any:
    """Return how many samples a model is to write."""
    from minimix.mixture.hub.sample import counts
    from minimix.mixture.writer.folder import WriteConfig

    return WriteConfig(counts=counts(per_kind, default=100), held_out=held_out, seed=config.seed)


def _is_given(name: str) -> bool:
    """Return whether an option stands on the command line: a file of settings may be shared."""
    source = click.get_current_context().get_parameter_source(name)
    return source is ParameterSource.COMMANDLINE
