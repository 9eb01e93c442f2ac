"""What is shown: a bar on stderr, with an ETA, where somebody watches; results on stdout."""

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any, TypeVar

import click

from minimix.progress import Progress, silent

T = TypeVar("T")
LABEL = re.compile(r"^(\w[\w ]*?)(  +)", re.MULTILINE)
"""The first words of a line, before the gap that sets them apart."""


def bar(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Return the items and show how far they are, from the first moment on."""
    from tqdm import tqdm

    if total is None and isinstance(items, Sized):
        total = len(items)
    return iter(tqdm(items, desc=label, total=total, leave=False, file=sys.stderr))


def tell(line: str) -> None:
    """Show a line on stderr: results alone go to stdout."""
    click.echo(line, err=True)


def watch(*, quiet: bool) -> Progress:
    """Return the bar for a terminal, silence for a pipe or where asked for."""
    return silent if quiet or not sys.stderr.isatty() else bar


def show(text: str) -> None:
    """Show a result; the label of a line is bold on a terminal, unless NO_COLOR is set."""
    bold = LABEL.sub(lambda found: click.style(found[1], bold=True) + found[2], text)
    click.echo(bold, color=False if os.environ.get("NO_COLOR") else None)


def show_json(found: Mapping[str, Any]) -> None:
    """Show a result as one JSON object on one line, for scripts."""
    click.echo(json.dumps(found))
