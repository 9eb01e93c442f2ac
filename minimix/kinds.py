"""The kinds of input file, each a function from bytes to records."""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from minimix.disk import record_sha256
from minimix.errors import FormatError, brief
from minimix.extras import need
from minimix.records import Place

CSV_FIELD_LIMIT = 2**27
SPACE = b" \t\r\n"
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Record:
    """One record of an input file: its `row`, or the `problem` that kept it from being read."""

    place: Place
    row: Mapping[str, Any] | None
    problem: str = ""


def read_json(name: str, file: IO[bytes]) -> Iterator[Record]:
    """Read an array, {"data": [...]}, or JSON lines that are only named .json."""
    data = file.read()
    if not data.strip(SPACE):
        raise FormatError(f"{name}: the file is empty")
    try:
        whole = json.loads(_text(name, data))
    except (ValueError, RecursionError) as error:
        if data.lstrip(BOM + SPACE)[:1] == b"{" and b"\n" in data.strip(SPACE):
            yield from read_jsonl(name, io.BytesIO(data))
            return
        raise FormatError(f"{name}: not JSON ({error or 'nested too deep'})") from error
    rows = whole.get("data", whole) if isinstance(whole, dict) else whole
    rows = [rows] if isinstance(rows, dict) else rows
    if not isinstance(rows, list):
        raise FormatError(f"{name}: expected an array or {{'data': [...]}}, found {_type(rows)}")
    for line, row in enumerate(rows, 1):
        yield record(name, line, row)


def read_jsonl(name: str, file: IO[bytes]) -> Iterator[Record]:
    """Yield the objects of JSON lines; blank lines are no records. An array is read as one."""
    line = 0
    for raw in file:
        data = raw.strip(SPACE)
        if not line:
            data = data.removeprefix(BOM)
            if data[:1] == b"[":
                yield from read_json(name, io.BytesIO(raw + file.read()))
                return
        if not data:
            continue
        line += 1
        try:
            row = json.loads(data.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            problem = f"not JSON ({error or 'nested too deep'})"
            yield _unread(name, line, data, problem)
        else:
            yield record(name, line, row)
    if not line:
        raise FormatError(f"{name}: the file is empty")


def read_csv(name: str, file: IO[bytes]) -> Iterator[Record]:
    """Yield the rows of a CSV file with a header line; all cells are text."""
    csv.field_size_limit(CSV_FIELD_LIMIT)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    reader = csv.reader(text, strict=True)
    line = 0
    try:
        header = next(reader, [])
        for line, cells in enumerate(filter(None, reader), 1):
            if len(cells) == len(header):
                yield record(name, line, dict(zip(header, cells, strict=True)))
            else:
                problem = f"expected {len(header)} cells, found {len(cells)}"
                yield _unread(name, line, ",".join(cells).encode("utf-8"), problem)
    except (UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{name}:{line + 1}: not CSV in UTF-8 ({error})") from error


def read_parquet(name: str, file: IO[bytes]) -> Iterator[Record]:
    """Yield the rows of a parquet file, batch by batch."""
    arrow = need("pyarrow")
    parquet = need("pyarrow.parquet")
    if not file.seekable():
        file = io.BytesIO(file.read())
    try:
        table = parquet.ParquetFile(file)
        line = 0
        for batch in table.iter_batches(1024):
            for row in batch.to_pylist():
                line += 1
                yield record(name, line, row)
    except arrow.ArrowException as error:
        raise FormatError(f"{name}: not parquet, or damaged ({brief(error)})") from error


def record(name: str, line: int, row: Any) -> Record:
    """Return a record read as `row`, with its hash; unreadable where it is no object or no text."""
    try:
        place = Place(name, line, 0, record_sha256(row))
    except (UnicodeEncodeError, RecursionError):
        data = json.dumps(row, sort_keys=True, default=str).encode("ascii")
        return _unread(name, line, data, "not Unicode text (a lone surrogate)")
    if not isinstance(row, dict):
        return Record(place, None, f"expected an object, found {_type(row)}")
    return Record(place, row)


def _unread(name: str, line: int, data: bytes, problem: str) -> Record:
    return Record(Place(name, line, 0, hashlib.sha256(data).hexdigest()), None, problem)


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{name}: expected UTF-8 text ({error})") from error


def _type(value: Any) -> str:
    return "null" if value is None else type(value).__name__


KINDS: dict[str, Callable[[str, IO[bytes]], Iterator[Record]]] = {
    ".jsonl": read_jsonl,
    ".json": read_json,
    ".csv": read_csv,
    ".parquet": read_parquet,
}
