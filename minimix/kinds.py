"""The kinds of input file, each a function from bytes to records."""

import csv
import hashlib
import io
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import IO, Any

from minimix.array import elements
from minimix.disk import BLOCK_BYTES, parse_json, record_sha256
from minimix.errors import FormatError, brief
from minimix.extras import need
from minimix.lines import LONGEST, Overlong, lines
from minimix.records import Place

MOST_WHOLE = 2**29
"""Bytes of a JSON value that has to be read as a whole."""
DEEPEST = 100
"""Lists and objects within each other in a row: far above any data, far below what Python bears."""
SPACE = b" \t\r\n"
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Record:
    """One record of an input file: its `row`, or the `problem` that kept it from being read."""

    place: Place
    row: Mapping[str, Any] | None
    problem: str = ""


def read_json(name: str, file: IO[bytes]) -> Iterator[Record]:
    """Read an array, {"data": [...]}, or JSON lines that are only named .json.

    Elements and lines are read one by one; anything else is a single value, and in memory as a
    whole.
    """
    first = _line(file, BLOCK_BYTES)
    if _is_array(first):
        return _read_array(name, first, file)
    if not first.endswith(b"\n"):
        first += file.readline(LONGEST - len(first))
    second = _line(file, LONGEST)
    if _are_lines(first, second):
        return _read_lines(name, chain([first], lines(second, file)))
    return _read_whole(name, first + second + file.read(MOST_WHOLE))


def read_jsonl(name: str, file: IO[bytes]) -> Iterator[Record]:
    """Yield the objects of JSON lines; blank lines are no records. An array is read as one."""
    first = _line(file, BLOCK_BYTES)
    if not first:
        raise FormatError(f"{name}: the file is empty")
    if _is_array(first):
        return _read_array(name, first, file)
    return _read_lines(name, lines(first, file))


def _line(file: IO[bytes], most: int) -> bytes:
    """Return the next line that is not blank, or its first `most` bytes; b"" at the end."""
    while raw := file.readline(most):
        if raw.removeprefix(BOM).strip(SPACE):
            return raw
    return b""


def _is_array(raw: bytes) -> bool:
    return raw.removeprefix(BOM).lstrip(SPACE)[:1] == b"["


def _are_lines(first: bytes, second: bytes) -> bool:
    """Whether an object ends on its own line and more follows: no single JSON value does that."""
    try:
        return bool(second) and isinstance(parse_json(first.decode("utf-8-sig")), dict)
    except ValueError:
        return False


def _read_array(name: str, begun: bytes, file: IO[bytes]) -> Iterator[Record]:
    line = 0
    try:
        for line, row in enumerate(elements(begun, file), 1):
            yield record(name, line, row)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{name}:{line + 1}: {_not_json(error)}") from error


def _read_whole(name: str, data: bytes) -> Iterator[Record]:
    if not data:
        raise FormatError(f"{name}: the file is empty")
    if len(data) > MOST_WHOLE:
        remedy = "give an array, or JSON lines, which are read one by one"
        raise FormatError(f"{name}: a single JSON value of over {MOST_WHOLE:,} bytes; {remedy}")
    try:
        whole = parse_json(data.decode("utf-8-sig"))
    except ValueError as error:
        if data.lstrip(BOM + SPACE)[:1] == b"{" and b"\n" in data.strip(SPACE):
            yield from _read_lines(name, io.BytesIO(data))
            return
        raise FormatError(f"{name}: {_not_json(error)}") from error
    if not isinstance(whole, dict):
        raise FormatError(f"{name}: expected an array or {{'data': [...]}}, found {_type(whole)}")
    rows = whole["data"] if isinstance(whole.get("data"), list) else [whole]
    for line, row in enumerate(rows, 1):
        yield record(name, line, row)


def _read_lines(name: str, found: Iterable[bytes | Overlong]) -> Iterator[Record]:
    line = 0
    for raw in found:
        if isinstance(raw, Overlong):
            line += 1
            yield Record(Place(name, line, 0, raw.sha256), None, raw.problem)
            continue
        data = raw.strip(SPACE)
        if not line:
            data = data.removeprefix(BOM)
        if not data:
            continue
        line += 1
        try:
            row = parse_json(data.decode("utf-8"))
        except ValueError as error:
            yield _unread(name, line, data, _not_json(error))
        else:
            yield record(name, line, row, data)


