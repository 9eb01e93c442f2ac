"""How a model runs on this machine: threads, sequences in flight, layers on a GPU.

All follows from the machine's totals and from trials that are remembered, never from what happens
to be free: that would change the output from run to run.
"""

import ctypes
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from minimix.config import AUTO, ON, EngineConfig
from minimix.engines.model import LlamaModel
from minimix.extras import need
from minimix.threads import cores

MOST_PARALLEL = 16
MEMORY_SHARE = 4
"""One part in so many of the machine's memory may go to the key-value cache."""
GPU = 1
"""llama.cpp's number of a device that is a GPU with memory of its own."""
GPU_SHARE = 0.9
"""Of a GPU's memory: the rest is for the arithmetic itself."""
CACHE_TYPES = {"f16": (1, 2.0), "q8_0": (8, 34 / 32)}
"""llama.cpp's number of a type of the key-value cache, and the bytes of one value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a context is made with, as run.yaml and `minimix doctor` show it.

    `parallel` is sequences in flight, `batch` tokens in one decode, `cache_type` that of the
    key-value cache. `exact` answers one chat at a time, so that nothing runs beside it.
    """

    threads: int
    parallel: int
    batch: int
    flash_attention: bool
    cache_type: str
    exact: bool

    def settings(self) -> dict[str, Any]:
        """Return the settings by name."""
        return asdict(self)


def fitted(config: EngineConfig, model: LlamaModel) -> Machine:
    """Return how `model` runs here where the settings leave it open.

    A cache of fewer bits needs flash attention, which it then gets.
    """
    width = model.cache_values * CACHE_TYPES[config.cache_type][1]
    sequence = min(config.context, model.trained_context) * width
    fitting = int(max(1, min(MOST_PARALLEL, _memory() // MEMORY_SHARE // sequence - 1)))
    chosen = model.flash if config.flash_attention == AUTO else config.flash_attention == ON
    return Machine(
        threads=config.threads or cores(),
        parallel=config.parallel or fitting,
        batch=config.batch,
        flash_attention=chosen or config.cache_type != "f16",
        cache_type=config.cache_type,
        exact=config.exact,
    )


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def offloaded(path: Path, config: EngineConfig) -> int:
    """Return how many layers of the model at `path` go to a GPU; -1: all. Not run on a GPU.

    What the settings say, or else as many as its memory holds beside the key-value cache.
    """
    c = need("llama_cpp")
    if config.gpu_layers >= 0 or not c.llama_supports_gpu_offload():
        return config.gpu_layers
    with LlamaModel(path, gpu_layers=0) as model:
        own = fitted(config, model)
        tokens = min(config.context, model.trained_context) * (own.parallel + 1)
        cache = tokens * model.cache_values * CACHE_TYPES[own.cache_type][1]
        count = int(c.llama_model_n_layer(model.pointer))
    return layers(path.stat().st_size, count, cache, gpu_memory(c))


def layers(model_bytes: int, count: int, cache_bytes: float, memory: int) -> int:
    """Return how many of a model's `count` layers a GPU of so much memory holds; -1 for all.

    `model_bytes` are of all weights, `cache_bytes` of the whole key-value cache: both are taken to
    be spread evenly, one more layer's worth standing for what is no layer.
    """
    each = (model_bytes + cache_bytes) / (count + 1)
    fitting = int(memory * GPU_SHARE / each)
    return -1 if fitting > count else fitting


def gpu_memory(c: Any) -> int:
    """Return the bytes of all GPUs that llama.cpp sees, 0 for none."""
    return sum(total for kind, total in _devices(c) if kind == GPU)


def _devices(c: Any) -> Iterator[tuple[int, int]]:
    """Yield each device's type and memory in bytes."""
    ggml = c.llama_cpp._lib
    for name in ("ggml_backend_dev_count", "ggml_backend_dev_get", "ggml_backend_dev_type"):
        if not hasattr(ggml, name):
            return
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    for number in range(ggml.ggml_backend_dev_count()):
        device = ctypes.c_void_p(ggml.ggml_backend_dev_get(ctypes.c_size_t(number)))
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        ggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
        yield int(ggml.ggml_backend_dev_type(device)), total.value
