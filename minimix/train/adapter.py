"""A LoRA in peft's layout and the base it belongs to: read, and merged into full weights."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minimix.errors import ModelError, OutputError, brief
from minimix.extras import need
from minimix.files import HUB_ID
from minimix.train.base import base_folder

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
SETTINGS = "config.json"
"""The file by which a transformers folder is known."""
INSIDE = "adapter"
"""The folder that a training leaves its adapter in."""
NEEDED = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt")
"""Files of a hub repository that a model in safetensors is made of."""
UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError)
"""What transformers and peft raise on folders that they cannot read."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA on disk; `base` is bundled, a folder or a hub id, `config` what peft wrote."""

    folder: Path
    base: str
    config: Mapping[str, Any]


def find_adapter(folder: Path) -> Path | None:
    """Return where the adapter of a folder lies: there, or in its `adapter`; None for none."""
    return next((at for at in (folder, folder / INSIDE) if (at / CONFIG).is_file()), None)


def read_adapter(folder: Path, base: str = "") -> Adapter:
    """Return the LoRA in `folder` on `base`, or on the base that it names itself.

    Raises ModelError where there is none, it is no LoRA, or its weights are not in safetensors.
    """
    found = find_adapter(folder)
    if not found:
        raise ModelError(f"{folder}: expected an adapter ({CONFIG}), found none")
    config = _read_json(found / CONFIG)
    if config.get("peft_type") != "LORA":
        raise ModelError(f"{found}: expected a LoRA, found peft_type {config.get('peft_type')!r}")
    if not (found / WEIGHTS).is_file():
        raise ModelError(f"{found}: expected {WEIGHTS}, found none; save it as safetensors")
    named = base or config.get("base_model_name_or_path")
    if not named:
        raise ModelError(f"{found / CONFIG}: names no base; give one with --base")
    return Adapter(found, str(named), config)


def check_plain(adapter: Adapter) -> None:
    """Raise ModelError where a LoRA in GGUF cannot say what the adapter is.

    It holds two matrices a module and one scale, lora_alpha / rank. What is more than that would
    be left out without a word; merged into the weights it is whole.
    """
    extras = ("use_dora", "use_rslora", "alpha_pattern", "modules_to_save", "lora_bias")
    found = [name for name in extras if adapter.config.get(name)]
    found += ["bias"] if adapter.config.get("bias", "none") != "none" else []
    if found:
        raise ModelError(
            f"{adapter.folder / CONFIG}: a LoRA in GGUF cannot hold {found[0]}; "
            "export the merged model alone, without --lora"
        )


def local_base(name: str) -> Path:
    """Return the folder of a base: the bundled one's, a folder, or a hub repository's copy here.

    Raises ModelError where there is none, or its weights are quantised.
    """
    given = base_folder(name)
    folder = Path(given)
    if not folder.is_dir():
        if not HUB_ID.fullmatch(given):
            raise ModelError(f"base {name}: no such folder; give another one with --base")
        folder = _download(given)
    check_unquantised(folder)
    return folder


def check_unquantised(folder: Path) -> None:
    """Raise ModelError unless `folder` holds a transformers model with its full weights."""
    if not (folder / SETTINGS).is_file():
        raise ModelError(f"{folder}: expected a transformers model ({SETTINGS}), found none")
    if _read_json(folder / SETTINGS).get("quantization_config"):
        raise ModelError(
            f"{folder}: is quantised, and merging or converting would keep its rounding; "
            "give the base with its full weights (--base)"
        )


def merge(adapter: Adapter, base: Path, target: Path) -> None:
    """Write the base with the LoRA added to its weights as a transformers folder in safetensors.

    Merged and written in float32: added in bfloat16, most of a small change would be rounded away.
    Raises ModelError where the two do not fit, or a merged weight is no number.
    """
    transformers, torch = quiet_transformers(), need("torch")
    peft = need("peft", extra="train")
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            base, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(base, trust_remote_code=False)
        merged = peft.PeftModel.from_pretrained(model, adapter.folder).merge_and_unload(
            safe_merge=True
        )
    except UNREADABLE as error:
        raise ModelError(
            f"{adapter.folder}: cannot be merged into {adapter.base} ({brief(error)})"
        ) from error
    try:
        merged.save_pretrained(target)
        tokenizer.save_pretrained(target)
    except need("safetensors").SafetensorError as error:  # a full disk, though it is no OSError
        raise OutputError(f"{target}: cannot be written ({brief(error)})") from error


def quiet_transformers() -> Any:
    """Return transformers, its bars and warnings off stderr, where our own bar is."""
    transformers = need("transformers", extra="train")
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # peft imports it where it is there
    return transformers


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({brief(error)})") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path}: expected settings as a JSON object")
    return found


def _download(name: str) -> Path:
    hub = need("huggingface_hub")
    try:
        return Path(hub.snapshot_download(name, allow_patterns=list(NEEDED)))
    except (OSError, ValueError, need("httpx").HTTPError) as error:
        raise ModelError(
            f"base {name}: no folder, and not to be had from the hub ({brief(error)}); "
            "give another one with --base"
        ) from error
