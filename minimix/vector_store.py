"""Vectors kept on disk by the content of their text, so that no text is embedded twice.

One SQLite database for each embedder: it survives crashes and several processes at once. It can be
made again, so nothing that is wrong with it stops a run: a damaged one is set aside, and where none
can be written the run goes on without.
"""

import hashlib
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import numpy as np

from minimix.errors import DataError, brief
from minimix.progress import Say, unheard
from minimix.records import Vectors

T = TypeVar("T")
FOLDER = "vectors"
"""Where they lie in the cache folder."""
KEY_BYTES, SUM_BYTES = 16, 4
ASKED = 500
"""Keys of one question; SQLite has a limit."""
PATIENCE_S = 30.0
TABLE = "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)"
DAMAGE = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,  # another table than ours
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_CONSTRAINT,
}
FAULTS = (sqlite3.Error, OSError, DataError)


class VectorStore:
    """The vectors of one embedder, (width,) float32 each; `say` hears of trouble once."""

    def __init__(self, path: Path, *, width: int, say: Say = unheard) -> None:
        """Name the database; it is made when the first vectors are kept."""
        self.path = path
        self._width = width
        self._say = say
        self._readable = self._writable = True

    def find(self, texts: Sequence[str]) -> dict[int, Vectors]:
        """Return the vectors that are there, by the position of their text."""
        if not (self._readable and self.path.exists()):
            return {}
        keys = list(map(_key, texts))
        found = self._try(lambda database: dict(_select(database, keys, self._width)))
        if found is None:
            self._readable = False
            return {}
        return {row: found[key] for row, key in enumerate(keys) if key in found}

    def add(self, texts: Sequence[str], vectors: Vectors) -> None:
        """Keep vectors, row for row with `texts`; they are on disk when this returns."""
        if not (self._writable and len(texts)):
            return
        pairs = [(_key(text), _sealed(row)) for text, row in zip(texts, vectors, strict=True)]

        def insert(database: sqlite3.Connection) -> bool:
            database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", pairs)
            return True

        self._writable = bool(self._try(insert))

    def _try(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Return what `work` gives, tried again on a new database where this one is damaged."""
        try:
            try:
                return self._open_for(work)
            except FAULTS as error:
                if not _is_damage(error):
                    raise
                self._set_aside(error)
                return self._open_for(work)
        except FAULTS as error:
            if self._readable and self._writable:
                self._say(f"{self.path}: no use as a cache ({brief(error)}); embedding without it")
            return None

    def _open_for(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=PATIENCE_S)
        with closing(connection) as database, database:  # one transaction: all of it or nothing
            database.execute(TABLE)
            return work(database)

    def _set_aside(self, error: Exception) -> None:
        """Rename a damaged database, with what SQLite had not finished there; one is kept."""
        aside = self.path.with_name(f"{self.path.name}.damaged")
        self.path.replace(aside)
        self.path.with_name(f"{self.path.name}-journal").unlink(missing_ok=True)
        self._say(f"{self.path}: damaged ({brief(error)}), set aside as {aside.name}, made anew")


def size_of(folder: Path) -> tuple[int, int]:
    """Return how many files vectors take in `folder`, and their bytes."""
    files = [path for path in folder.glob("*") if path.is_file()] if folder.is_dir() else []
    return len(files), sum(path.stat().st_size for path in files)


def _select(
    database: sqlite3.Connection, keys: Sequence[bytes], width: int
) -> Iterator[tuple[bytes, Vectors]]:
    """Yield what is there under `keys`; raises DataError where one is not what was stored."""
    for start in range(0, len(keys), ASKED):
        asked = keys[start : start + ASKED]
        marks = ",".join("?" * len(asked))
        question = f"SELECT key, vector FROM vectors WHERE key IN ({marks})"  # noqa: S608  marks alone
        for key, sealed in database.execute(question, asked):
            yield key, _opened(sealed, width)


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:KEY_BYTES]


def _sealed(vector: Vectors) -> bytes:
    """Return a vector's bytes and their checksum: SQLite notices broken pages, not changed bits."""
    data = np.ascontiguousarray(vector, dtype="<f4").tobytes()
    return data + zlib.crc32(data).to_bytes(SUM_BYTES, "little")


def _opened(sealed: object, width: int) -> Vectors:
    if not isinstance(sealed, bytes) or len(sealed) != 4 * width + SUM_BYTES:
        raise DataError("a vector of another size")
    data = sealed[:-SUM_BYTES]
    if zlib.crc32(data).to_bytes(SUM_BYTES, "little") != sealed[-SUM_BYTES:]:
        raise DataError("a vector whose checksum differs")
    vector: Vectors = np.frombuffer(data, dtype="<f4").astype(np.float32)
    return vector


def _is_damage(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, DataError) or (code is not None and code & 0xFF in DAMAGE)
