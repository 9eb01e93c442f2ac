"""The progress bar: on stderr, with an ETA, and silent where nobody watches."""

import sys
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

import click

from minimix.progress import Progress, silent

T = TypeVar("T")


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
