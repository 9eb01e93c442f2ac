"""Where a model with its LoRA comes from: transformers and peft, or Unsloth on a GPU.

All calls of Unsloth stand here. It must be imported before trl, transformers and peft, so
`prepare` is the first thing that a training does.
"""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minimix.errors import ConfigError, ModelError, brief
from minimix.extras import need
from minimix.train.adapter import quiet_transformers
from minimix.train.base import base_folder

PLAIN, UNSLOTH = "plain", "unsloth"
TRAINED, REFERENCE = "default", "ref"
"""Names of LoRAs, those of peft and trl."""
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The seven linear modules of a layer, which the LoRA sits on."""
UNUSED_SHARE = 0.5
"""What Unsloth takes where there is no vLLM: its own default."""
UNREADABLE = (OSError, ValueError, KeyError, RuntimeError)


def has_gpu() -> bool:
    """Whether there is a CUDA device."""
    return bool(need("torch").cuda.is_available())


def precision() -> Any:
    """Return the torch type that models compute in: bf16 on a GPU, or a CPU with AMX; else float32.

    Without AMX products in bf16 take 1.7 times as long as in float32 (docs/training.md).
    """
    torch = need("torch")
    fast = has_gpu() or torch.cpu.get_capabilities().get("amx_tile")
    return torch.bfloat16 if fast else torch.float32


def writes_with(generator: str, backend: str) -> str:
    """Return what writes candidates: "vllm" or "transformers".

    "auto" is vLLM where Unsloth runs on a GPU and vLLM is there. Raises ConfigError where it is
    asked for and cannot be.
    """
    there = importlib.util.find_spec("vllm") is not None
    if generator == "auto":
        return "vllm" if there and backend == UNSLOTH and has_gpu() else "transformers"
    if generator == "vllm" and not (there and has_gpu()):
        lacks = "a GPU" if there else "the package; run: pip install vllm"
        raise ConfigError(f"generator: vllm lacks {lacks}; transformers does without")
    return generator


def prepare(backend: str) -> str:
    """Return the backend that will be used, "plain" or "unsloth", and import it.

    "auto" is Unsloth where there are a GPU and the package. Raises MissingExtraError where it is
    asked for and not installed.
    """
    os.environ["UNSLOTH_DISABLE_STATISTICS"] = "1"  # its telemetry
    if backend == "auto":
        there = importlib.util.find_spec("unsloth") is not None
        backend = UNSLOTH if there and has_gpu() else PLAIN
    if backend == UNSLOTH:
        need("unsloth", extra="gpu")
    quiet_transformers()
    need("trl", extra="train")
    need("matplotlib.figure", extra="train")  # missed now rather than at the first checkpoint
    return backend


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A base with a LoRA on it. `vllm_share` is of a GPU's memory for vLLM, 0 to do without."""

    base: str
    r: int
    lora_alpha: int
    lora_dropout: float
    load_in_4bit: bool
    gradient_checkpointing: bool
    max_length: int
    seed: int
    vllm_share: float = 0.0


def open_model(wanted: Wanted, backend: str) -> tuple[Any, Any]:
    """Return the base with a fresh LoRA, and its tokenizer.

    The LoRA is float32, the base in `precision`. Raises ModelError where it cannot be loaded.
    """
    folder = base_folder(wanted.base)
    try:
        if backend == UNSLOTH:
            return _open_unsloth(folder, wanted)
        model = _open_plain(folder, load_in_4bit=wanted.load_in_4bit)
        return _with_lora(model, wanted), _open_tokenizer(folder)
    except UNREADABLE as error:
        raise ModelError(f"base {wanted.base}: cannot be loaded ({brief(error)})") from error


def _open_plain(folder: str, *, load_in_4bit: bool) -> Any:
    transformers = need("transformers", extra="train")
    given: dict[str, Any] = {}
    if load_in_4bit:
        need("bitsandbytes", extra="gpu")
        given["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=precision(),
            bnb_4bit_use_double_quant=True,
        )
        given["device_map"] = {"": int(os.environ.get("LOCAL_RANK", 0)) if has_gpu() else "cpu"}
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=precision(), use_safetensors=True, trust_remote_code=False, **given
    )
    if load_in_4bit:
        keep_gradients(model)
    return model


