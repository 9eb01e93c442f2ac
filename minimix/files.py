"""A source by name: a file, a folder, stdin or a hub id, as records."""

import gzip
import io
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from minimix.errors import FormatError, brief
from minimix.extras import need
from minimix.kinds import BOM, KINDS, SPACE, Record, read_csv, read_json, read_parquet, record

COMPRESSIONS = (".gz", ".zst")
STDIN = "-"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")


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
        return read_parquet(name, file)
    first = head.removeprefix(BOM).lstrip(SPACE)[:1]
    return (read_json if first in (b"[", b"{") else read_csv)(name, file)


def _read_hub(source: str) -> Iterator[Record]:
    """Yield the rows of a data set on the hub, `owner/name` or `owner/name:split`."""
    name, _, split = source.partition(":")
    try:
        rows = need("datasets").load_dataset(name, split=split or "train")
    except (OSError, ValueError, RuntimeError) as error:
        raise FormatError(
            f"{source}: no such file or folder, and not to be had from the hub "
            f"({type(error).__name__}: {brief(error)})"
        ) from error
    for line, row in enumerate(rows, 1):
        yield record(source, line, row)
