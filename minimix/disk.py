"""Bytes on disk: hashes, writes that are whole or not there, folders for one process alone."""

import contextlib
import fcntl
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any
from zipfile import BadZipFile, ZipFile, is_zipfile

import numpy as np

from minimix.errors import DataError, OutputError, brief

MOST_BYTES = 2**31
"""What arrays may unpack to; the archive's own list says it before anything is unpacked."""
CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
BLOCK_BYTES = 1 << 20
"""What is read or written in one go, about."""
UNREADABLE = (
    OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, RuntimeError, MemoryError,
    SyntaxError, TokenError, BadZipFile, zlib.error,
)  # fmt: skip
"""What numpy raises on damaged arrays: it parses their headers as Python's literals."""


def record_sha256(row: Any) -> str:
    """Return the SHA-256 of `row` as canonical JSON.

    UTF-8, sorted keys, separators "," and ":", no ASCII escaping; dates and the like as text.
    Raises UnicodeEncodeError where the text has lone surrogates.
    """
    return hashlib.sha256(CANONICAL.encode(row).encode("utf-8")).hexdigest()


def parse_json(text: str | bytes) -> Any:
    """Return the value that `text` is in JSON.

    Raises ValueError where it is none, is not UTF-8, or is nested too deep to be read.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_arrays(path: Path, *, most_bytes: int = MOST_BYTES) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file by name; no pickle is read.

    Raises DataError, without the path, where the file is missing, damaged or unpacks to more than
    `most_bytes`.
    """
    try:
        if not path.is_file():
            raise DataError("no such file")
        if not is_zipfile(path):
            raise DataError("expected an .npz file of arrays")
        with ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > most_bytes:
            raise DataError(f"it unpacks to {size:,} bytes, more than {most_bytes:,}")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except UNREADABLE as error:
        raise DataError(brief(error)) from error


@contextmanager
def atomic(path: Path) -> Iterator[IO[str]]:
    """Open `path` for text that appears under its name only when all of it is on disk.

    Raises OutputError where the disk is full, read-only, or the folder cannot be made.
    """
    with (
        _appearing(path) as number,
        open(number, "w", encoding="utf-8", newline="\n", closefd=False) as file,
    ):
        yield file


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data`, whole or not at all; raises OutputError as `atomic` does."""
    with _appearing(path) as number, open(number, "wb", closefd=False) as file:
        file.write(data)


@contextmanager
def _appearing(path: Path) -> Iterator[int]:
    """Yield the number of an open file, which takes the name `path` when all went well."""
    part = path.with_name(f".{path.name}.part")  # one name, so that a crash leaves no litter
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number = _open_alone(part, path)
        try:
            yield number
            os.fsync(number)
            part.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
        finally:
            os.close(number)  # what ends the lock: the name is another's from here on
    except OSError as error:
        raise unwritable(path, error) from error


def _open_alone(part: Path, path: Path) -> int:
    """Return the number of `part`, open, empty and locked for as long as it is open.

    Raises OutputError where another process is writing it.
    """
    while True:
        number = os.open(part, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(part, number):
                os.ftruncate(number, 0)
                return number
        except BlockingIOError as error:
            os.close(number)
            raise OutputError(
                f"{path}: another process is writing it; wait for its end, or name another output"
            ) from error
        except OSError:
            os.close(number)
            raise
        os.close(number)  # who had it before gave it its name just now


def _is_at(path: Path, number: int) -> bool:
    """Whether an open file is the one that has this name now."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(number))
    return False


def unwritable(path: Path, error: OSError) -> OutputError:
    """Return the one-line error for a write to `path` that failed."""
    return OutputError(
        f"{path}: cannot be written ({error.strerror or error}); "
        "mend that and start the same command again: finished work is kept"
    )


def is_there(path: Path) -> bool:
    """Return whether a path leads to something; where the system will not say, it does not."""
    try:
        return path.exists()
    except OSError:
        return False


def nearest_folder(path: Path) -> Path | None:
    """Return `path`, or the first above it that is there and can be written in; None for none.

    A folder that is still to be made will be on the same disk.
    """
    above = (path, *path.absolute().parents)
    return next((folder for folder in above if os.access(folder, os.W_OK | os.X_OK)), None)


@contextmanager
def locked(file: Path, folder: Path) -> Iterator[None]:
    """Keep `folder` for this process alone, by a lock on `file` in it.

    The file stays, but not the lock, even where the process is killed. Raises OutputError where
    another one holds it, or the file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        _take_lock(lock, folder)
        yield
    finally:
        os.close(lock)


def _take_lock(lock: int, folder: Path) -> None:
    """Lock for as long as the file is open."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(lock, 20, 0).decode("ascii", "replace") or "unknown"
        raise OutputError(
            f"{folder}: another run is at work there (process {holder}); "
            "wait for its end, or give another --output"
        ) from error
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode("ascii"), 0)
    except OSError as error:
        raise unwritable(folder, error) from error


def write_jsonl(path: Path, rows: Iterator[Mapping[str, Any]]) -> None:
    """Write `rows`, one JSON object a line, whole or not at all."""
    with atomic(path) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def append_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add `rows` to a file, one JSON object a line; they are on disk when this returns.

    A line that a crash cut short is ended first. Raises OutputError where it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                file.write(b"" if file.read(1) == b"\n" else b"\n")
            file.write(b"".join(json.dumps(row).encode("ascii") + b"\n" for row in rows))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise unwritable(path, error) from error
