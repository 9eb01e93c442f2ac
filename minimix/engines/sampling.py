"""How candidates are drawn."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minimix.engines.model import LlamaModel
from minimix.engines.picker import HeldPicker, Picker, gbnf
from minimix.grammar import CLOSE, grammar
from minimix.prompt import asked_of
from minimix.records import Messages

TOP_K = 40
"""Cut before top-p: sorting the whole vocabulary for it would cost milliseconds a token."""
NO_CUT = 1.0
"""The top-p that leaves the whole vocabulary, which then needs no sorting and is not cut at all."""
NO_PENALTY = 1.0
LAST = 256
"""The repetition penalty looks at so many of the answer's last tokens: at most answers whole."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How candidates are drawn; the first of each task is greedy, unless it is said not to be.

    `schema` is the JSON schema that every answer is held to, None for free text; `grammar` holds
    each to the form that its own prompt asks for. `min_p` is the share of the likeliest token's
    probability that others need to be drawn, `repetition_penalty` what the logits of tokens that
    the answer already has are divided by (below zero multiplied): of greedy candidates too.
    """

    candidates: int
    temperature: float
    top_p: float
    seed: int
    schema: Mapping[str, Any] | None = None
    greedy_first: bool = True
    min_p: float = 0.0
    repetition_penalty: float = NO_PENALTY
    grammar: bool = False

    def is_greedy(self, candidate: int) -> bool:
        """Whether a candidate takes the likeliest token each time."""
        return self.temperature == 0 or (candidate == 0 and self.greedy_first)

    def held_to(self, chat: Messages) -> str | None:
        """Return the grammar in GBNF that answers to a chat are held to, None for free text.

        A chat that `minimix.prompt` did not make has no form of its own.
        """
        if self.schema is not None:
            return gbnf(self.schema)
        asked = asked_of(chat) if self.grammar else None
        return grammar(asked[0], think=asked[1]) if asked else None

    def picker(
        self, model: LlamaModel, prompt: bytes, candidate: int, *, held: str | None = None
    ) -> Picker:
        """Return what picks a candidate's tokens, `held` to a grammar; the caller frees it.

        Its seed follows from the run's, the prompt and the candidate's number alone. Raises
        ModelError where llama.cpp cannot read the grammar.
        """
        chain = self._chain(model.c, prompt, candidate, vocabulary=model.vocabulary)
        if held is None:
            return Picker(model, chain)
        return HeldPicker(model, chain, held, close="" if self.schema else CLOSE)

    def for_servers(self) -> dict[str, float]:
        """Return what a request says of it beyond OpenAI's own fields: what is set, and no more.

        The penalty goes by the name it has in vLLM, and by that in llama-server.
        """
        found = {"min_p": self.min_p} if self.min_p else {}
        if self.repetition_penalty != NO_PENALTY:
            found["repetition_penalty"] = found["repeat_penalty"] = self.repetition_penalty
        return found

    def _chain(self, c: Any, prompt: bytes, candidate: int, *, vocabulary: int = 0) -> Any:
        chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
        if self.repetition_penalty != NO_PENALTY:
            penalty = c.llama_sampler_init_penalties(
                vocabulary, LAST, self.repetition_penalty, 0.0, 0.0
            )
            c.llama_sampler_chain_add(chain, penalty)
        if self.is_greedy(candidate):
            c.llama_sampler_chain_add(chain, c.llama_sampler_init_greedy())
            return chain
        likeliest = top_k(self.top_p)
        if likeliest:
            c.llama_sampler_chain_add(chain, c.llama_sampler_init_top_k(likeliest))
            c.llama_sampler_chain_add(chain, c.llama_sampler_init_top_p(self.top_p, 1))
        if self.min_p:
            c.llama_sampler_chain_add(chain, c.llama_sampler_init_min_p(self.min_p, 1))
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
