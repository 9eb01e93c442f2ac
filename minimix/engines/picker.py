"""What picks the next token of one sequence, freely or held to a grammar."""

import ctypes
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from minimix.engines.model import LlamaModel
from minimix.errors import ModelError
from minimix.extras import need

REFUSED = -np.inf
LIKELIEST = 256
"""Tokens that are looked at before all are, in a tenth of the time (1.0 ms, all 49,152: 11.6)."""
TOKEN = [("id", "i4"), ("logit", "f4"), ("p", "f4")]


class Picker:
    """A llama.cpp sampler chain."""

    def __init__(self, model: LlamaModel, chain: Any) -> None:
        """Take `chain` over."""
        self.model, self.c, self.chain = model, model.c, chain

    def pick(self, context: Any, index: int) -> int:
        """Return the token picked from the logits that stand at `index` in the context."""
        return int(self.c.llama_sampler_sample(self.chain, context, index))

    def pick_from(self, logits: np.ndarray) -> int:
        """Return the token picked from saved `logits` (vocabulary,)."""
        token, _ = self._apply(_table(np.arange(len(logits)), logits), self.chain)
        self.c.llama_sampler_accept(self.chain, token)
        return token

    def free(self) -> None:
        """Give the memory back."""
        self.c.llama_sampler_free(self.chain)

    def _apply(self, table: np.ndarray, *samplers: Any) -> tuple[int, float]:
        """Return the token that samplers select from a table, and its logit then.

        Samplers that select none leave the first.
        """
        data = table.ctypes.data_as(ctypes.POINTER(self.c.llama_token_data))
        array = self.c.llama_token_data_array(data, len(table), -1, False)
        for sampler in samplers:
            self.c.llama_sampler_apply(sampler, ctypes.byref(array))
        picked = array.data[max(array.selected, 0)]
        return int(picked.id), float(picked.logit)


class HeldPicker(Picker):
    """A chain that may pick only what a grammar allows.

    The grammar sees the chain's own pick first. Where it refuses that, the chain picks again, of
    what is allowed among the likeliest tokens, and of the whole vocabulary where that is none. But
    where the chain would end and the grammar allows to `close` with a text, that text is written.
    """

    def __init__(self, model: LlamaModel, chain: Any, grammar: str, *, close: str = "") -> None:
        """Take `chain` over. Raises ModelError where llama.cpp cannot read the GBNF grammar."""
        super().__init__(model, chain)
        self.grammar = self.c.llama_sampler_init_grammar(model.vocab, grammar.encode(), b"root")
        if not self.grammar:
            super().free()
            raise ModelError(f"llama.cpp cannot read this grammar: {grammar[:100]!r}")
        self.close, self.closing = model.tokenize(close, False), list[int]()
        self.everything = np.arange(model.vocabulary, dtype="i4")
        self.table = np.zeros(model.vocabulary, dtype=TOKEN)

    def pick(self, context: Any, index: int) -> int:
        """Return the allowed token picked from the logits that stand at `index`."""
        logits = self.c.llama_get_logits_ith(context, index)
        return self.pick_from(np.ctypeslib.as_array(logits, (self.model.vocabulary,)))

    def pick_from(self, logits: np.ndarray) -> int:
        """Return the allowed token picked from `logits` (vocabulary,)."""
        token = self.closing.pop(0) if self.closing else self._pick(logits)
        self.c.llama_sampler_accept(self.grammar, token)
        self.c.llama_sampler_accept(self.chain, token)
        return token

    def _pick(self, logits: np.ndarray) -> int:
        self.table["id"], self.table["logit"] = self.everything, logits  # no new memory: 0.03 ms
        token, _ = self._apply(self.table, self.chain)
        if self._allows(token, self.grammar):
            return token
        if self.close and self.model.ends(token) and self._may_close():
            first, *self.closing = self.close
            return first
        return self._pick_again(logits)

    def _may_close(self) -> bool:
        """Whether the grammar allows all of the closing text here, tried on a copy of it."""
        trial = self.c.llama_sampler_clone(self.grammar)
        allowed = 0
        while allowed < len(self.close) and self._allows(self.close[allowed], trial):
            self.c.llama_sampler_accept(trial, self.close[allowed])
            allowed += 1
        self.c.llama_sampler_free(trial)
        return allowed == len(self.close)

    def _pick_again(self, logits: np.ndarray) -> int:
        """Return the chain's pick of what the grammar allows.

        Raises ModelError where that is nothing: to accept what is refused would end the process.
        """
        few = min(LIKELIEST, len(logits))
        likeliest = np.argpartition(logits, -few)[-few:]
        likeliest.sort()  # what is equally likely keeps the vocabulary's order
        for ids in (likeliest, self.everything):
            allowed = _table(ids, logits[ids])
            self._apply(allowed, self.grammar)
            allowed = allowed[allowed["logit"] > REFUSED]
            allowed = allowed[~np.isin(allowed["id"], self.model.silent)]
            if len(allowed):
                return self._apply(allowed, self.chain)[0]
        raise ModelError(f"{self.model.path}: no token of its vocabulary fits the grammar")

    def _allows(self, token: int, grammar: Any) -> bool:
        """Whether a grammar allows a token.

        It would take a control token for the text it is called by, which the answer lacks.
        """
        _, logit = self._apply(_table([token], [0.0]), grammar)
        return logit > REFUSED and token not in self.model.silent

    def free(self) -> None:
        """Give the memory back."""
        self.c.llama_sampler_free(self.grammar)
        super().free()


def gbnf(schema: Mapping[str, Any]) -> str:
    """Return llama.cpp's own form of a JSON schema."""
    return str(need("llama_cpp.llama_grammar").json_schema_to_gbnf(json.dumps(schema)))


def _table(ids: Any, logits: Any) -> np.ndarray:
    table = np.zeros(len(ids), dtype=TOKEN)
    table["id"], table["logit"] = ids, logits
    return table
