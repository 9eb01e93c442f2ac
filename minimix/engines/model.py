"""A GGUF file opened through llama.cpp's low-level API: its weights, vocabulary and template.

The high-level class of llama-cpp-python serves one sequence at a time; everything here exists
because many share one context (`minimix.engines.llama`).
"""

import ctypes
import os
from functools import cached_property
from pathlib import Path
from typing import Any

from minimix.engines.sound import check_adapter, check_model
from minimix.errors import ModelError
from minimix.extras import need
from minimix.prompt import token_ids
from minimix.records import Messages


class LlamaModel:
    """An open model. Close it, or use it in a `with` block; nothing else may outlive it."""

    def __init__(
        self,
        path: Path,
        *,
        adapter: Path | None = None,
        gpu_layers: int = -1,
        repack: bool = True,
        flash: bool = False,
    ) -> None:
        """Open the file at `path`, with a LoRA `adapter` in GGUF on top of it.

        `repack=False` keeps llama.cpp from re-ordering weights for AMX, which crashes with some
        compilers; `flash` says whether flash attention pays here. Raises ModelError
        where a file is no whole GGUF of its kind, or llama.cpp refuses
        it.
        """
        check_model(path)
        if adapter:
            check_adapter(adapter)
        self.c: Any = need("llama_cpp")
        self.path, self.repack, self.flash, self.gpu_layers = path, repack, flash, 0
        hush(self.c)
        self.c.llama_backend_init()
        params = self.c.llama_model_default_params()
        if self.c.llama_supports_gpu_offload():
            self.gpu_layers = gpu_layers
        params.n_gpu_layers = self.gpu_layers
        params.use_extra_bufts = repack
        self.pointer = self.c.llama_model_load_from_file(os.fsencode(path), params)
        if not self.pointer:
            raise ModelError(f"{path}: llama.cpp cannot load it (damaged, or not supported)")
        self.vocab = self.c.llama_model_get_vocab(self.pointer)
        self._pieces: dict[int, bytes] = {}
        self.adapter = self._open_adapter(adapter) if adapter else None

    def __enter__(self) -> "LlamaModel":
        """Return the model itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Free the weights; a second call does nothing."""
        if self.pointer:
            self.c.llama_model_free(self.pointer)
            self.pointer = None

    def _open_adapter(self, path: Path) -> Any:
        adapter = self.c.llama_adapter_lora_init(self.pointer, os.fsencode(path))
        if not adapter:
            raise ModelError(f"{path}: is no LoRA that fits {self.path.name}")
        return adapter

    @cached_property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return int(self.c.llama_vocab_n_tokens(self.vocab))

    @cached_property
    def trained_context(self) -> int:
        """Tokens of context the model was trained on."""
        return int(self.c.llama_model_n_ctx_train(self.pointer))

    @cached_property
    def cache_values(self) -> int:
        """Values that one token takes in the key-value cache."""
        c, model = self.c, self.pointer
        usual = c.llama_model_n_embd(model) // max(1, c.llama_model_n_head(model))
        architecture = self._metadata("general.architecture")
        widths = [
            int(self._metadata(f"{architecture}.attention.{name}_length") or usual)
            for name in ("key", "value")  # some models have wider heads than their width says
        ]
        heads = c.llama_model_n_layer(model) * c.llama_model_n_head_kv(model)
        return int(heads * sum(widths))

    @cached_property
    def template(self) -> str:
        """The chat template in the file.

        Raises ModelError for none: a borrowed template would show the model a foreign form.
        """
        found = self.c.llama_model_chat_template(self.pointer, None)
        if not found:
            raise ModelError(f"{self.path}: has no chat template; use an instruct model's GGUF")
        return _decoded(found)

    def prompt_ids(self, messages: Messages) -> list[int]:
        """Return the token ids of a chat up to where the model speaks."""
        special = (self._text(self.c.llama_vocab_bos), self._text(self.c.llama_vocab_eos))
        ids = token_ids(messages, self.template, special, self.tokenize)
        bos = int(self.c.llama_vocab_bos(self.vocab))
        wanted = self.c.llama_vocab_get_add_bos(self.vocab)
        return [bos, *ids] if wanted and ids[:1] != [bos] else ids

    def tokenize(self, text: str, control: bool) -> list[int]:  # noqa: FBT001 - prompt.Tokenize
        """Return the ids of `text`; control tokens in it are recognised only where asked."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        ids = (self.c.llama_token * room)()
        count = self.c.llama_tokenize(self.vocab, data, len(data), ids, room, False, control)
        if count < 0:
            raise ModelError(f"{self.path}: cannot tokenise {text[:40]!r}")
        return list(ids[:count])

    def piece(self, token: int) -> bytes:
        """Return the bytes a token stands for; none for a control token."""
        known = self._pieces.get(token)
        if known is None:
            buffer = ctypes.create_string_buffer(256)
            size = self.c.llama_token_to_piece(self.vocab, token, buffer, 256, 0, False)
            if size < 0:  # a piece of more bytes: the answer is how many
                buffer = ctypes.create_string_buffer(-size)
                size = self.c.llama_token_to_piece(self.vocab, token, buffer, -size, 0, False)
            known = self._pieces[token] = buffer.raw[: max(size, 0)]
        return known

    @cached_property
    def silent(self) -> tuple[int, ...]:
        """The control tokens that neither end a turn nor add to its text."""
        is_control = self.c.llama_vocab_is_control
        tokens = [token for token in range(self.vocabulary) if is_control(self.vocab, token)]
        return tuple(token for token in tokens if not self.ends(token))

    def ends(self, token: int) -> bool:
        """Whether the model ends its turn with this token."""
        return bool(self.c.llama_vocab_is_eog(self.vocab, token))

    def _metadata(self, key: str) -> str:
        """Return a value of the file's metadata as text, "" for none."""
        buffer = ctypes.create_string_buffer(64)
        size = self.c.llama_model_meta_val_str(self.pointer, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if size >= 0 else ""

    def _text(self, which: Any) -> str:
        token = which(self.vocab)
        return "" if token < 0 else _decoded(self.c.llama_vocab_get_text(self.vocab, token))


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def hush(c: Any) -> None:
    """Keep llama.cpp's own log off stderr, where the progress bar is."""
    if not hasattr(c, "minimix_log"):
        c.minimix_log = c.llama_log_callback(lambda _level, _text, _data: None)
    c.llama_log_set(c.minimix_log, ctypes.c_void_p(0))
