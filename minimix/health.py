"""What is installed here and what a run would use: the lines of `minimix doctor`."""

import importlib.util
import platform
from collections.abc import Iterator

from minimix.config import EngineConfig
from minimix.engines import open_engine
from minimix.engines.bundled import cache_folder
from minimix.errors import MinimixError
from minimix.extras import need
from minimix.output import versions
from minimix.rating import open_rater
from minimix.threads import cores
from minimix.vector_store import FOLDER, size_of

EXTRAS = {
    "train": ("peft", "train the distiller: SFT and GRPO"),
    "gpu": ("unsloth", "train on a GPU in 4 bits; not run on a GPU by us yet"),
    "ray": ("ray", "spread a run over several machines"),
    "eval": ("lm_eval", "judge students on public benchmarks"),
}


def checkup(model: str) -> Iterator[tuple[str, str]]:
    """Yield (what, finding); a model that does not run is a finding, not an error."""
    yield "machine", f"{platform.system()} {platform.machine()}, {cores()} processors to use"
    for name, version in versions().items():
        yield name, version
    for extra, (module, purpose) in EXTRAS.items():
        there = importlib.util.find_spec(module) is not None
        state = "installed" if there else f"not installed; pip install 'minimix[{extra}]' to"
        yield f"extra {extra}", f"{state}: {purpose}" if there else f"{state} {purpose}"
    offload = need("llama_cpp").llama_supports_gpu_offload()
    yield "llama.cpp", "built for a GPU" if offload else "built for the CPU only"
    yield "cache", str(cache_folder())
    files, size = size_of(cache_folder() / FOLDER)
    yield "cache, vectors", f"{size / 1e6:,.0f} MB in {files} files: {cache_folder() / FOLDER}"
    try:
        rater = open_rater()
        yield "rater", rater.name
        yield "rater, qa", rater.trust["qa"]
    except MinimixError as error:
        yield "rater", f"does not run: {error}"
    try:
        engine = open_engine(EngineConfig(model=model), candidates=1, seed=0)
    except MinimixError as error:
        yield "model", f"does not run: {error}"
        return
    yield "model", engine.name
    yield "model sha256", engine.sha256 or "none"
    for name, value in engine.settings.items():
        yield name, str(value)
