"""The command line: parse options, call one function, show its result. Only this package prints.

Commands are imported when they are asked for, so that `minimix --help` answers at once.
"""

import importlib
import logging
from pathlib import Path
from typing import Any

import click

from minimix import __version__
from minimix.cli.faults import check_streams, check_words, in_one_line
from minimix.errors import ConfigError

COMMANDS = (
    "distill",
    "inspect",
    "rate",
    "trace",
    "report",
    "train",
    "export",
    "evaluate",
    "compare",
    "mixture",
    "doctor",
)


class Group(click.Group):
    """A group whose commands live in modules of their names, and whose errors are one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the commands in the order in which a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a command, imported now; None for one that there is not."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"minimix.cli.{cmd_name}").command
        return command

    def make_context(
        self, info_name: str | None, args: list[str], *more: Any, **settings: Any
    ) -> click.Context:
        """Read the options; what cannot be shown, such as --help, becomes one line."""
        check_words(args)
        with in_one_line():
            return super().make_context(info_name, args, *more, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what can go wrong outside becomes one line and exit status 1."""
        check_streams()
        # Where it is installed, it warns of a kernel that nothing here uses, at every start.
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
        with in_one_line():
            return super().invoke(ctx)


def load_config(ctx: click.Context, _param: click.Parameter, path: Path | None) -> dict[str, Any]:
    """Make the settings in a YAML file the defaults of the command, and return them: flags win.

    One file may serve several commands: what is a setting of distill alone is passed over by the
    others. Raises ConfigError for a name that is neither.
    """
    if not path:
        return {}
    from minimix.config import DistillConfig, read_yaml

    options = {param.name: param for param in ctx.command.params if param.name}
    settings = read_yaml(path)
    elsewhere = DistillConfig().flat().keys() - options.keys()
    settings = {name: value for name, value in settings.items() if name not in elsewhere}
    unknown = sorted(settings.keys() - options.keys())
    if unknown:
        raise ConfigError(f"{path}: {unknown[0]}: no such setting; see --help")
    for name, value in settings.items():
        if getattr(options[name], "multiple", False) and not isinstance(value, list):
            settings[name] = [value]  # click would take a text alone for a list of letters
    ctx.default_map = {**(ctx.default_map or {}), **settings}
    return settings


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="minimix")
def cli() -> None:
    """Turn noisy instruction data into a small set that trains a better model.

    \b
    minimix distill data.jsonl     distil a file; see data.distilled/report.html
    minimix inspect data.jsonl     what is in it: format, copies, ratings, clusters
    minimix rate data.jsonl        rate every sample; --fit learns from ratings of yours
    minimix trace ID               where a row of the result came from
    minimix report data.distilled  make its report again, or open it
    minimix mixture sample         tasks to train on: a sample of MIXTURE; build makes them here
    minimix train sft tasks        train the distiller on tasks with references
    minimix export sft             turn what was trained into GGUF files, each checked
    minimix evaluate TASKS         how good a distiller is, on held-out tasks
    minimix compare data.jsonl     whether the distilled set trains a better model than others
    minimix doctor                 what is installed, and what will be used
    """
