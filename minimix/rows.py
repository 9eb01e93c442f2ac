"""Rows that a Python caller has at hand, read like those of a file.

numpy, pandas and datasets are told by what their objects can do: whoever passes one has imported
it, and nobody else has to.
"""

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from minimix.errors import FormatError
from minimix.kinds import DEEPEST, Record, record

NAME = "samples"
"""What ledgers call the file that such rows would stand in."""
BATCH = 1_000
WANTED = "a path, a hub id, a list of dicts, a DataFrame or a Dataset"


@dataclass(frozen=True, slots=True)
class Rows:
    """A source in memory: `read` yields its rows anew, under `name` they stand in the ledgers."""

    read: Callable[[], Iterable[Any]]
    name: str = NAME

    def __str__(self) -> str:
        return self.name

    def records(self) -> Iterator[Record]:
        """Yield the rows as records, numbered from 1."""
        for line, row in enumerate(self.read(), 1):
            yield record(self.name, line, row)


def rows_of(data: Any) -> Rows:
    """Return `data` as a source: a DataFrame, a Dataset (streamed or not), or rows one by one.

    Values of numpy and torch become plain ones; NaN, and an empty cell, is what null is in JSON.
    Raises FormatError for anything else, and for the splits of a Dataset not chosen from.
    """
    if _is_a(data, "pandas", "DataFrame"):
        _check_columns([str(name) for name in data.columns])
        return Rows(lambda: _of_frame(data))
    if _is_a(data, "datasets", "Dataset") or _is_a(data, "datasets", "IterableDataset"):
        return Rows(lambda: _of_dataset(data))
    if isinstance(data, Mapping) or not isinstance(data, Iterable):
        raise FormatError(f"{NAME}: expected {WANTED}, found {_found(data)}")
    return Rows(lambda: map(_plain, data))


def _is_a(data: Any, module: str, name: str) -> bool:
    """Whether `data` is of a class of a package that may not even be installed."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(data, getattr(loaded, name))


def _found(data: Any) -> str:
    name = type(data).__name__
    if _is_a(data, "datasets", "DatasetDict") or _is_a(data, "datasets", "IterableDatasetDict"):
        return f"{name}; choose one of its splits: {', '.join(map(str, data))}"
    return name


def _check_columns(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise FormatError(f"{NAME}: two columns are named {name[:80]!a}")


def _of_frame(frame: Any) -> Iterator[Any]:
    names = [str(name) for name in frame.columns]
    for start in range(0, len(frame), BATCH):
        part = frame.iloc[start : start + BATCH].astype(object)
        part = part.where(part.notna(), None)
        for cells in part.itertuples(index=False, name=None):
            yield dict(zip(names, map(_plain, cells), strict=True))


def _of_dataset(dataset: Any) -> Iterator[Any]:
    """Yield rows as its columns hold them: nothing is decoded, whatever format it was set to."""
    for table in dataset.with_format("arrow").iter(batch_size=BATCH):
        yield from table.to_pylist()


def _plain(value: Any, left: int = DEEPEST + 1) -> Any:
    """Return a value as JSON would give it back; what JSON has no word for stays as it is.

    So does what lies deeper than a row may be: a list may hold itself.
    """
    if isinstance(value, float) and math.isnan(value):
        return None
    if not left:
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(item, left - 1) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, left - 1) for item in value]
    return _plain(value.tolist(), left - 1) if hasattr(value, "tolist") else value
