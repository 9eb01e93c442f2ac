"""Bytes on disk: every kind of input file as records, and writes that are whole or not there."""

import csv
import gzip
import hashlib
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from minimix.errors import FormatError, OutputError
from minimix.extras import need
from minimix.records import Place

COMPRESSIONS = (".gz", ".zst")
STDIN = "-"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")
CSV_FIELD_LIMIT = 2**27
SPACE = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Record:
    """One record of an input file: its `row`, or the `problem` that kept it from being read."""

    place: Place
    row: Mapping[str, Any] | None
    problem: str = ""


def record_sha256(row: Any) -> str:
    """Return the SHA-256 of `row` as canonical JSON.

    UTF-8, sorted keys, separators "," and ":", no ASCII escaping; dates and the like as text.
    Raises UnicodeEncodeError where the text has lone surrogates.
    """
    text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_records(source: str) -> Iterator[Record]:
    """Yield every record of `source`: a file, a folder, "-" for stdin, or a hub id.

    Raises FormatError where a file is missing, empty, or of no kind that minimix reads.
    """
    if source == STDIN:
        yield from _read_bytes(source, io.BytesIO(sys.stdin.buffer.read()))
        return
    path = Path(source)
    if path.is_dir():
        for file in data_files(path):
            yield from _read_file(file)
    elif path.exists():
        yield from _read_file(path)
    elif HUB_ID.fullmatch(source) and not _kind(path):
        yield from _read_hub(source)
    else:
        raise FormatError(f"{source}: no such file or folder")


def data_files(folder: Path) -> list[Path]:
    """Return the readable files under `folder` in the order of their names.

    Hidden files and the outputs of earlier runs are passed over. Raises FormatError for none.
    """
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(n for n in folders if not n.startswith(".") and not _is_output(n))
        paths = [Path(root, name) for name in names if not name.startswith(".")]
        found += [path for path in paths if _kind(path)]
    if not found:
        raise FormatError(f"{folder}: expected files named {_known()}, found none")
    return sorted(found)


def stem(source: str) -> str:
    """Return the name of `source` without folder, kind and compression; "stdin" for "-"."""
    if source == STDIN:
        return "stdin"
    path = Path(source)
    if path.is_dir():
        return path.resolve().name
    if path.suffix in COMPRESSIONS:
        path = path.with_suffix("")
    name = path.stem if path.suffix in KINDS else path.name
    return name.replace(":", "-")


@contextmanager
def atomic(path: Path) -> Iterator[IO[str]]:
    """Open `path` for text that appears under its name only when all of it is on disk.

    Raises OutputError where the disk is full, read-only, or the folder cannot be made.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> OutputError:
    """Return the one-line error for a write to `path` that failed."""
    return OutputError(
        f"{path}: cannot be written ({error.strerror or error}); "
        "mend that and start the same command again: finished work is kept"
    )


def write_jsonl(path: Path, rows: Iterator[Mapping[str, Any]]) -> None:
    """Write `rows`, one JSON object a line, whole or not at all."""
    with atomic(path) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _is_output(name: str) -> bool:
    return name.endswith(".distilled")


def _known() -> str:
    return ", ".join(KINDS) + " (each also .gz, .zst)"


def _kind(path: Path) -> str:
    """Return the file kind its name ends in, "" for none."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in KINDS else ""


def _read_file(path: Path) -> Iterator[Record]:
    kind = _kind(path)
    if not kind:
        raise FormatError(f"{path}: expected a file named {_known()}")
    if not path.stat().st_size:
        raise FormatError(f"{path}: the file is empty")
    try:
        with path.open("rb") as raw, _decompressed(raw, path.suffix.lower()) as file:
            yield from KINDS[kind](str(path), file)
    except (EOFError, gzip.BadGzipFile, _zst_error()) as error:
        raise FormatError(f"{path}: damaged or truncated ({error})") from error
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror or error})") from error


