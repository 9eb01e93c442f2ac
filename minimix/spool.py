"""Samples and records on disk, so that memory holds numbers and not text.

They are written once, while a source is read, and then read by offset from a file without a name.
"""

import json
import marshal
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeVar, overload

import numpy as np

from minimix.disk import BLOCK_BYTES
from minimix.kinds import Record
from minimix.records import KINDS, Place, Sample
from minimix.unnamed import Unnamed

T = TypeVar("T")
SPARSE = 4
"""Records are read one by one where those between them would make this many times the bytes."""
ROWS = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str)


class Spool(Sequence[T]):
    """Items in a file, by row; only where each stands is in memory. Threads may read together.

    Made by a `Writer`; the file is gone with the last view of it.
    """

    def __init__(
        self, file: Unnamed, decode: Callable[[bytes], T], starts: np.ndarray, sizes: np.ndarray
    ) -> None:
        """Show the items that stand at the bytes `starts` (n,), each of `sizes` (n,) bytes."""
        self._file, self._decode = file, decode
        self._starts, self._sizes = starts, sizes

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, row: int) -> T: ...
    @overload
    def __getitem__(self, row: slice) -> "Spool[T]": ...
    def __getitem__(self, row: int | slice) -> "T | Spool[T]":
        """Return the item of a row, or the view of a slice."""
        rows = range(len(self))[row]
        if isinstance(rows, range):
            return self.take(rows)
        return self._decode(self._file.read(self._sizes[rows], self._starts[rows]))

    def __iter__(self) -> Iterator[T]:
        """Yield every item; those that are neighbours in the file are read in one go."""
        edges = np.flatnonzero(np.diff(np.cumsum(self._sizes) // BLOCK_BYTES)) + 1
        for first, end in zip([0, *edges.tolist()], [*edges.tolist(), len(self)], strict=True):
            yield from map(self._decode, self._read(slice(first, end)))

    def _read(self, rows: slice) -> Iterator[bytes]:
        starts, sizes = self._starts[rows], self._sizes[rows]
        if not len(starts):
            return
        first, end = int(starts.min()), int((starts + sizes).max())
        if end - first > SPARSE * int(sizes.sum()):
            yield from map(self._file.read, sizes.tolist(), starts.tolist())
            return
        data = self._file.read(end - first, first)
        for start, size in zip((starts - first).tolist(), sizes.tolist(), strict=True):
            yield data[start : start + size]

    def take(self, rows: Iterable[int]) -> "Spool[T]":
        """Return the view of some rows, in any order and any number of times; no text moves."""
        numbers = rows if isinstance(rows, np.ndarray) else np.fromiter(rows, dtype=np.intp)
        return Spool(self._file, self._decode, self._starts[numbers], self._sizes[numbers])


class Writer(Generic[T]):
    """Takes items one by one, and gives the spool of them."""

    def __init__(
        self,
        encode: Callable[[T], bytes],
        decode: Callable[[bytes], T],
        *,
        folder: Path | None = None,
    ) -> None:
        """Open a file without a name in `folder`, or where the system has its own of that sort.

        Raises OutputError, here and below, where the disk does not take what is written.
        """
        self._encode, self._decode = encode, decode
        self._file, self._waiting, self._sizes = Unnamed(folder), bytearray(), array("q")

    def add(self, item: T) -> T:
        """Write an item, and return it."""
        data = self._encode(item)
        self._sizes.append(len(data))
        self._waiting += data
        if len(self._waiting) >= BLOCK_BYTES:
            self._flush()
        return item

    def extend(self, items: Iterable[T]) -> None:
        """Write items."""
        for item in items:
            self.add(item)

    def spool(self) -> Spool[T]:
        """Return all that was written."""
        self._flush()
        sizes = np.array(self._sizes, dtype=np.int64)
        return Spool(self._file, self._decode, np.cumsum(sizes) - sizes, sizes)

    def _flush(self) -> None:
        self._file.write(self._waiting)
        self._waiting = bytearray()


class Texts(Sequence[str]):
    """The texts of samples, each made when it is asked for; a slice is a list of them."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        """Show the texts of `samples`, row for row."""
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        """Return the text of a row, or those of a slice."""
        if isinstance(row, slice):
            return [sample.text for sample in self._samples[row]]
        return self._samples[row].text

    def __iter__(self) -> Iterator[str]:
        """Yield every text."""
        return (sample.text for sample in self._samples)


def subset(samples: Sequence[T], rows: Sequence[int] | np.ndarray) -> Sequence[T]:
    """Return some rows of `samples`: a view of a spool, a list of anything else."""
    if isinstance(samples, Spool):
        return samples.take(rows)
    return [samples[row] for row in rows]


def sample_writer(
    folder: Path | None = None, *, called: Callable[[str], str] = str
) -> Writer[Sample]:
    """Return a writer of samples; the names of files and sources, which are few, stay in memory.

    `called` turns the source that a sample is written with into what it is read back with.
    The bytes are marshal's: every string comes back as it was, in a third of the time that JSON
    takes, and nobody but this process can write to a file without a name.
    """
    numbers: dict[str, int] = {}
    names: list[str] = []

    def number_of(name: str) -> int:
        number = numbers.setdefault(name, len(numbers))
        if number == len(names):
            names.append(name)
        return number

    def encode(sample: Sample) -> bytes:
        places = [(number_of(p.file), p.line, p.part, p.sha256) for p in sample.sources]
        texts = (sample.instruction, sample.response, sample.input, sample.system)
        kind, source = KINDS.index(sample.kind), number_of(sample.source)
        return marshal.dumps((*texts, kind, sample.rating, source, places))

    def decode(data: bytes) -> Sample:
        prompt, response, given, system, kind, rating, source, places = marshal.loads(data)  # noqa: S302
        where = tuple(Place(names[number], *rest) for number, *rest in places)
        name = called(names[source])
        return Sample(prompt, response, where, given, system, KINDS[kind], rating, name)

    return Writer(encode, decode, folder=folder)


def record_writer(folder: Path | None = None) -> Writer[Record]:
    """Return a writer of records; what JSON has no word for comes back as text."""

    def encode(record: Record) -> bytes:
        place = record.place
        head = (place.file, place.line, place.part, place.sha256, record.problem)
        return f"{ROWS.encode(head)}\n{ROWS.encode(record.row)}".encode("utf-8", "surrogatepass")

    def decode(data: bytes) -> Record:
        head, _, row = data.decode("utf-8", "surrogatepass").partition("\n")
        *place, problem = json.loads(head)
        return Record(Place(*place), json.loads(row), problem)

    return Writer(encode, decode, folder=folder)
