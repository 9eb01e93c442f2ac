"""How candidates are drawn."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minimix.engines.model import LlamaModel
from minimix.engines.picker import HeldPicker, Picker, gbnf

TOP_K = 40
"""Cut before top-p: sorting the whole vocabulary for it would cost milliseconds a token."""
NO_CUT = 1.0
"""The top-p that leaves the whole vocabulary, which then needs no sorting and is not cut at all."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How candidates are drawn; the first of each task is greedy, unless it is said not to be.

    `schema` is the JSON schema that every answer is held to, None for free text.
    """

    candidates: int
    temperature: float
    top_p: float
    seed: int
    schema: Mapping[str, Any] | None = None
    greedy_first: bool = True

    def is_greedy(self, candidate: int) -> bool:
        """Whether a candidate takes the likeliest token each time."""
        return self.temperature == 0 or (candidate == 0 and self.greedy_first)

    def picker(self, model: LlamaModel, prompt: bytes, candidate: int) -> Picker:
        """Return what picks a candidate's tokens; the caller frees it.

        Its seed follows from the run's, the prompt and the candidate's number alone. Raises
        ModelError where the schema makes no grammar.
        """
        chain = self._chain(model.c, prompt, candidate)
        if self.schema is None:
            return Picker(model, chain)
        return HeldPicker(model, chain, gbnf(self.schema))

    def _chain(self, c: Any, prompt: bytes, candidate: int) -> Any:
        chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
        if self.is_greedy(candidate):
            c.llama_sampler_chain_add(chain, c.llama_sampler_init_greedy())
            return chain
        likeliest = top_k(self.top_p)
        if likeliest:
            c.llama_sampler_chain_add(chain, c.llama_sampler_init_top_k(likeliest))
            c.llama_sampler_chain_add(chain, c.llama_sampler_init_top_p(self.top_p, 1))
        c.llama_sampler_chain_add(chain, c.llama_sampler_init_temp(self.temperature))
        seed = candidate_seed(self.seed, prompt, candidate)
        c.llama_sampler_chain_add(chain, c.llama_sampler_init_dist(seed))
        return chain


def top_k(top_p: float) -> int | None:
    """Return to how many tokens a draw is cut before top-p, None for not at all.

    A top-p of 1 draws of the model's own distribution, as the candidates of GRPO are.
    """
    return None if top_p >= NO_CUT else TOP_K


def candidate_seed(seed: int, prompt: bytes, candidate: int) -> int:
    """Return 31 bits that depend on the run's seed, the prompt and the candidate's number."""
    digest = hashlib.sha256(b"%d\0%d\0%s" % (seed, candidate, prompt)).digest()
    return int.from_bytes(digest[:4], "little") >> 1
