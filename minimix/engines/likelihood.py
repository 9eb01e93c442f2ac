"""How likely the embedded model finds an answer, with what was asked before it and without.

Nothing is generated: a text is read once, and the logits at its answer's tokens say how well each
was foreseen.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from minimix.config import BUNDLED, EXTRACT, EngineConfig
from minimix.engines import find_model, open_model
from minimix.engines.batch import BATCH, Batch
from minimix.engines.bundled import fast_model
from minimix.engines.model import LlamaModel
from minimix.errors import ConfigError, ModelError
from minimix.records import Messages, Vectors
from minimix.threads import cores

TOGETHER_GPU = 16
ROWS = 64
"""Positions whose logits are normalised at once: the whole batch would take 100 MB more."""

NOTHING: Messages = [{"role": "user", "content": ""}]

Pair = tuple[Messages | None, str]


@dataclass(frozen=True, slots=True)
class Text:
    """A pair as tokens: those of its answer begin at `start`, and something stands before them."""

    row: int
    ids: list[int]
    start: int


def open_likelihood(config: EngineConfig) -> Callable[[Sequence[Pair]], Vectors]:
    """Return the function from (chat or None, answer) to the answer's mean surprise in nats.

    The weights are those of `config.model` alone, without any LoRA: what was trained to fuse says
    little of what is hard to follow. Raises ConfigError where the settings name no GGUF, ModelError
    where it cannot be found, read or run here.
    """
    if config.base_url or config.model == EXTRACT:
        found = "a server" if config.base_url else f"{EXTRACT!r}"
        raise ConfigError(
            f"model: expected a GGUF, found {found}; likelihoods come from the embedded model alone"
        )
    path = fast_model() if config.model == BUNDLED else find_model(config.model)
    model = open_model(path, gpu_layers=config.gpu_layers)
    gpu = config.gpu_layers and model.c.llama_supports_gpu_offload()
    reader = Reader(
        model,
        threads=config.threads or cores(),
        context=min(config.context, model.trained_context),
        together=TOGETHER_GPU if gpu else 1,
    )
    return reader.surprise


class Reader:
    """Reads texts with an open model, from a clean context for each list."""

    def __init__(self, model: LlamaModel, *, threads: int, context: int, together: int) -> None:
        """Keep the settings: `context` is in tokens of one text, `together` texts in one decode.

        One at a time makes a value depend on its own text alone, to the last bit; on a CPU more
        are no faster (measured: 118 texts in 56 and 60 s), as one fills the arithmetic already.
        """
        self.model, self.c, self.threads = model, model.c, threads
        self.context, self.together = context, together

    def surprise(self, pairs: Sequence[Pair]) -> Vectors:
        """Return the mean negative log-likelihood of each answer's tokens: (n,), in nats.

        Without a chat the answer follows one that asks nothing, so that all else is the same. NaN
        where both do not fit the context, or the answer has no token.
        """
        texts = [self._text(row, *pair) for row, pair in enumerate(pairs)]
        fitting = [text for text in texts if text.start < len(text.ids) <= self.context]
        values = np.full(len(pairs), np.nan, dtype=np.float32)
        if fitting:
            with self._opened() as (context, batch):
                for pack in _packs(fitting, self.together):
                    for text, total in zip(pack, self._read(pack, context, batch), strict=True):
                        values[text.row] = total / (len(text.ids) - text.start)
        return values

    def _text(self, row: int, chat: Messages | None, answer: str) -> Text:
        before = self.model.prompt_ids(NOTHING if chat is None else chat)
        return Text(row, before + self.model.tokenize(answer, False), len(before))

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, Batch]]:
        c = self.c
        params = c.llama_context_default_params()
        params.n_seq_max, params.n_ctx = self.together, max(self.context, BATCH)
        params.n_batch = params.n_ubatch = BATCH
        params.n_threads = params.n_threads_batch = self.threads
        params.flash_attn_type, params.kv_unified, params.no_perf = 0, True, True
        context = c.llama_init_from_model(self.model.pointer, params)
        if not context:
            raise ModelError(
                f"{self.model.path}: no memory for {params.n_ctx} tokens; give a smaller --context"
            )
        batch = Batch(self.model, context)
        try:
            yield context, batch
        finally:
            batch.free()
            c.llama_free(context)

    def _read(self, pack: Sequence[Text], context: Any, batch: Batch) -> np.ndarray:
        """Return the summed negative log-likelihood of each text's answer: (texts,)."""
        self.c.llama_memory_clear(self.c.llama_get_memory(context), False)
        totals = np.zeros(len(pack))
        places = [(seq, at) for seq, text in enumerate(pack) for at in range(len(text.ids))]
        for start in range(0, len(places), BATCH):
            batch.clear()
            asked = []
            for seq, at in places[start : start + BATCH]:
                text = pack[seq]
                wanted = text.start - 1 <= at < len(text.ids) - 1
                batch.put(text.ids[at], at, seq, wanted=wanted)
                if wanted:
                    asked.append((seq, text.ids[at + 1]))
            batch.run()
            if asked:
                seqs, tokens = np.array(asked).T
                logits = self.c.llama_get_logits(context)
                rows = np.ctypeslib.as_array(logits, (len(asked), self.model.vocabulary))
                np.add.at(totals, seqs, surprises(rows, tokens))
        return totals


def surprises(logits: np.ndarray, tokens: np.ndarray) -> Vectors:
    """Return -log softmax(logits)[token] for each row of (n, vocabulary): (n,), in nats."""
    values = np.empty(len(tokens), dtype=np.float32)
    for start in range(0, len(tokens), ROWS):
        rows, wanted = logits[start : start + ROWS], tokens[start : start + ROWS]
        most = rows.max(axis=1)
        sums = np.exp(rows - most[:, None]).sum(axis=1)
        values[start : start + ROWS] = np.log(sums) + most - rows[np.arange(len(rows)), wanted]
    return values


def _packs(texts: Sequence[Text], together: int) -> Iterator[list[Text]]:
    """Yield texts to be read in one decode, the longest first; one that is longer stands alone."""
    pack: list[Text] = []
    for text in sorted(texts, key=lambda text: (-len(text.ids), text.row)):
        tokens = sum(len(other.ids) for other in pack) + len(text.ids)
        if pack and (len(pack) == together or tokens > BATCH):
            yield pack
            pack = []
        pack.append(text)
    yield pack
