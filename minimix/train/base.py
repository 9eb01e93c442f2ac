"""The base model as a transformers folder; the bundled one is made from the GGUF that is served.

Training starts from the weights as they are served, requantised and all: the adapter then learns
on the very model it will sit on.
"""

import os
import shutil
from pathlib import Path
from typing import Any

from minimix.config import BUNDLED
from minimix.disk import file_sha256, unwritable
from minimix.engines.bundled import NAME, cache_folder, fast_model
from minimix.errors import ModelError, brief
from minimix.extras import need

CONTROL = 3
"""Type of a control token in a GGUF vocabulary."""
SPECIAL = {
    "bos_token": "bos_token_id",
    "eos_token": "eos_token_id",
    "pad_token": "padding_token_id",
    "unk_token": "unknown_token_id",
}
WEIGHTS = "model.safetensors"


def base_folder(name: str) -> str:
    """Return what transformers loads for a base: a folder, or a hub id as it is.

    "bundled" is made once from the bundled model and kept in the cache (270 MB). Raises ModelError
    for a folder without safetensors, OutputError where the cache is not writable.
    """
    if name == BUNDLED:
        return str(bundled_base())
    folder = Path(name)
    if folder.is_dir() and not any(folder.glob("*.safetensors")):
        raise ModelError(f"{name}: expected weights in safetensors, found none")
    return name


def bundled_base() -> Path:
    """Return the folder of the bundled base in bf16, made on the first call."""
    source = fast_model()
    target = cache_folder() / f"{NAME}.bf16.{file_sha256(source):.12}"
    if (target / WEIGHTS).exists():
        return target
    temporary = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        _write_folder(source, temporary)
        temporary.replace(target)
    except OSError as error:
        if not (target / WEIGHTS).exists():  # another process may have been first
            raise unwritable(target, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _write_folder(source: Path, folder: Path) -> None:
    transformers, torch = need("transformers", extra="train"), need("torch")
    transformers.utils.logging.disable_progress_bar()
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            str(source.parent),
            gguf_file=source.name,
            dtype=torch.bfloat16,
            quantization_config=transformers.GgufConfig(dequantize=True),
        )
    except (ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{source}: transformers cannot read it ({brief(error)})") from error
    tokenizer = read_tokenizer(source)
    ends = {name: getattr(tokenizer, f"{name}_id") for name in SPECIAL if name != "unk_token"}
    model.generation_config = transformers.GenerationConfig(
        **{f"{name}_id": number for name, number in ends.items()}
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def read_tokenizer(gguf_file: Path) -> Any:
    """Return the tokenizer that a GGUF's metadata describe, chat template and all.

    transformers' own reading of this file takes the wrong end token and pre-tokenizer. Raises
    ModelError for a vocabulary of another sort.
    """
    reader = need("gguf", extra="train").GGUFReader(str(gguf_file))
    fields = {name: field.contents() for name, field in reader.fields.items()}
    sort = (fields.get("tokenizer.ggml.model"), fields.get("tokenizer.ggml.pre"))
    if sort != ("gpt2", "smollm"):
        raise ModelError(f"{gguf_file}: expected a vocabulary of sort gpt2/smollm, found {sort}")
    tokens = fields["tokenizer.ggml.tokens"]
    special = {
        name: tokens[fields[f"tokenizer.ggml.{key}"]]
        for name, key in SPECIAL.items()
        if f"tokenizer.ggml.{key}" in fields
    }
    tokenizer = need("transformers", extra="train").PreTrainedTokenizerFast(
        tokenizer_object=_byte_pairs(fields),
        model_max_length=fields["llama.context_length"],
        clean_up_tokenization_spaces=False,
        **special,
    )
    tokenizer.chat_template = fields["tokenizer.chat_template"]
    return tokenizer


def _byte_pairs(fields: dict[str, Any]) -> Any:
    tokenizers = need("tokenizers")
    before, tokens = tokenizers.pre_tokenizers, fields["tokenizer.ggml.tokens"]
    merges = [tuple(pair.split(" ", 1)) for pair in fields["tokenizer.ggml.merges"]]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=merges))
    made.pre_tokenizer = before.Sequence(
        [
            before.Digits(individual_digits=True),
            before.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    made.decoder = tokenizers.decoders.ByteLevel()
    sorts = zip(tokens, fields["tokenizer.ggml.token_type"], strict=True)
    made.add_special_tokens(
        [
            tokenizers.AddedToken(token, special=True, normalized=False)
            for token, sort in sorts
            if sort == CONTROL
        ]
    )
    return made
