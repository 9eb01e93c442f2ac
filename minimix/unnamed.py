"""Files without a name: what a run keeps on disk, and nobody has to clear away."""

import os
import tempfile
from pathlib import Path
from typing import IO
from weakref import finalize

from minimix.disk import BLOCK_BYTES, unwritable
from minimix.errors import OutputError


def _unreadable(folder: Path, why: str) -> OutputError:
    """Return the one-line error for what was put on the disk of `folder` and cannot be read."""
    return OutputError(
        f"{folder}: what this run keeps on its disk cannot be read back ({why}); "
        "mend the disk and start the same command again"
    )


class Unnamed:
    """A file without a name: gone when nothing refers to it any more, or when the process ends."""

    def __init__(self, folder: Path | None = None) -> None:
        """Make one on the disk of `folder`; without, where the system keeps temporary files.

        Raises OutputError, here and in `write`, where the disk does not take it.
        """
        try:
            self._folder = folder or Path(tempfile.gettempdir())
            with tempfile.TemporaryFile(dir=self._folder) as file:
                self._number = os.dup(file.fileno())
        except OSError as error:
            raise unwritable(folder or Path("TMPDIR"), error) from error
        finalize(self, os.close, self._number)

    def write(self, data: bytes | bytearray) -> None:
        """Put all of `data` behind what is there."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._number, rest) :]
        except OSError as error:
            raise unwritable(self._folder, error) from error

    def read(self, size: int, start: int) -> bytes:
        """Return `size` bytes from `start`; any number of threads may.

        Raises OutputError where the disk does not give them, or the file is shorter.
        """
        data = self._read(size, start)
        while len(data) < size:  # one call gives 2 GiB at most
            rest = self._read(size - len(data), start + len(data))
            if not rest:
                why = f"expected {size:,} bytes at {start:,}, found {len(data):,}"
                raise _unreadable(self._folder, why)
            data += rest
        return data

    def begins_with(self, data: bytes) -> bool:
        """Return whether these are its first bytes; a shorter file has others."""
        return self._read(len(data), 0) == data

    def _read(self, size: int, start: int) -> bytes:
        try:
            return os.pread(self._number, size, start)
        except OSError as error:
            raise _unreadable(self._folder, error.strerror or str(error)) from error

    def open(self) -> IO[bytes]:
        """Return the whole of it as a stream; what was written to the file stays there."""
        os.lseek(self._number, 0, os.SEEK_SET)
        return os.fdopen(os.dup(self._number), "rb")


def on_disk(stream: IO[bytes], folder: Path | None = None) -> Unnamed:
    """Return all the bytes of `stream` in a file, so that they can be read from anywhere."""
    file = Unnamed(folder)
    while block := stream.read(BLOCK_BYTES):
        file.write(block)
    return file