def _zst_error() -> type[Exception]:
    error: type[Exception] = need("zstandard").ZstdError
    return error


def _decompressed(raw: IO[bytes], suffix: str) -> IO[bytes]:
    if suffix == ".gz":
        return io.BufferedReader(gzip.GzipFile(fileobj=raw))
    if suffix == ".zst":
        reader = need("zstandard").ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        return io.BufferedReader(reader)
    return raw


def _read_bytes(name: str, file: IO[bytes]) -> Iterator[Record]:
    """Yield records of bytes that have no name, told by how they begin."""
    head = file.read(64)
    file.seek(0)
    if not head.strip(SPACE):
        raise FormatError(f"{name}: nothing came in")
    if head.startswith(b"PAR1"):
        return _parquet(name, file)
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip(SPACE)[:1]
    return (_json if first in (b"[", b"{") else _csv)(name, file)


def _json(name: str, file: IO[bytes]) -> Iterator[Record]:
    """Read an array, {"data": [...]}, or JSON lines that are only named .json."""
    data = file.read()
    if not data.strip(SPACE):
        raise FormatError(f"{name}: the file is empty")
    try:
        whole = json.loads(_text(name, data))
    except (ValueError, RecursionError) as error:
        if data.lstrip(b"\xef\xbb\xbf" + SPACE)[:1] == b"{" and b"\n" in data.strip(SPACE):
            yield from _jsonl(name, io.BytesIO(data))
            return
        raise FormatError(f"{name}: not JSON ({error or 'nested too deep'})") from error
    rows = whole.get("data", whole) if isinstance(whole, dict) else whole
    rows = [rows] if isinstance(rows, dict) else rows
    if not isinstance(rows, list):
        raise FormatError(f"{name}: expected an array or {{'data': [...]}}, found {_type(rows)}")
    for line, row in enumerate(rows, 1):
        yield _record(name, line, row)


def _jsonl(name: str, file: IO[bytes]) -> Iterator[Record]:
    line = 0
    for raw in file:
        data = raw.strip(SPACE)
        if not line:
            data = data.removeprefix(b"\xef\xbb\xbf")
            if data[:1] == b"[":
                yield from _json(name, io.BytesIO(raw + file.read()))
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
            yield _record(name, line, row)
    if not line:
        raise FormatError(f"{name}: the file is empty")


def _csv(name: str, file: IO[bytes]) -> Iterator[Record]:
    csv.field_size_limit(CSV_FIELD_LIMIT)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    reader = csv.reader(text, strict=True)
    line = 0
    try:
        header = next(reader, [])
        for line, cells in enumerate(filter(None, reader), 1):
            if len(cells) == len(header):
                yield _record(name, line, dict(zip(header, cells, strict=True)))
            else:
                problem = f"expected {len(header)} cells, found {len(cells)}"
                yield _unread(name, line, ",".join(cells).encode("utf-8"), problem)
    except (UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{name}:{line + 1}: not CSV in UTF-8 ({error})") from error


def _parquet(name: str, file: IO[bytes]) -> Iterator[Record]:
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
                yield _record(name, line, row)
    except arrow.ArrowException as error:
        raise FormatError(f"{name}: not parquet, or damaged ({_one_line(error)})") from error


def _read_hub(source: str) -> Iterator[Record]:
    """Yield the rows of a data set on the hub, `owner/name` or `owner/name:split`."""
    name, _, split = source.partition(":")
    try:
        rows = need("datasets").load_dataset(name, split=split or "train")
    except (OSError, ValueError, RuntimeError) as error:
        raise FormatError(
            f"{source}: no such file or folder, and not to be had from the hub "
            f"({type(error).__name__}: {_one_line(error)})"
        ) from error
    for line, row in enumerate(rows, 1):
        yield _record(source, line, row)


def _record(name: str, line: int, row: Any) -> Record:
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


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


KINDS: dict[str, Callable[[str, IO[bytes]], Iterator[Record]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}
