"""Bytes on disk: hashes, and writes that are whole or not there."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from minimix.errors import OutputError


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


@contextmanager
def atomic(path: Path) -> Iterator[IO[str]]:
    """Open `path` for text that appears under its name only when all of it is on disk.

    Raises OutputError where the disk is full, read-only, or the folder cannot be made.
    """
    with _appearing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data`, whole or not at all; raises OutputError as `atomic` does."""
    with _appearing(path) as temporary, temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """Yield where to write first; what lies there takes the name `path` when all went well."""
    temporary = path.with_name(f".{path.name}.part")  # one name, so that a crash leaves no litter
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


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
