"""One llama.cpp batch: tokens of several sequences that go through the model in one decode."""

from typing import Any

from minimix.engines.model import LlamaModel
from minimix.engines.stopping import Stopping
from minimix.errors import ModelError

BATCH = 512
"""Tokens in one decode, and so of prompt that are read at once."""


class Batch:
    """A batch for one context. Free it before the context."""

    def __init__(self, model: LlamaModel, context: Any, size: int = BATCH) -> None:
        """Take room for `size` tokens."""
        self.model, self.context = model, context
        self.raw = model.c.llama_batch_init(size, 0, 1)
        self.stopping = Stopping(model.c, context)

    def clear(self) -> None:
        """Begin anew."""
        self.raw.n_tokens = 0

    def put(self, token: int, position: int, seq: int, *, wanted: bool) -> int:
        """Add a token, its logits `wanted` or not, and return its place."""
        raw, index = self.raw, int(self.raw.n_tokens)
        raw.token[index], raw.pos[index] = token, position
        raw.n_seq_id[index], raw.seq_id[index][0] = 1, seq
        raw.logits[index] = wanted
        raw.n_tokens = index + 1
        return index

    def run(self) -> None:
        """Decode it. Raises ModelError where llama.cpp cannot, or was told to stop.

        Ctrl-C raises what it always does, within a fraction of a second.
        """
        with self.stopping.noted():
            code = self.model.c.llama_decode(self.context, self.raw)
        if code:
            raise ModelError(f"{self.model.path}: llama.cpp could not decode (code {code})")

    def free(self) -> None:
        """Give the memory back."""
        self.model.c.llama_batch_free(self.raw)
