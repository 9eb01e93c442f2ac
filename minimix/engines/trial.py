"""How llama.cpp runs a model on this machine, found out once in a child process and remembered.

Re-ordered weights crash with some compilers (AMX), a GPU's driver may be broken, and flash
attention pays on one machine and costs on another: each is tried, none is guessed.
"""

import contextlib
import hashlib
import json
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from minimix.disk import write_bytes
from minimix.engines.bundled import cache_folder
from minimix.engines.gguf import read_header
from minimix.errors import MinimixError, ModelError
from minimix.extras import need

TIMEOUT_S = 600
WORTH = 0.9
"""Flash attention is taken where it needs at most this share of the time without it."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What was found: whether weights may be re-ordered, and whether flash attention pays."""

    repack: bool
    flash: bool


def tried(path: Path, adapter: Path | None = None, *, gpu_layers: int) -> Trial:
    """Return how the model at `path` runs here, with the LoRA `adapter` on top of it if any.

    Raises ModelError where it does not run in any way, or the child said why it cannot be used.
    """
    for repack in (True, False):
        found = _remembered(path, adapter, repack, gpu_layers)
        if found is not None:
            off, on = found.get("off"), found.get("on")
            return Trial(repack, bool(on and off and on <= WORTH * off))
    told = f"{path} with {adapter}" if adapter else path
    raise ModelError(f"{told}: llama.cpp cannot run it here (a try in a child process failed)")


def _remembered(
    path: Path,
    adapter: Path | None,
    repack: bool,  # noqa: FBT001
    gpu_layers: int,
) -> dict[str, float | None] | None:
    """Return the seconds that a trial took, for these files, machine and build; None: it failed."""
    files = "\0".join(_identity(file) for file in (path, adapter) if file)
    key = f"{files}\0{repack}\0{gpu_layers}\0{_machine()}"
    mark = cache_folder() / "trials" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"
    with contextlib.suppress(OSError, ValueError):
        known: dict[str, float | None] = json.loads(mark.read_text("ascii"))
        return known
    found = _try(path, adapter, repack, gpu_layers)
    if found is not None:
        with contextlib.suppress(MinimixError):  # a cache that cannot be written costs a trial
            write_bytes(mark, json.dumps(found).encode("ascii"))
    return found


def _try(
    path: Path,
    adapter: Path | None,
    repack: bool,  # noqa: FBT001
    gpu_layers: int,
) -> dict[str, float | None] | None:
    safe = "-P"  # the working folder holds data: nothing in it is imported
    probe = [sys.executable, safe, "-m", "minimix.engines.probe"]
    command = [
        *probe,
        str(path),
        str(int(repack)),
        str(gpu_layers),
        *([str(adapter)] if adapter else []),
    ]
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"{path}: a few decodes took over {TIMEOUT_S} s here") from error
    if done.returncode:
        _refusal(done.stderr)
        return None
    found: dict[str, float | None] = json.loads(done.stdout.splitlines()[-1])
    return found


def _refusal(stderr: bytes) -> None:
    """Raise the ModelError that ended a child process, if it was one."""
    lines = stderr.decode("utf-8", "replace").splitlines() or [""]
    _, refused, reason = lines[-1].partition(f"{ModelError.__module__}.{ModelError.__name__}: ")
    if refused:
        raise ModelError(reason)


def _identity(path: Path) -> str:
    """Return what tells a model from another at the same place: its size, and all its header."""
    with path.open("rb") as file:
        head = hashlib.sha256(file.read(read_header(path).start))
    return f"{path.resolve()}\0{path.stat().st_size}\0{head.hexdigest()}"


def _machine() -> str:
    """Return what a decode may depend on: host, processor and build of llama.cpp."""
    c = need("llama_cpp")
    features = c.llama_print_system_info().decode()
    return "\0".join([platform.node(), platform.machine(), str(c.__version__), features])
