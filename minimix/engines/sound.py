"""Whether a GGUF file can be given to llama.cpp, which ends the process over some that it reads.

Each check here stands for a way in which it did (`python -m tests.fuzz.llama`).
"""

from collections import Counter
from pathlib import Path

from minimix.engines.gguf import Header, read_header, texts_of
from minimix.errors import ModelError

OTHERS = {"adapter": "a LoRA", "mmproj": "a projector", "imatrix": "an importance matrix"}
"""What `general.type` calls a file that is no model."""
MOST_LAYERS = 512
"""Of which llama.cpp knows no more."""
TOKENS = "tokenizer.ggml.tokens"


def check_model(path: Path) -> Header:
    """Return the header of the model at `path`.

    Raises ModelError for a file that is no whole GGUF, that is a LoRA or another part, or that
    llama.cpp would end the process over.
    """
    header = read_header(path)
    kind = header.values.get("general.type")
    if isinstance(kind, str) and kind in OTHERS:
        remedy = "; give it with --adapter, and its base with --model" if kind == "adapter" else ""
        raise ModelError(f"{path}: expected a model, found {OTHERS[kind]}{remedy}")
    layers = header.values.get(f"{header.values.get('general.architecture')}.block_count", 1)
    if not isinstance(layers, int) or not 0 < layers <= MOST_LAYERS:
        raise ModelError(f"{path}: expected 1..{MOST_LAYERS} layers, found {layers!r:.40}")
    _check_vocabulary(path, header)
    return header


def check_adapter(path: Path) -> Header:
    """Return the header of the LoRA at `path`.

    Raises ModelError for a file that is no whole GGUF, or no LoRA.
    """
    header = read_header(path)
    kind = header.values.get("general.type", "model")
    if kind != "adapter":
        found = OTHERS.get(str(kind), "a model")
        raise ModelError(f"{path}: expected a LoRA, found {found}; a model goes with --model")
    return header


def _check_vocabulary(path: Path, header: Header) -> None:
    """Raise ModelError where two tokens are the same text; those without text get names."""
    tokens = list(filter(None, texts_of(path, header.texts.get(TOKENS))))
    if len(set(tokens)) < len(tokens):
        token, times = Counter(tokens).most_common(1)[0]
        raise ModelError(f"{path}: expected a vocabulary, found {token[:40]!r} {times} times in it")
