"""minimix: noisy instruction data in, a small set that trains a better model out.

`minimix.distill` does it from Python (docs/python.md). What stands in `__all__` is imported when
it is first asked for, so that `import minimix` costs nothing.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minimix.api import Distillation, distill
    from minimix.config import DistillConfig, EngineConfig
    from minimix.errors import MinimixError

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # before any library asks: we send nothing
# Threads of OpenMP wait for each other busily. With the usual 300,000 rounds, two threads beside a
# busy core take minutes for what takes seconds (docs/performance.md); a quiet machine loses little.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

__version__ = "0.1.0"
_WHERE = {
    "Distillation": "api",
    "distill": "api",
    "DistillConfig": "config",
    "EngineConfig": "config",
    "MinimixError": "errors",
}
__all__ = [  # noqa: RUF022  in the order of their use
    "distill",
    "Distillation",
    "DistillConfig",
    "EngineConfig",
    "MinimixError",
]


def __getattr__(name: str) -> Any:
    """Return a public name from the module that has it."""
    if name not in _WHERE:
        raise AttributeError(f"module 'minimix' has no attribute '{name}'")
    return getattr(importlib.import_module(f"minimix.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
