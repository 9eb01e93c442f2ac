"""From a transformers folder, or a LoRA, to GGUF, and from there to fewer bits.

The converters are llama.cpp's own (`minimix.train.converters`). They run in a process of their own:
they want their own `gguf` package, not the one that is installed.
"""

import ctypes
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from minimix.disk import write_bytes
from minimix.engines.model import hush
from minimix.errors import ModelError
from minimix.extras import need
from minimix.train.adapter import (
    CONFIG,
    SETTINGS,
    WEIGHTS,
    check_plain,
    local_base,
    read_adapter,
)
from minimix.train.converters import converters

MODEL_SCRIPT, LORA_SCRIPT = "convert_hf_to_gguf.py", "convert_lora_to_gguf.py"
QUANTISED = {
    "q8_0": 7,
    "q6_k": 18,
    "q5_k_m": 17,
    "q4_k_m": 15,
    "q4_k_s": 14,
    "q4_0": 2,
    "q3_k_m": 12,
}
"""Sorts of quantised files, with llama.cpp's number for each; finest first."""
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
OWN_GGUF = "NO_LOCAL_GGUF"
"""Set, it would have the converters take the installed `gguf`, which lacks what they use."""
ERROR = re.compile(r"ERROR:|[\w.]+(Error|Exception|Interrupt)\b")
"""How a line begins that tells of one: in the log, or at the end of a traceback."""


def to_gguf(folder: Path, target: Path, *, name: str) -> None:
    """Write the model in a transformers folder to `target`, a GGUF in f16 that is called `name`.

    Raises ModelError where llama.cpp's converter refuses it, and then leaves no file.
    """
    _convert(MODEL_SCRIPT, target, "--outtype", "f16", "--model-name", name, str(folder))


def write_lora_gguf(adapter_dir: Path, base: str, target: Path) -> None:
    """Write a peft adapter to `target`, whole or not at all: a LoRA in GGUF (f16) for its base.

    `base` is bundled, a folder or a hub id; "" for the one that the adapter names. Only its
    settings are read. The bytes depend on the adapter and the file's name alone. Raises ModelError
    where GGUF has no room for what the adapter is.
    """
    adapter = read_adapter(adapter_dir, base)
    check_plain(adapter)
    settings = local_base(adapter.base) / SETTINGS
    with tempfile.TemporaryDirectory(prefix="minimix-lora-") as temporary:
        name = target.name.removesuffix(".gguf").removesuffix(".lora")
        staged, base_folder = Path(temporary, "adapter", name), Path(temporary, "base")
        for folder, files in (
            (base_folder, [settings]),
            (staged, [adapter.folder / CONFIG, adapter.folder / WEIGHTS]),
        ):
            folder.mkdir(parents=True)
            for file in files:  # and no README of peft's: its paths would go into the GGUF
                (folder / file.name).symlink_to(file.resolve())
        made = Path(temporary, "made.gguf")
        _convert(LORA_SCRIPT, made, "--outtype", "f16", "--base", str(base_folder), str(staged))
        write_bytes(target, made.read_bytes())


def quantise(source: Path, target: Path, sort: str, *, threads: int) -> None:
    """Write the GGUF `source` to `target` in one of the sorts of `QUANTISED`.

    Raises ModelError where llama.cpp cannot, and then leaves no file.
    """
    c = need("llama_cpp")
    hush(c)
    params = c.llama_model_quantize_default_params()
    params.ftype, params.nthread = QUANTISED[sort], threads
    code = c.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(params))
    if code:
        target.unlink(missing_ok=True)
        raise ModelError(
            f"{source}: llama.cpp could not quantise it to {sort} (code {code}); "
            "is there room for it?"
        )


def _convert(script: str, target: Path, *arguments: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != OWN_GGUF} | OFFLINE
    for module in ("torch", "transformers", "sentencepiece"):
        need(module, extra="train")
    command = [sys.executable, str(converters() / script), "--outfile", str(target), *arguments]
    done = subprocess.run(
        command, capture_output=True, stdin=subprocess.DEVNULL, env=environment, check=False
    )
    if done.returncode or not target.exists():
        target.unlink(missing_ok=True)
        raise ModelError(
            f"{arguments[-1]}: llama.cpp's converter gave no GGUF ({_reason(done.stderr)}; "
            f"exit status {done.returncode})"
        )


def _reason(stderr: bytes) -> str:
    """Return what a converter said of its end: the last error, or else the last line."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", stderr.decode("utf-8", "replace"))]
    errors = [line for line in lines if ERROR.match(line)]
    return next((line for line in reversed(errors or lines) if line), "it said nothing")[:300]
