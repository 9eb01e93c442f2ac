"""What picks the next token of one sequence."""

import ctypes
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

TOP_K = 40
"""Cut before top-p: sorting the whole vocabulary for it would cost milliseconds a token."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How candidates are drawn; the first of each task is greedy."""

    candidates: int
    temperature: float
    top_p: float
    seed: int

    def chain(self, c: Any, prompt: bytes, candidate: int) -> Any:
        """Return a llama.cpp sampler chain for a candidate; the caller frees it.

        Its seed follows from the run's, the prompt and the candidate's number alone.
        """
        chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
        if candidate == 0 or self.temperature == 0:
            c.llama_sampler_chain_add(chain, c.llama_sampler_init_greedy())
            return chain
        c.llama_sampler_chain_add(chain, c.llama_sampler_init_top_k(TOP_K))
        c.llama_sampler_chain_add(chain, c.llama_sampler_init_top_p(self.top_p, 1))
        c.llama_sampler_chain_add(chain, c.llama_sampler_init_temp(self.temperature))
        seed = candidate_seed(self.seed, prompt, candidate)
        c.llama_sampler_chain_add(chain, c.llama_sampler_init_dist(seed))
        return chain


def candidate_seed(seed: int, prompt: bytes, candidate: int) -> int:
    """Return 31 bits that depend on the run's seed, the prompt and the candidate's number."""
    digest = hashlib.sha256(b"%d\0%d\0%s" % (seed, candidate, prompt)).digest()
    return int.from_bytes(digest[:4], "little") >> 1


def sample_from(c: Any, chain: Any, logits: np.ndarray) -> int:
    """Return the token `chain` picks from saved `logits` (vocabulary,) and accept it."""
    table = np.zeros(len(logits), dtype=[("id", "i4"), ("logit", "f4"), ("p", "f4")])
    table["id"] = np.arange(len(logits))
    table["logit"] = logits
    data = table.ctypes.data_as(ctypes.POINTER(c.llama_token_data))
    array = c.llama_token_data_array(data, len(table), -1, False)
    c.llama_sampler_apply(chain, ctypes.byref(array))
    token = int(array.data[array.selected].id)
    c.llama_sampler_accept(chain, token)
    return token
