"""What a GGUF file says of itself, read before llama.cpp sees it.

llama.cpp maps a file and trusts much of it; one that was cut short, damaged or meant for something
else is refused here, in one line. Nothing behind the header is read.
"""

import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from struct import Struct

from minimix.errors import ModelError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
ALIGNMENT = 32
"""Bytes that data are aligned to where `general.alignment` says nothing else."""
MOST_VALUES, MOST_TENSORS, MOST_TEXTS = 65_536, 100_000, 4_000_000
"""Far above any model (the largest vocabularies with merges have 0.8 million texts): a bound on
what a damaged count costs."""
LEAST_VALUE, LEAST_TENSOR, LEAST_TEXT = 13, 24, 8
"""Bytes that the smallest of each takes: a count that the file cannot hold is wrong."""
MOST_DIMS = 4
LONGEST_NAME = 65_535
LONGEST_TEXT = 65_536
"""Bytes of a value that is kept; a longer one, such as a chat template, is passed over."""
U32, U64 = Struct("<I"), Struct("<Q")
LAYOUTS = {
    0: Struct("<B"), 1: Struct("<b"), 2: Struct("<H"), 3: Struct("<h"), 4: Struct("<I"),
    5: Struct("<i"), 6: Struct("<f"), 7: Struct("<?"), 10: Struct("<Q"), 11: Struct("<q"),
    12: Struct("<d"),
}  # fmt: skip
"""How a number of each type is laid out."""
TEXT, ARRAY = 8, 9
BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 36), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8),
    28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36),
}  # fmt: skip
"""Values and bytes of one block by ggml's tensor type. One that is not here may be newer than this
table: of its tensors the start alone is checked, and llama.cpp decides."""

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: `dims` in values, `offset` in bytes from the start of the data."""

    name: str
    dims: tuple[int, ...]
    type: int
    offset: int


@dataclass(frozen=True, slots=True)
class Header:
    """A file's version, its values but for arrays and long texts, and where its tensors lie.

    `texts` are the arrays of text, by name: the byte at which one begins, and how many it has.
    """

    version: int
    values: Mapping[str, Value]
    tensors: tuple[Tensor, ...]
    start: int
    texts: Mapping[str, tuple[int, int]]


def read_header(path: Path) -> Header:
    """Return the header of the GGUF file at `path`, all of whose tensors lie within it.

    Raises ModelError where it cannot be read, is no GGUF that llama.cpp reads, or is cut short.
    """
    try:
        with path.open("rb") as file:
            head = file.read(24)
            _check_start(path, head)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(path, data).header()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from error


def texts_of(path: Path, place: tuple[int, int] | None) -> list[bytes]:
    """Return an array of text that the header has at `place`; none for None."""
    found: list[bytes] = []
    at, count = place or (0, 0)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        length = U64.unpack_from
        for _ in range(count):
            start = at + LEAST_TEXT
            at = start + length(data, at)[0]
            found.append(data[start:at])
    return found


def _check_start(path: Path, head: bytes) -> None:
    if head[:4] != MAGIC:
        raise ModelError(f"{path}: expected a GGUF file, found one that begins {head[:4]!r}")
    version = int.from_bytes(head[4:8], "little")
    if len(head) == 24 and version not in VERSIONS:
        big = int.from_bytes(head[4:8], "big") in (1, *VERSIONS)
        found = "one for big-endian machines" if big else f"version {version}"
        raise ModelError(f"{path}: expected GGUF version 2 or 3, found {found}; convert it anew")
    if len(head) < 24:
        raise ModelError(
            f"{path}: expected a GGUF header, found {len(head)} bytes; copy or download it again"
        )


class _Reader:
    """Goes through the header of one mapped file; `at` is the byte it has come to."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data, self.end = path, data, len(data)
        self.at, self.texts = 4, 0
        self.found: dict[str, tuple[int, int]] = {}

    def header(self) -> Header:
        version = self._whole(U32)
        tensors = self._count("tensors", LEAST_TENSOR, MOST_TENSORS)
        values = self._values(self._count("values", LEAST_VALUE, MOST_VALUES))
        found = tuple(self._tensor() for _ in range(tensors))
        alignment = values.get("general.alignment", ALIGNMENT)
        if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1):
            raise self._wrong("a power of two as general.alignment", repr(alignment)[:40])
        start = -(-self.at // alignment) * alignment
        for tensor in found:
            self._check_data(tensor, start, alignment)
        return Header(version, values, found, start, self.found)

    def _values(self, count: int) -> dict[str, Value]:
        kept: dict[str, Value] = {}
        for _ in range(count):
            name, kind = self._name(), self._whole(U32)
            if kind == ARRAY:
                self._pass_array(name)
            elif kind == TEXT:
                text = self._text()
                if text is not None:
                    kept[name] = text
            else:
                kept[name] = self._number(self._layout(kind))
        return kept

    def _pass_array(self, name: str) -> None:
        kind = self._whole(U32)
        if kind != TEXT:
            size = self._layout(kind).size
            self._pass(self._count("array items", size, self.end) * size)
            return
        count = self._count("texts", LEAST_TEXT, MOST_TEXTS - self.texts)
        self.texts += count
        self.found[name] = (self.at, count)
        at, last, data, length = self.at, self.end - LEAST_TEXT, self.data, U64.unpack_from
        for _ in range(count):  # a vocabulary: the one place where speed counts
            if at > last:
                raise self._cut()
            at += LEAST_TEXT + length(data, at)[0]
        self._pass(at - self.at)

    def _tensor(self) -> Tensor:
        name, count = self._name(), self._whole(U32)
        if count > MOST_DIMS:
            raise self._wrong(f"at most {MOST_DIMS} dimensions of a tensor", f"{count:,}")
        dims = tuple(self._whole(U64) for _ in range(count))
        if not all(dims):  # llama.cpp divides by them
            raise self._wrong("tensors with values", f"{name[:40]!a} without")
        return Tensor(name, dims, self._whole(U32), self._whole(U64))

    def _check_data(self, tensor: Tensor, start: int, alignment: int) -> None:
        """Raise ModelError unless the tensor's data lie within the file."""
        if tensor.offset % alignment:
            raise self._wrong(f"offsets in steps of {alignment}", f"{tensor.offset:,}")
        values, size = BLOCKS.get(tensor.type, (1, 0))
        row = tensor.dims[0] if tensor.dims else 1
        if row % values:
            raise self._wrong(f"tensor rows in steps of {values} values", f"{row:,}")
        needed = start + tensor.offset + prod(tensor.dims) // values * size
        if needed > self.end:
            remedy = "it was cut short: copy or download it again"
            raise self._wrong(f"{needed:,} bytes at least", f"{self.end:,}; {remedy}")

    def _name(self) -> str:
        length = self._whole(U64)
        if length > LONGEST_NAME:
            raise self._wrong(f"a name of {LONGEST_NAME:,} bytes at most", f"{length:,}")
        return self._bytes(length).decode("utf-8", "replace")

    def _text(self) -> str | None:
        length = self._whole(U64)
        if length <= LONGEST_TEXT:
            return self._bytes(length).decode("utf-8", "replace")
        self._pass(length)
        return None

    def _layout(self, kind: int) -> Struct:
        """Return how a number of this type is laid out; an array of arrays is read by nobody."""
        layout = LAYOUTS.get(kind)
        if layout is None:
            raise self._wrong("a type of value that GGUF knows", f"type {kind}")
        return layout

    def _count(self, what: str, least: int, most: int) -> int:
        """Return a count, checked against what a file and this one can hold."""
        count = self._whole(U64)
        if count > most:
            raise self._wrong(f"at most {most:,} {what}", f"{count:,}")
        if count * least > self.end - self.at:
            raise self._cut()
        return count

    def _whole(self, layout: Struct) -> int:
        return int(self._number(layout))

    def _number(self, layout: Struct) -> int | float | bool:
        start = self.at
        self._pass(layout.size)
        value: int | float | bool = layout.unpack_from(self.data, start)[0]
        return value

    def _bytes(self, length: int) -> bytes:
        start = self.at
        self._pass(length)
        return self.data[start : self.at]

    def _pass(self, length: int) -> None:
        self.at += length
        if self.at > self.end:
            raise self._cut()

    def _cut(self) -> ModelError:
        return self._wrong("a whole GGUF header", "its end in it; copy or download it again")

    def _wrong(self, expected: str, found: str) -> ModelError:
        return ModelError(f"{self.path}: expected {expected}, found {found}")
