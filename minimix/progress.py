"""Progress is a function wrapped round an iterable; the library's own says nothing."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")
Say = Callable[[str], None]
"""Hears a line that is worth a reader's time while the work goes on."""


class Progress(Protocol):
    """Hand on `items` unchanged; `label` names the work, `total` says how many are to come."""

    def __call__(self, items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        """Return an iterator over the same items."""


def silent(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:  # noqa: ARG001
    """Return the items and show nothing."""
    return iter(items)


def unheard(line: str) -> None:
    """Take a line and show nothing."""
