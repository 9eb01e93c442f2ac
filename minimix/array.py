"""The elements of a JSON array, one by one: memory holds the longest of them, not the file."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import IO, Any

from minimix.disk import BLOCK_BYTES
from minimix.lines import LONGEST

SPACE = re.compile(r"[ \t\r\n]*")
SLACK = 16
"""Characters that must follow a value for it to be whole: `1` may go on as `1.5` or `1e+9`."""
DECODER = json.JSONDecoder()


def elements(begun: bytes, file: IO[bytes]) -> Iterator[Any]:
    """Yield the elements of the array that `begun` and the rest of a file hold.

    Raises ValueError and RecursionError as json.loads does, but after the elements before, and
    ValueError for an element of more than LONGEST characters.
    """
    text = _Text(begun, file)
    text.take("[")
    ended = text.head() == "]"
    while not ended:
        yield text.value()
        ended = text.head() == "]"
        if not ended:
            text.take(",")
    text.take("]")
    if text.head():
        raise ValueError("Extra data")


class _Text:
    """The text of a file as far as it is read, and where in it the next value is."""

    def __init__(self, begun: bytes, file: IO[bytes]) -> None:
        self.file = file
        self.decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.text = self.decoder.decode(begun)
        self.at = 0

    def more(self) -> bool:
        """Read on, and as much again as is held; return False at the end of the file."""
        block = self.file.read(max(BLOCK_BYTES, len(self.text) - self.at))
        self.text = self.text[self.at :] + self.decoder.decode(block, final=not block)
        self.at = 0
        return bool(block)

    def head(self) -> str:
        """Go on to the next character that is no space, and return it; "" at the end."""
        while True:
            found = SPACE.match(self.text, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.text) or not self.more():
                return self.text[self.at : self.at + 1]

    def take(self, expected: str) -> None:
        """Go past a character that has to come next."""
        if self.head() != expected:
            raise ValueError(f"Expecting '{expected}'")
        self.at += 1

    def value(self) -> Any:
        """Return the next value and go past it."""
        self.head()
        while True:
            try:
                value, end = DECODER.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                within = error.pos + SLACK < len(self.text)
                if len(self.text) - self.at > LONGEST:
                    raise ValueError(f"an element longer than {LONGEST:,} characters") from error
                if (within and "Unterminated" not in error.msg) or not self.more():
                    raise ValueError(error.msg) from error  # its line and column are of a block
            else:
                length = end - self.at  # more() moves what is left to the front
                if end + SLACK < len(self.text) or not self.more():
                    self.at += length
                    return value
