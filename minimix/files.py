"""A source by name: a file, a folder, stdin or a hub id, as records."""

import io
import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from minimix.disk import BLOCK_BYTES
from minimix.errors import FormatError, brief
from minimix.extras import need
from minimix.kinds import BOM, READERS, SPACE, Record, read_csv, read_json, read_parquet, record
from minimix.rows import Rows
from minimix.unnamed import on_disk

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
FIRST_BYTES = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
PARQUET, PARQUET_BYTES = ".parquet", b"PAR1"
UNCOUNTED, MOST_TIMES = 2**28, 200
"""What a compressed file may unpack to in any case, and beyond that: text takes a tenth packed."""
STDIN = "-"
HUB_ID = re.compile(r"(\w[\w.-]*/\w[\w.-]*)(?:@([\w.-]+))?(?::([\w.-]+))?")
"""What the hub calls its own: owner/name, maybe @ a branch, tag or commit, maybe : a part of it."""


def read_records(source: str | Rows, *, folder: Path | None = None) -> Iterator[Record]:
    """Yield every record of `source`: a file, a folder, "-" for stdin, a hub id, or rows.

    What cannot be read from front to back (stdin, packed columns) first goes to the disk of
    `folder`, or where the system keeps temporary files. Raises FormatError where a file is missing,
    empty, or of no kind that minimix reads.
    """
    if isinstance(source, Rows):
        yield from source.records()
        return
    check_name(source)
    path = Path(source)
    with _readable(source):
        if source == STDIN:
            yield from _read_stdin(folder)
        elif path.is_dir():
            for file in data_files(path):
                yield from _read_file(file, folder)
        elif path.exists():
            yield from _read_file(path, folder)
        elif _hub_name(source):
            yield from _read_hub(source)
        else:
            raise FormatError(f"{source}: no such file or folder")


def data_files(folder: Path) -> list[Path]:
    """Return the readable files under `folder` in the order of their names.

    Hidden files and the outputs of earlier runs are passed over. Raises FormatError for none, and
    for a folder that may not be looked into.
    """
    found = []
    for root, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(n for n in folders if not n.startswith("."))
        folders[:] = [name for name in folders if not _is_output(Path(root, name))]
        paths = [Path(root, name) for name in names if not name.startswith(".")]
        found += [path for path in paths if _kind(path)]
    if not found:
        raise FormatError(f"{folder}: expected files named {_known()}, found none")
    return sorted(found)


def stem(source: str) -> str:
    """Return the name of `source` without folder, kind and compression; "stdin" for "-".

    Raises FormatError for a name that the system does not take.
    """
    if source == STDIN:
        return "stdin"
    path = Path(source)
    with _readable(source):
        if path.is_dir():
            return path.resolve().name
    if path.suffix.lower() in COMPRESSIONS:
        path = path.with_suffix("")
    name = path.stem if path.suffix.lower() in READERS else path.name
    return name.replace(":", "-")


def _is_output(folder: Path) -> bool:
    return folder.name.endswith(".distilled") or (folder / "journal" / "run.json").exists()


def _known() -> str:
    return ", ".join(READERS) + " (each also .gz, .zst)"


def _kind(path: Path) -> str:
    """Return the file kind its name ends in, "" for none."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in READERS else ""


def check_name(name: str) -> None:
    """Raise FormatError for a name that no ledger can hold: control characters, or not UTF-8."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise FormatError(f"{name!a}: expected a name of plain UTF-8 text; rename it")


