"""The distiller that ships as an adapter in peft's layout, so that a training can go on from it.

It ships as a LoRA in GGUF alone: the same weights twice would double the package. GGUF holds the
rows of llama's query and key matrices in another order, which is turned back here.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from minimix.config import BUNDLED
from minimix.disk import file_sha256, unwritable
from minimix.engines.bundled import ADAPTER, cache_folder
from minimix.extras import need
from minimix.train.adapter import CONFIG, SETTINGS, WEIGHTS
from minimix.train.base import bundled_base

DISTILLER = Path(BUNDLED)
"""What is given in place of an adapter's folder to begin with the one that ships."""
MODULES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
TURNED = {"attn_q": "num_attention_heads", "attn_k": "num_key_value_heads"}
"""Modules whose rows llama.cpp's converter reorders, with the setting that counts their heads."""
HALVES = {"lora_a": "lora_A", "lora_b": "lora_B"}
ALPHA = "adapter.lora.alpha"


def shipped_adapter() -> Path:
    """Return the folder of the bundled distiller's adapter, made on the first call.

    Its weights are those of the GGUF, in float32, and its base is the bundled one. Raises
    OutputError where the cache is not writable.
    """
    target = cache_folder() / f"distiller.{file_sha256(ADAPTER):.12}"
    if (target / CONFIG).exists():
        return target
    temporary = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        temporary.mkdir(parents=True, exist_ok=True)
        _write(ADAPTER, bundled_base(), temporary)
        temporary.replace(target)
    except OSError as error:
        if not (target / CONFIG).exists():  # another process may have been first
            raise unwritable(target, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _write(source: Path, base: Path, folder: Path) -> None:
    heads = json.loads((base / SETTINGS).read_text(encoding="utf-8"))
    reader = need("gguf", extra="train").GGUFReader(source)
    weights, rank = {}, 0
    for tensor in reader.tensors:
        _, layer, module, _, half = tensor.name.split(".")
        matrix = tensor.data.astype("float32")
        if half == "lora_a":
            rank = len(matrix)
        elif module in TURNED:
            matrix = _turned_back(matrix, heads[TURNED[module]])
        name = f"base_model.model.model.layers.{layer}.{MODULES[module]}.{HALVES[half]}.weight"
        weights[name] = matrix
    need("safetensors.numpy").save_file(weights, folder / WEIGHTS)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": BUNDLED,
        "r": rank,
        "lora_alpha": int(reader.fields[ALPHA].contents()),
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(name.rpartition(".")[2] for name in MODULES.values()),
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=1), encoding="utf-8")


def _turned_back(matrix: Any, heads: int) -> Any:
    """Return rows as transformers has them: halves of a head apart, where GGUF pairs them."""
    rows, columns = matrix.shape
    pairs = matrix.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns).copy()
