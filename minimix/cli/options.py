"""Options that several commands share; their defaults are those of the configuration."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from minimix.cli import load_config
from minimix.config import CACHE_TYPES, FLASH, DistillConfig, EngineConfig
from minimix.formats import SHAPES

F = TypeVar("F", bound=Callable[..., Any])
RUN = DistillConfig()
ENGINE = EngineConfig()


def _adding(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Return a decorator that adds `options`, in this order."""

    def add(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def _load(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Read a YAML file of settings; those of the configuration are checked as it checks them."""
    own = RUN.flat()
    settings = load_config(ctx, param, path)
    RUN.with_settings({name: value for name, value in settings.items() if name in own})


common = _adding(
    click.option("--seed", default=RUN.seed, show_default=True, help="Seed of all chance."),
    click.option("--quiet", "-q", is_flag=True, help="No progress bar."),
    click.option(
        "--config",
        "-c",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        callback=_load,
        is_eager=True,
        expose_value=False,
        help="Settings from a YAML file; flags win over it.",
    ),
)
"""Options of every command that computes."""
as_json = click.option(
    "--json", "as_json", is_flag=True, help="Show the result as one JSON object, for scripts."
)

ratings = _adding(
    click.option("--rating-field", help="Field that holds ratings; dots lead into objects."),
    click.option(
        "--rating-range",
        nargs=2,
        type=float,
        metavar="LOW HIGH",
        help="Scale of the ratings in the data, such as 1 10. Never guessed.",
    ),
)
"""Options that say which ratings in the data count."""

reading = _adding(
    click.option("--limit", type=click.IntRange(1), help="Read only so many records."),
    ratings,
    click.option(
        "--source-field",
        help="Field that names the data set a row came from; clusters keep to one. none: no such "
        "field.  [default: source or dataset, where its names are few]",
    ),
    click.option(
        "--max-bad",
        default=RUN.max_bad,
        show_default=True,
        help="Share of unreadable records from which the run ends.",
    ),
)
"""Options that say what is read of the data."""

rating = _adding(
    click.option(
        "--rater",
        default=RUN.rater,
        show_default=True,
        help="learnt, knn-bayes, or a file that 'minimix rate --fit' made.",
    ),
    click.option(
        "--length-neutral",
        is_flag=True,
        default=RUN.length_neutral,
        help="Rate as if all responses were of one length (learnt rater only).",
    ),
)
"""Options that say what rates."""

grouping = _adding(
    click.option(
        "--embedder",
        default=RUN.embedder,
        show_default=True,
        help="auto: by the number of samples; minilm, static, or a sentence-transformers model: "
        "a folder or a hub id.",
    ),
    click.option(
        "--near-copy",
        default=RUN.near_copy,
        show_default=True,
        help="Cosine from which two samples are copies.",
    ),
    click.option(
        "--min-similarity",
        type=float,
        help="Cosine floor within a cluster.  [default: set from the data]",
    ),
)
"""Options that say what is alike."""

model = _adding(
    click.option(
        "--model",
        default=ENGINE.model,
        show_default=True,
        help="bundled, a GGUF file, owner/repo[:file] on the hub, 'extract' for the "
        "baseline without a model, or the server's name for it with --base-url.",
    ),
    click.option("--adapter", default=ENGINE.adapter, help="LoRA in GGUF on top of it."),
    click.option(
        "--base-url",
        multiple=True,
        metavar="URL",
        help="OpenAI-compatible server, such as http://localhost:8000/v1; its key from "
        "$OPENAI_API_KEY. May be given again: servers of one model share the work.",
    ),
    click.option(
        "--threads", default=0, type=click.IntRange(0), help="0: all this machine allows."
    ),
    click.option(
        "--gpu-layers",
        default=ENGINE.gpu_layers,
        show_default=True,
        help="Layers on the GPU, where llama.cpp was built for one; -1: all.",
    ),
    click.option(
        "--parallel",
        default=0,
        type=click.IntRange(0),
        help="Sequences in flight, of each server where several; 0: by memory, 16 at most.",
    ),
    click.option(
        "--batch",
        default=ENGINE.batch,
        show_default=True,
        type=click.IntRange(32),
        help="Tokens of one decode.",
    ),
    click.option(
        "--flash-attention",
        default=ENGINE.flash_attention,
        show_default=True,
        type=click.Choice(FLASH),
        help="auto: as a trial says, made once for each model and machine.",
    ),
    click.option(
        "--cache-type",
        default=ENGINE.cache_type,
        show_default=True,
        type=click.Choice(CACHE_TYPES),
        help="Of the key-value cache; q8_0 takes half the memory, and flash attention.",
    ),
    click.option(
        "--exact/--fast",
        default=ENGINE.exact,
        show_default=True,
        help="Answer each chat with nothing beside it: the same text whatever else is asked.",
    ),
    click.option(
        "--context",
        default=ENGINE.context,
        show_default=True,
        help="Tokens of prompt and answer together.",
    ),
)
"""Options that say which model runs, and on what."""

writing = _adding(
    click.option(
        "--max-new-tokens",
        default=ENGINE.max_new_tokens,
        show_default=True,
        help="Tokens of an answer.",
    ),
    click.option(
        "--temperature",
        default=ENGINE.temperature,
        show_default=True,
        help="Of all candidates but the first, which is greedy.",
    ),
    click.option(
        "--top-p",
        default=ENGINE.top_p,
        show_default=True,
        help="Probability mass that candidates are drawn from.",
    ),
    click.option(
        "--min-p",
        default=ENGINE.min_p,
        show_default=True,
        help="Share of the likeliest token's probability that others need to be drawn; 0: none.",
    ),
    click.option(
        "--repetition-penalty",
        default=ENGINE.repetition_penalty,
        show_default=True,
        help="Against tokens that the answer already has, 1 to 2; the paper: 1.05.",
    ),
    click.option(
        "--grammar/--no-grammar",
        default=ENGINE.grammar,
        show_default=True,
        help="Hold each answer to the form that its prompt asks for (models that run here).",
    ),
)
"""Options that say how a model writes."""


def shape(function: F) -> F:
    """Add the option that says how rows are written."""
    names = click.Choice(list(SHAPES))
    text = f"Row shape to write: {', '.join(SHAPES)}.  [default: as read]"
    option = click.option("--format", type=names, metavar="SHAPE", help=text)
    return option(function)


def settings(given: dict[str, Any]) -> DistillConfig:
    """Return the configuration that a command's options make."""
    return RUN.with_settings(given)