def read_csv(name: str, file: IO[bytes]) -> Iterator[Record]:
    """Yield the rows of a CSV file with a header line; all cells are text, blank lines nothing."""
    csv.field_size_limit(LONGEST)
    line = 0
    try:
        with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
            rows = filter(_is_filled, _rows(text))
            header = next(rows, [])
            _check_header(name, header)
            for line, cells in enumerate(rows, 1):
                if len(cells) == len(header):
                    yield record(name, line, dict(zip(header, cells, strict=True)))
                else:
                    problem = f"expected {len(header)} cells, found {len(cells)}"
                    yield _unread(name, line, ",".join(cells).encode("utf-8"), problem)
    except (UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{name}:{line + 1}: not CSV in UTF-8 ({error})") from error


def _rows(text: IO[str]) -> Iterator[list[str]]:
    """Yield the rows of cells; raises csv.Error for one whose lines are longer than LONGEST."""
    taken = 0

    def lines_of_a_row() -> Iterator[str]:
        nonlocal taken
        while line := text.readline(LONGEST):
            taken += len(line)
            if taken >= LONGEST:
                raise csv.Error(f"a row longer than {LONGEST:,} characters")
            yield line

    for row in csv.reader(lines_of_a_row(), strict=True):
        taken = 0
        yield row


def read_parquet(name: str, file: IO[bytes]) -> Iterator[Record]:
    """Yield the rows of a parquet file, which can be read from anywhere, batch by batch."""
    arrow = need("pyarrow")
    parquet = need("pyarrow.parquet")
    try:
        # what arrow would fetch in advance is the whole file
        table = parquet.ParquetFile(file, pre_buffer=False, buffer_size=BLOCK_BYTES)
        _check_header(name, table.schema_arrow.names)
        line = 0
        for batch in table.iter_batches(1024):
            for row in batch.to_pylist():
                line += 1
                yield record(name, line, row)
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise FormatError(f"{name}: not parquet, or damaged ({brief(error)})") from error


def record(name: str, line: int, row: Any, data: bytes | None = None) -> Record:
    """Return a record read as `row`, with its hash; unreadable where it is no object or no text.

    `data` are its bytes, where there are such: they are hashed where `row` cannot be.
    """
    problem = "nested too deep" if _is_deep(row) else ""
    try:
        place = Place(name, line, 0, "" if problem else record_sha256(row))
    except UnicodeEncodeError:
        problem = "not Unicode text (a lone surrogate)"
    except (ValueError, TypeError) as error:  # of a caller's own rows: JSON brings no such values
        problem = f"not a row of JSON ({brief(error)})"
    if problem:
        return _unread(name, line, data or _outline(row), problem)
    if not isinstance(row, dict):
        return Record(place, None, f"expected an object, found {_type(row)}")
    return Record(place, row)


def _is_deep(value: Any, left: int = DEEPEST) -> bool:
    """Whether lists and objects stand within each other more than `left` times."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return False
    return not left or any(_is_deep(one, left - 1) for one in value)


def _outline(row: Any) -> bytes:
    """Return what a row looks like from afar, for one that has no bytes and no hash."""
    try:
        return ascii(reprlib.repr(row)).encode("ascii")
    except ValueError:  # a number too long to be written
        return type(row).__name__.encode("ascii", "replace")


def _unread(name: str, line: int, data: bytes, problem: str) -> Record:
    return Record(Place(name, line, 0, hashlib.sha256(data).hexdigest()), None, problem)


def _not_json(error: Exception) -> str:
    return f"not JSON ({'nested too deep' if isinstance(error, RecursionError) else error})"


def _is_filled(cells: list[str]) -> bool:
    return len(cells) > 1 or bool("".join(cells).strip())


def _check_header(name: str, header: list[str]) -> None:
    for column, following in pairwise(sorted(filter(None, header))):
        if column == following:
            raise FormatError(f"{name}: two columns are named {column[:80]!a}")


def _type(value: Any) -> str:
    return "null" if value is None else type(value).__name__


READERS: dict[str, Callable[[str, IO[bytes]], Iterator[Record]]] = {
    ".jsonl": read_jsonl,
    ".json": read_json,
    ".csv": read_csv,
    ".parquet": read_parquet,
}
