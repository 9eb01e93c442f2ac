"""Whether a GGUF file can be given to llama.cpp, which ends the process over some that it reads.

Each check here stands for a way in which it did (`python -m tests.fuzz.llama`).
"""

from collections import Counter
from pathlib import Path

from minimix.engines.gguf import Header, read_header, texts_of
from minimix.errors import ModelError

OTHERS = {"adapter": "a LoRA", "mmproj": "a projector", "imatrix": "an importance matrix"}
"""What `general.type` calls a file that is no model."""
LAYERS = "block_count"
MOST = {
    LAYERS: 512,  # llama.cpp knows no more layers
    "attention.head_count": 2**15,
    "attention.head_count_kv": 2**15,
    "attention.key_length": 2**15,
    "attention.value_length": 2**15,
    "rope.dimension_count": 2**15,
    "embedding_length": 2**20,
    "feed_forward_length": 2**20,
}
"""Far above any model: llama.cpp multiplies these in 32 bits, and larger ones may fit by chance."""
WHOLE_NUMBERS = range(24, 29)
"""Types of tensors (and doubles) that llama.cpp has no product for, and jumps to nowhere."""
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
    _check_figures(path, header)
    _check_weights(path, header)
    _check_vocabulary(path, header)
    return header


def check_adapter(path: Path) -> Header:
    """Return the header of the LoRA at `path`.

    Raises ModelError for a file that is no whole GGUF, no LoRA, or one whose weights llama.cpp
    would end the process over.
    """
    header = read_header(path)
    kind = header.values.get("general.type", "model")
    if kind != "adapter":
        found = OTHERS.get(str(kind), "a model")
        raise ModelError(f"{path}: expected a LoRA, found {found}; a model goes with --model")
    _check_weights(path, header)
    return header


def _check_figures(path: Path, header: Header) -> None:
    """Raise ModelError for sizes and shares that no model has."""
    architecture = header.values.get("general.architecture")
    for name, most in MOST.items():
        value = header.values.get(
            f"{architecture}.{name}", 1
        )  # a list of one for each layer is none
        least = 1 if name == LAYERS else 0
        if not isinstance(value, int) or not least <= value <= most:
            raise ModelError(f"{path}: expected {least}..{most:,} as {name}, found {value!r:.40}")
    for name, value in header.values.items():
        if name.endswith("epsilon") and not (isinstance(value, float) and 0 <= value < 1):
            raise ModelError(f"{path}: expected 0..1 as {name[:80]!a}, found {value!r:.40}")


def _check_weights(path: Path, header: Header) -> None:
    """Raise ModelError for tensors of a type that no weights have."""
    odd = next((one for one in header.tensors if one.type in WHOLE_NUMBERS), None)
    if odd:
        raise ModelError(f"{path}: expected weights, found type {odd.type} in {odd.name[:40]!a}")


def _check_vocabulary(path: Path, header: Header) -> None:
    """Raise ModelError where two tokens are the same text up to a NUL, where C ends a text.

    Those without text get names of their own.
    """
    every = texts_of(path, header.texts.get(TOKENS))
    tokens = [text for text in (token.partition(b"\0")[0] for token in every) if text]
    if len(set(tokens)) < len(tokens):
        token, times = Counter(tokens).most_common(1)[0]
        raise ModelError(f"{path}: expected a vocabulary, found {token[:40]!r} {times} times in it")