def keep_gradients(model: Any) -> None:
    """Keep 4-bit layers on a CPU from repacking themselves.

    An evaluation would, and after it no gradient passes through them (bitsandbytes, AVX512-BF16).
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _open_tokenizer(folder: str) -> Any:
    transformers = need("transformers", extra="train")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _with_lora(model: Any, wanted: Wanted) -> Any:
    peft = need("peft", extra="train")
    need("transformers").set_seed(wanted.seed)
    lora = peft.LoraConfig(
        r=wanted.r,
        lora_alpha=wanted.lora_alpha,
        lora_dropout=wanted.lora_dropout,
        target_modules=list(LINEAR),
        bias="none",
        task_type="CAUSAL_LM",
    )
    return peft.get_peft_model(model, lora)


def _open_unsloth(folder: str, wanted: Wanted) -> tuple[Any, Any]:
    unsloth = need("unsloth", extra="gpu")
    model, tokenizer = unsloth.FastLanguageModel.from_pretrained(
        model_name=folder,
        max_seq_length=wanted.max_length,
        max_lora_rank=wanted.r,
        fast_inference=wanted.vllm_share > 0,
        gpu_memory_utilization=wanted.vllm_share or UNUSED_SHARE,
        dtype=precision(),
        load_in_4bit=wanted.load_in_4bit,
        trust_remote_code=False,
        use_gradient_checkpointing=_checkpointing(wanted.gradient_checkpointing),
        random_state=wanted.seed,
    )
    model = unsloth.FastLanguageModel.get_peft_model(
        model,
        r=wanted.r,
        lora_alpha=wanted.lora_alpha,
        lora_dropout=wanted.lora_dropout,
        target_modules=list(LINEAR),
        bias="none",
        use_gradient_checkpointing=_checkpointing(wanted.gradient_checkpointing),
        random_state=wanted.seed,
        max_seq_length=wanted.max_length,
    )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def _checkpointing(wanted: bool) -> str | bool:  # noqa: FBT001
    return "unsloth" if wanted else False


def load_weights(model: Any, folder: Path) -> None:
    """Put the weights of a LoRA on disk into the fresh one of a model.

    Raises ModelError where they do not fit.
    """
    peft, safetensors = need("peft", extra="train"), need("safetensors.torch")
    try:
        found = safetensors.load_file(str(folder / "adapter_model.safetensors"))
        loaded = peft.set_peft_model_state_dict(model, found)
    except (*UNREADABLE, need("safetensors").SafetensorError) as error:
        raise ModelError(f"{folder}: does not fit its base ({brief(error)})") from error
    lacking = [key for key in loaded.missing_keys if f".{TRAINED}." in key]
    strange = [*loaded.unexpected_keys, *lacking]
    if strange:
        raise ModelError(f"{folder}: expected a LoRA on {', '.join(LINEAR)}, found {strange[0]}")


def keep_reference(model: Any) -> None:
    """Add the LoRA as it is as a frozen second one, "ref", which the KL divergence is from.

    trl does so itself, but not under Unsloth, whose reference would be the base.
    """
    if REFERENCE in model.peft_config:
        return
    model.add_adapter(REFERENCE, model.peft_config[TRAINED])
    for name, parameter in model.named_parameters():
        if f".{TRAINED}." in name:
            model.get_parameter(name.replace(f".{TRAINED}.", f".{REFERENCE}.")).data.copy_(
                parameter.data
            )


def save_adapter(model: Any, base: str, folder: Path) -> None:
    """Write the LoRA in peft's layout; it names the base as the settings do, not by its path."""
    for lora in model.peft_config.values():
        lora.base_model_name_or_path = base
    model.save_pretrained(
        str(folder),
        safe_serialization=True,
        selected_adapters=[TRAINED],
        save_embedding_layers=False,  # deciding about them would look the base up on the hub
    )
    (folder / "README.md").unlink(missing_ok=True)  # a card that names paths of this machine
