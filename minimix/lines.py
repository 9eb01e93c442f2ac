"""The lines of a file, none of which takes more memory than a record may."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from minimix.disk import BLOCK_BYTES

LONGEST = 2**27
"""Bytes of a record: far above any sample, and what a line without an end costs at most."""


@dataclass(frozen=True, slots=True)
class Overlong:
    """A line that was passed over because it is longer than LONGEST; the hash is of its bytes."""

    sha256: str

    @property
    def problem(self) -> str:
        """Say so."""
        return f"longer than {LONGEST:,} bytes"


def lines(begun: bytes, file: IO[bytes]) -> Iterator[bytes | Overlong]:
    """Yield the line that `begun` is or begins, and then those of `file`, each with its end."""
    line = begun if begun.endswith(b"\n") else begun + file.readline(LONGEST - len(begun))
    while line:
        yield line if line.endswith(b"\n") or len(line) < LONGEST else _passed(line, file)
        line = file.readline(LONGEST)


def _passed(line: bytes, file: IO[bytes]) -> Overlong | bytes:
    """Go to the end of a line, block by block; one that ends right here is a line."""
    block = file.readline(BLOCK_BYTES)
    if not block:
        return line
    hashed = hashlib.sha256(line)
    while block:
        hashed.update(block.rstrip(b"\r\n"))
        block = b"" if block.endswith(b"\n") else file.readline(BLOCK_BYTES)
    return Overlong(hashed.hexdigest())