def _refuse(error: OSError) -> None:
    raise FormatError(f"{error.filename}: cannot be read ({error.strerror})") from error


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turn what the system or a decompressor says against `name` into a FormatError."""
    try:
        yield
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        if not error.strerror:  # not the system's: the decompressor's
            problem = f"damaged or truncated ({brief(error)})"
        raise FormatError(f"{name}: {problem}") from error


def _read_file(path: Path, folder: Path | None) -> Iterator[Record]:
    name, kind = str(path), _kind(path)
    check_name(name)
    if not kind:
        raise FormatError(f"{name}: expected a file named {_known()}")
    with _readable(name):
        if not path.stat().st_size:
            raise FormatError(f"{name}: the file is empty")
        with path.open("rb") as raw:
            codec = COMPRESSIONS.get(path.suffix.lower())
            file = _decompressed(raw, codec, name) if codec else raw
            if codec and kind == PARQUET:
                with on_disk(file, folder).open() as whole:
                    yield from read_parquet(name, whole)
            else:
                yield from READERS[kind](name, file)


def _decompressed(raw: IO[bytes], codec: str, name: str) -> IO[bytes]:
    return io.BufferedReader(_Unpacked(raw, codec, name))


class _Unpacked(io.RawIOBase):
    """What a compressed file holds; raises FormatError where that is out of all proportion."""

    def __init__(self, raw: IO[bytes], codec: str, name: str) -> None:
        # arrow's streams, because zstandard's own takes a truncated file for a whole one
        arrow = need("pyarrow")
        self.raw, self.name, self.given = raw, name, 0
        self.stream = arrow.CompressedInputStream(arrow.PythonFile(raw, mode="r"), codec)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.stream.read(len(buffer))
        buffer[: len(data)] = data
        self.given += len(data)
        if self.given > UNCOUNTED and self.given > MOST_TIMES * self.raw.tell():
            raise FormatError(
                f"{self.name}: unpacks to more than {MOST_TIMES} times its size "
                f"({self.given:,} bytes and more); unpack it yourself if that is meant"
            )
        return len(data)


def _read_stdin(folder: Path | None) -> Iterator[Record]:
    """Yield records of bytes that have no name, told by how they begin."""
    if not sys.stdin:
        raise FormatError(f"{STDIN}: standard input is closed; send the data there, or name a file")
    file = on_disk(sys.stdin.buffer, folder)
    for first_bytes, codec in FIRST_BYTES.items():
        if file.begins_with(first_bytes):
            with file.open() as packed:
                file = on_disk(_decompressed(packed, codec, STDIN), folder)
            break
    with file.open() as data:
        head = _head(data)
    if not head:
        raise FormatError(f"{STDIN}: nothing came in")
    read = read_json if head in (b"[", b"{") else read_csv
    if file.begins_with(PARQUET_BYTES):
        read = read_parquet
    with file.open() as data:
        yield from read(STDIN, data)


def _head(data: IO[bytes]) -> bytes:
    """Return the first byte that is no white space, b"" where there is none."""
    block = data.read(BLOCK_BYTES).removeprefix(BOM)
    while block and not block.strip(SPACE):
        block = data.read(BLOCK_BYTES)
    return block.lstrip(SPACE)[:1]


def _hub_name(source: str) -> tuple[str, str, str] | None:
    """Return name, revision and part of what must be on the hub; None where it is a file's name."""
    found = HUB_ID.fullmatch(source)
    if not found or _kind(Path(source)) or Path(source).exists():
        return None
    return found[1], found[2] or "", found[3] or ""


@lru_cache(maxsize=256)
def hub_commit(source: str) -> str:
    """Return the commit of a data set on the hub that this process reads under the name `source`.

    "" for what is no hub id, and where the hub cannot be asked.
    """
    named = _hub_name(source)
    if not named:
        return ""
    name, revision, _ = named
    try:
        info = need("huggingface_hub").HfApi().dataset_info(name, revision=revision or None)
    except (OSError, ValueError, need("httpx").HTTPError):
        return ""  # reading it may still find a copy here, and otherwise says why not
    return str(info.sha or "")


def _read_hub(source: str) -> Iterator[Record]:
    """Yield the rows of a data set on the hub, owner/name[@revision][:split]."""
    name, revision, split = _hub_name(source) or (source, "", "")
    commit = hub_commit(source) or revision or None
    datasets, refused = need("datasets"), need("datasets.exceptions").DatasetsError
    unreached = need("httpx").HTTPError
    try:
        rows = datasets.load_dataset(name, split=split or "train", revision=commit)
    except (OSError, ValueError, RuntimeError, refused, unreached) as error:
        raise FormatError(
            f"{source}: no such file or folder, and not to be had from the hub "
            f"({type(error).__name__}: {brief(error)})"
        ) from error
    for line, row in enumerate(rows, 1):
        yield record(source, line, row)
