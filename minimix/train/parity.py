"""Whether a GGUF says what the model in transformers says, token by token.

The same texts go through both, their answers given rather than written, and the logits at each
answer token are compared. A converter that takes the wrong pre-tokenizer, rope or order of rows
still writes a file that loads and talks; here it shows.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minimix.engines import open_model
from minimix.engines.batch import BATCH, Batch
from minimix.engines.llama import CONTEXT_STEP, FLASH_OFF
from minimix.engines.model import LlamaModel
from minimix.errors import ModelError, brief
from minimix.extras import need
from minimix.mixture.tasks import Example, target
from minimix.prompt import to_messages
from minimix.records import Vectors
from minimix.train.adapter import UNREADABLE, quiet_transformers
from minimix.train.tokens import chat_ids, tokenize_with

TASKS = Path(__file__).with_name("parity.jsonl")
"""Six pairs of rows of the example, and what a fusion of each could be."""
MOST_TOKENS = 64
"""Tokens compared of one answer: their logits are held for the whole vocabulary."""


@dataclass(frozen=True, slots=True)
class Text:
    """Token ids of a prompt and an answer; the answer begins at `start`."""

    ids: list[int]
    start: int


@dataclass(frozen=True, slots=True)
class Parity:
    """How far two ways of running a model agree on `positions` tokens.

    `agreed` of them have the same likeliest next token. The differences are between raw logits;
    `spread` is the standard deviation of the logits themselves.
    """

    name: str
    positions: int
    agreed: int
    mean_difference: float
    max_difference: float
    spread: float

    def __str__(self) -> str:
        """Return the comparison as a line."""
        share = self.agreed / self.positions
        return (
            f"{self.name}: {self.agreed:,} of {self.positions:,} tokens agree ({share:.1%}), "
            f"logits differ by {self.mean_difference:.3g} on average, {self.max_difference:.3g} "
            f"at most (spread {self.spread:.3g})"
        )


@dataclass(frozen=True, slots=True)
class Bound:
    """The least share of agreeing tokens, and differences at most, in parts of the spread."""

    agreed: float
    mean: float = np.inf
    most: float = np.inf


EXACT = Bound(agreed=0.98, mean=0.005, most=0.25)
"""For f16. Measured on the bundled model: 359 of 360, 0.1 % and 0.9 %; on a tiny random
Qwen2 354 of 355, 0.2 % and 7 %."""
COARSE = Bound(agreed=0.75)
"""For quantised files. Measured there: 95 to 98 % with 3 to 8 bits, 90 % with 2."""
FLOOR = 0.003
"""Mean difference, in parts of the spread, that rounding to f16 may make of any model."""
LOST = 0.1
"""Part of what an adapter changes that may be lost in its GGUF."""


def require(parity: Parity, bound: Bound) -> Parity:
    """Return `parity`; raises ModelError where it is beyond `bound`."""
    mean, most = bound.mean * parity.spread, bound.most * parity.spread
    if (
        parity.agreed < bound.agreed * parity.positions
        or not parity.mean_difference <= mean
        or not parity.max_difference <= most
    ):
        limits = "" if np.isinf(mean) else f", {mean:.3g} on average and {most:.3g} at most"
        raise ModelError(
            f"{parity}; expected {bound.agreed:.0%}{limits} (--no-check exports it all the same)"
        )
    return parity


def adapter_bound(moved: Parity) -> Bound:
    """Return the bound for an adapter's GGUF, which must lose little of what the adapter changes.

    `moved` compares the base with the merged model. A weak adapter changes less than `EXACT`
    allows: without it, a file that does nothing would pass.
    """
    effect = moved.mean_difference / moved.spread
    return Bound(EXACT.agreed, min(EXACT.mean, max(FLOOR, LOST * effect)), EXACT.most)


def compare(name: str, expected: Vectors, found: Vectors) -> Parity:
    """Return how far the logits `found` are from those `expected`: (positions, vocabulary) each."""
    if expected.shape != found.shape:
        raise ModelError(f"{name}: expected logits of {expected.shape}, found {found.shape}")
    difference = np.abs(expected - found)
    return Parity(
        name,
        positions=len(expected),
        agreed=int((expected.argmax(axis=1) == found.argmax(axis=1)).sum()),
        mean_difference=float(difference.mean()),
        max_difference=float(difference.max()),
        spread=float(expected.std()),
    )


def read_texts(path: Path, tokenizer: Any, examples: Sequence[Example]) -> tuple[Text, ...]:
    """Return examples as ids, after the GGUF at `path` and the tokenizer have made the same ones.

    Raises ModelError where they differ, or the file has no chat template.
    """
    texts = []
    tokenize = tokenize_with(tokenizer)
    with LlamaModel(path, gpu_layers=0) as model:
        for example in examples:
            chat, answer = to_messages(example.task), target(example)
            prompt, rest = model.prompt_ids(chat), model.tokenize(answer, False)
            if (prompt, rest) != (chat_ids(tokenizer, chat), tokenize(answer, False)):
                raise ModelError(
                    f"{path}: splits {example.task.parts[0][:40]!r} into other tokens than the "
                    "tokenizer of the folder does"
                )
            texts.append(Text(prompt + rest[:MOST_TOKENS], len(prompt)))
    return tuple(texts)


def transformers_logits(folder: Path, texts: Sequence[Text]) -> Vectors:
    """Return the logits that foresee each answer token, computed in float32.

    (answer tokens, vocabulary), text after text. Raises ModelError where transformers cannot.
    """
    torch, transformers = need("torch"), quiet_transformers()
    found = []
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
        )
        with torch.inference_mode():
            for text in texts:
                logits = model(torch.tensor([text.ids[:-1]])).logits[0, text.start - 1 :]
                found.append(logits.float().numpy())
    except UNREADABLE as error:
        raise ModelError(f"{folder}: transformers cannot run it ({brief(error)})") from error
    return np.concatenate(found)


def gguf_logits(
    path: Path, texts: Sequence[Text], *, threads: int, adapter: Path | None = None
) -> Vectors:
    """Return the same from a GGUF, with a LoRA on top where one is given, as it is served here.

    Raises ModelError where llama.cpp cannot.
    """
    with open_model(path, adapter=adapter, gpu_layers=0) as model:
        context = _context(model, max(len(text.ids) for text in texts), threads)
        batch = Batch(model, context)
        try:
            return np.concatenate([_read(text, context, batch) for text in texts])
        finally:
            batch.free()
            model.c.llama_free(context)


def _context(model: LlamaModel, tokens: int, threads: int) -> Any:
    c = model.c
    params = c.llama_context_default_params()
    params.n_seq_max, params.n_ctx = 1, max(BATCH, -(-tokens // CONTEXT_STEP) * CONTEXT_STEP)
    params.n_batch = params.n_ubatch = BATCH
    params.n_threads = params.n_threads_batch = threads
    params.flash_attn_type, params.no_perf = FLASH_OFF, True
    context = c.llama_init_from_model(model.pointer, params)
    if not context:
        raise ModelError(f"{model.path}: no memory for a context of {params.n_ctx} tokens")
    if model.adapter:
        adapters = (c.llama_adapter_lora_p_ctypes * 1)(model.adapter)
        c.llama_set_adapters_lora(context, adapters, 1, (ctypes.c_float * 1)(1.0))
    return context


def _read(text: Text, context: Any, batch: Batch) -> Vectors:
    c = batch.model.c
    c.llama_memory_clear(c.llama_get_memory(context), False)
    ids, found = text.ids[:-1], []
    for start in range(0, len(ids), BATCH):
        batch.clear()
        for at, token in enumerate(ids[start : start + BATCH], start):
            batch.put(token, at, 0, wanted=at >= text.start - 1)
        batch.run()
        rows = start + int(batch.raw.n_tokens) - max(start, text.start - 1)
        if rows > 0:
            logits = c.llama_get_logits(context)
            found.append(np.ctypeslib.as_array(logits, (rows, batch.model.vocabulary)).copy())
    return np.concatenate(found)
