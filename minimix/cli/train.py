"""`minimix train sft` and `minimix train grpo`."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from minimix.cli import load_config
from minimix.train.settings import NAMES, GrpoConfig, SftConfig, TrainConfig, with_settings

F = TypeVar("F", bound=Callable[..., Any])
TYPES = {int: int, float: float, str: str}


def _option(one: "dataclasses.Field[Any]") -> Callable[[F], F]:
    """Return the option of a setting; without it the preset's value holds."""
    about, name = one.metadata["help"], one.name.replace("_", "-")
    usual = f"  [default: {one.default}, or the preset's]"
    if isinstance(one.default, bool):
        return click.option(f"--{name}/--no-{name}", default=None, help=about + usual)
    choices = one.metadata.get("choices")
    kind: Any = click.Choice(choices) if choices else TYPES[type(one.default)]
    return click.option(f"--{name}", type=kind, help=about + usual)


def settings_of(kind: type[TrainConfig]) -> Callable[[F], F]:
    """Return a decorator that adds an option for each setting, the preset and the YAML file."""

    def add(function: F) -> F:
        for one in reversed(dataclasses.fields(kind)):
            function = _option(one)(function)
        return shared(function)

    return add


restart_option = click.option(
    "--restart", is_flag=True, help="Remove earlier checkpoints in the folder."
)


def shared(function: F) -> F:
    """Add what every training takes beside its settings."""
    output = click.Path(path_type=Path, file_okay=False)
    yaml = click.Path(path_type=Path, exists=True, dir_okay=False)
    for option in (
        click.option("--quiet", "-q", is_flag=True, help="Only the result and warnings."),
        click.option(
            "--config",
            "-c",
            type=yaml,
            callback=load_config,
            is_eager=True,
            expose_value=False,
            help="Settings from a YAML file; flags win over it.",
        ),
        click.option(
            "--preset",
            type=click.Choice(NAMES),
            default="24gb",
            show_default=True,
            help="Settings for a GPU of so much memory, or for a CPU with the bundled base.",
        ),
        click.option("--output", "-o", type=output, required=True, help="Folder to write."),
    ):
        function = option(function)
    return function


def given_settings(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _say(*, quiet: bool) -> Callable[[str], None]:
    """Return what shows a line: a warning always and on stderr, others unless `quiet`."""
    from minimix.progress import unheard
    from minimix.train.watch import WARNING, is_first

    def say(line: str) -> None:
        is_warning = line.startswith(WARNING)
        if is_warning or not quiet:
            click.echo(line, err=is_warning)

    return say if is_first() else unheard


@click.group(short_help="Train the distiller on a folder of tasks: sft, then grpo.")
def command() -> None:
    """Train the distiller on a folder of tasks: sft, then grpo.

    \b
    minimix train sft tasks -o sft --preset cpu
    minimix train sft tasks -o sft --preset 24gb
    minimix train sft tasks -o sft --adapter bundled --preset cpu
    minimix train grpo tasks --adapter sft -o grpo --preset 24gb
    """


@command.command("sft", short_help="Teach the form of an answer, and merging.")
@click.argument("tasks", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--adapter",
    type=click.Path(path_type=Path, file_okay=False),
    help="Begin as this one, of the same base, rank and lora-alpha; bundled begins as the "
    "distiller that ships.  [default: a new one]",
)
@restart_option
@settings_of(SftConfig)
def sft_command(
    tasks: Path,
    output: Path,
    preset: str,
    quiet: bool,
    restart: bool,
    adapter: Path | None,
    **options: Any,
) -> None:
    """Train a LoRA on TASKS, a folder with train.jsonl, and held_out.jsonl if there is one.

    The folder written holds adapter/ (peft, safetensors), log.csv, loss.png and checkpoints. A run
    that is stopped goes on from its last checkpoint when the same command is started again; it
    may then be given more or fewer steps.
    """
    from minimix.train.sft import sft

    config = with_settings(SftConfig, preset, given_settings(options))
    done = sft(tasks, output, config, adapter=adapter, restart=restart, say=_say(quiet=quiet))
    click.echo(_text(done))


@command.command("grpo", short_help="Train an SFT adapter on, by reward.")
@click.argument("tasks", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--adapter",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="What minimix train sft wrote, any plain LoRA on all seven linear modules, or bundled "
    "for the distiller that ships.",
)
@restart_option
@settings_of(GrpoConfig)
def grpo_command(
    tasks: Path,
    adapter: Path,
    output: Path,
    preset: str,
    quiet: bool,
    restart: bool,
    **options: Any,
) -> None:
    """Train --adapter on by reward, on TASKS, a folder with train.jsonl.

    The model writes several candidates of each task; quality, alignment with the reference and
    form are graded as minimix distill and minimix evaluate grade them. Written and resumed as by
    minimix train sft; reward.png shows the parts of the reward.
    """
    from minimix.train.grpo import grpo

    config = with_settings(GrpoConfig, preset, given_settings(options))
    done = grpo(tasks, adapter, output, config, restart=restart, say=_say(quiet=quiet))
    click.echo(_text(done))


def _text(done: Any) -> str:
    parts = {"loss": done.loss, "held out": done.eval_loss, "reward": done.reward}
    known = [f"{name} {value:.3f}" for name, value in parts.items() if value is not None]
    last = f"; {', '.join(known)}" if known else ""
    return "\n".join(
        [
            f"trained   {done.steps:,} steps on {done.tasks:,} tasks{last}",
            f"adapter   {done.adapter}",
        ]
    )
