"""What a rater sees of samples: counts, word vectors and bags of word pieces.

Everything is counted over whole arrays of bytes and pieces, never row by row, which is what makes
thousands of rows a second possible.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minimix.records import Sample, Vectors
from minimix.static import Bags, table, unit, word_pieces

PAIRS = 1 << 16
SPACES = " \t\n"
CLASSES = (
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "abcdefghijklmnopqrstuvwxyz",
    "0123456789",
    "\n",
    " \t",
    ".!?",
    ",;:",
    "()[]{}",
    "\"'",
    "-*",
    "/\\=<>_#`$%&+@^|~",
)
"""Characters that are counted together; the bytes of all others make one more class."""
KNOWN = "".join(CLASSES)


@dataclass(frozen=True)
class Features:
    """The features of n samples.

    `counts` (n, c) go to the trees as they are; `vectors` (n, 768) are the unit word vectors of
    prompt, response and both; `bags` are four sparse matrices of unit rows: pieces of prompt and
    response, pairs of them. `words` (n,) counts words of the response.
    """

    counts: Vectors
    vectors: Vectors
    bags: tuple[Any, ...]
    words: np.ndarray

    def dense(self) -> Vectors:
        """Return counts and vectors side by side."""
        return np.concatenate([self.counts, self.vectors], axis=1)

    def take(self, rows: np.ndarray) -> "Features":
        """Return the features of some rows."""
        bags = tuple(bag[rows] for bag in self.bags)
        return Features(self.counts[rows], self.vectors[rows], bags, self.words[rows])


def features(samples: Sequence[Sample]) -> Features:
    """Return what raters see of samples."""
    prompts, responses = [s.prompt for s in samples], [s.response for s in samples]
    asked, told = word_pieces(prompts), word_pieces(responses)
    vectors = table()
    asked_bag, told_bag = asked.matrix(len(vectors)), told.matrix(len(vectors))
    sums = asked_bag @ vectors, told_bag @ vectors
    units = [unit(sums[0]), unit(sums[1]), unit(sums[0] + sums[1])]
    characters = [
        character_counts([sample.instruction for sample in samples]),
        character_counts([sample.input for sample in samples]),
        character_counts(responses),
    ]
    pieces = _piece_counts(asked, told, asked_bag, told_bag)
    near = _nearness(units, sums, asked.lengths, told.lengths)
    return Features(
        counts=np.concatenate([*characters, pieces, near], axis=1),
        vectors=np.concatenate(units, axis=1),
        bags=tuple(
            _scaled(bag)
            for bag in (
                asked_bag,
                told_bag,
                asked.pairs(PAIRS).matrix(PAIRS),
                told.pairs(PAIRS).matrix(PAIRS),
            )
        ),
        words=np.expm1(characters[2][:, len(CLASSES) + 1]).round().astype(np.int64),
    )


def character_counts(texts: Sequence[str]) -> Vectors:
    """Return counts of characters, words, numbers and list lines, and their shares: (n, 31)."""
    encoded = [text.encode("utf-8", "replace") + b"\n" for text in texts]
    sizes = np.array([len(one) for one in encoded], dtype=np.int64)
    if not len(sizes):
        return np.zeros((0, 2 * len(CLASSES) + 9), dtype=np.float32)
    data = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])

    def total(flags: np.ndarray) -> np.ndarray:
        sums: np.ndarray = np.add.reduceat(flags.astype(np.float32), starts)
        return sums

    kinds = _byte_classes()[data]
    counts = np.stack([total(kinds == kind) for kind in range(len(CLASSES) + 1)], axis=1)
    counts[:, CLASSES.index("\n")] -= 1  # the end that was put behind each text
    words = total(_begins(~_is(data, SPACES), starts))
    numbers = total(_begins(_is(data, CLASSES[2]), starts))
    line = np.concatenate([[True], data[:-1] == ord("\n")])
    items = total(line & _is(data, CLASSES[2] + CLASSES[9]))
    length = np.maximum(sizes - 1, 1)[:, None]
    ends = data[np.maximum(starts, starts + sizes - 2)]
    edges = [_is(data[starts], CLASSES[0]), _is(ends, ".!?")]
    logs = [np.log1p(counts), np.log1p(words)[:, None], np.log1p(sizes - 1)[:, None]]
    rest = [length[:, 0] / np.maximum(words, 1), np.log1p(numbers), np.log1p(items), *edges]
    joined: Vectors = np.concatenate(
        [*logs, np.stack(rest, axis=1), counts / length], axis=1
    ).astype(np.float32)
    return joined


def _byte_classes() -> np.ndarray:
    classes = np.full(256, len(CLASSES), dtype=np.uint8)
    for kind, characters in enumerate(CLASSES):
        classes[list(characters.encode())] = kind
    return classes


def _is(data: np.ndarray, characters: str) -> np.ndarray:
    flags = np.zeros(256, dtype=bool)
    flags[list(characters.encode())] = True
    found: np.ndarray = flags[data]
    return found


def _begins(flags: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return where a run of set flags begins, each text apart."""
    begins = flags.copy()
    begins[1:] &= ~flags[:-1]
    begins[starts] = flags[starts]
    return begins


def _piece_counts(asked: Bags, told: Bags, asked_bag: Any, told_bag: Any) -> Vectors:
    """Return pieces, distinct pieces, and how many of them prompt and response share: (n, 8)."""
    distinct = [np.diff(bag.indptr) for bag in (asked_bag, told_bag)]
    shared = np.asarray((asked_bag > 0).multiply(told_bag > 0).sum(axis=1)).ravel()
    columns = []
    for own, bag in zip(distinct, (asked, told), strict=True):
        columns += [np.log1p(own), np.log1p(bag.lengths), own / np.maximum(bag.lengths, 1)]
        columns.append(shared / np.maximum(own, 1))
    return np.stack(columns, axis=1).astype(np.float32)


def _nearness(
    units: Sequence[Vectors],
    sums: Sequence[Vectors],
    asked: np.ndarray,
    told: np.ndarray,
) -> Vectors:
    """Return how near prompt, response and both lie, and how much each piece says: (n, 5)."""
    prompt, response, both = units
    pairs = ((prompt, response), (prompt, both), (response, both))
    columns = [(one * other).sum(axis=1) for one, other in pairs]
    for vectors, lengths in zip(sums, (asked, told), strict=True):
        columns.append(np.linalg.norm(vectors, axis=1) / np.maximum(lengths, 1))
    return np.stack(columns, axis=1).astype(np.float32)


def _scaled(counts: Any) -> Any:
    """Return a bag with logarithms of its counts, as unit rows."""
    scaled = counts.copy()
    scaled.data = np.log1p(scaled.data)
    norms = np.sqrt(np.asarray(scaled.multiply(scaled).sum(axis=1)).ravel())
    scaled.data /= np.repeat(np.maximum(norms, 1e-6), np.diff(scaled.indptr))
    return scaled
