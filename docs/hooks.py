"""What mkdocs takes from the code while it builds: tables of settings, and the one address.

A page holds `<!-- settings: NAME -->` where a table is to stand (docs/settings.md), and links to
files of the project outside docs/ as a reader of the folder would write them: `../NOTICE`.
"""

import html
import inspect
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import click

from minimix.cli import cli
from minimix.config import DistillConfig, EngineConfig
from minimix.train.settings import PRESETS, GrpoConfig, SftConfig, TrainConfig

PROJECT = Path(__file__).parent.parent
MARK = re.compile(r"<!-- settings: (\w+) -->")
OUTSIDE = re.compile(r"\]\(\.\./([^)#]+)\)")


def repository() -> str:
    """Return the address of the project, from pyproject.toml alone."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    return str(project["urls"]["Repository"])


def on_startup(**_: Any) -> None:
    """Name each command as the command line does, and make Markdown of its help."""
    for name, command in [("minimix", cli), *every(cli, click.Context(cli))]:
        command.name = name
        paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
        command.help = "\n\n".join(map(paragraph, paragraphs))


def paragraph(text: str) -> str:
    """Return a paragraph of help: what click leaves as it stands as code, `<name>` not as HTML."""
    if not text.startswith("\b\n"):
        return html.escape(text, quote=False)
    return f"```text\n{text[2:]}\n```"


def every(group: click.Group, ctx: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Yield each command below a group, by the name it is called by."""
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if command:
            yield name, command
        if isinstance(command, click.Group):
            yield from every(command, ctx)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page with its tables filled in and links out of docs/ made absolute."""
    filled = MARK.sub(lambda match: TABLES[match[1]](), markdown)
    return OUTSIDE.sub(rf"]({repository()}/blob/main/\1)", filled)


def distill_table(kind: type) -> str:
    """Return the settings of a distillation, told as the options of `minimix distill` tell them."""
    command = cli.get_command(click.Context(cli), "distill")
    params = command.params if command else []
    helps = {one.name: one for one in params if isinstance(one, click.Option)}
    rows: list[tuple[str, ...]] = []
    for one in fields(kind):
        option = helps.get(one.name)
        if option:
            about = (option.help or "").partition("  [default:")
            usual = about[2].strip(" ]") or shown(one.default)
            rows.append((one.name, usual, values(option), about[0]))
    return table(("setting", "default", "values", "what it is"), rows)


def train_table(kind: type[TrainConfig]) -> str:
    """Return the settings of a training with each preset's value."""
    presets = PRESETS[kind]
    rows = []
    for one in fields(kind):
        own = [shown(preset.get(one.name, one.default)) for preset in presets.values()]
        rows.append((one.name, *own, allowed(one), one.metadata["help"]))
    return table(("setting", *presets, "values", "what it is"), rows)


def shown(value: Any) -> str:
    """Return a default as YAML has it; nothing and empty are a dash."""
    if value in (None, "", ()):
        return "-"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def values(option: click.Option) -> str:
    """Return what an option takes."""
    kind = option.type
    if isinstance(kind, click.Choice) and not option.metavar:
        return ", ".join(f"`{one}`" for one in kind.choices)
    if isinstance(kind, click.IntRange | click.FloatRange):
        return f"{kind.min} or more" if kind.max is None else f"{kind.min} to {kind.max}"
    usual = kind.name if kind.name in ("integer", "float", "boolean") else "text"
    return f"`{option.metavar}`" if option.metavar else usual


def allowed(one: "Field[Any]") -> str:
    """Return what a setting of a training takes."""
    if choices := one.metadata.get("choices"):
        return ", ".join(f"`{name}`" for name in choices)
    low = one.metadata["low"]
    return type(one.default).__name__ if low is None else f"{low:g} to {one.metadata['high']:g}"


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows as a Markdown table; the first column is code."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, *cells in rows:
        lines.append(
            f"| `{name}` | " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        )
    return "\n".join(lines)


TABLES: Mapping[str, Callable[[], str]] = {
    "distill": lambda: distill_table(DistillConfig),
    "engine": lambda: distill_table(EngineConfig),
    "sft": lambda: train_table(SftConfig),
    "grpo": lambda: train_table(GrpoConfig),
}
