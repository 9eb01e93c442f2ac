"""How the benchmarks end: one JSON object as the last line of stdout, and the exit status."""

import json
import platform
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from minimix.output import versions


def end(benchmark: str, holds: Mapping[str, bool], *, machine: str = "", **found: Any) -> NoReturn:
    """Print what a benchmark `found` and which bars hold; exit status 1 where one does not.

    `machine` says more of the machine than its system and processor.
    """
    where = ", ".join(filter(None, [f"{platform.system()} {platform.machine()}", machine]))
    told = {"benchmark": benchmark, **found, "holds": dict(holds)}
    print(json.dumps({**told, "machine": where, "versions": versions()}))
    sys.exit(0 if all(holds.values()) else 1)


def rounded(figures: Mapping[str, float], digits: int = 4) -> dict[str, float]:
    """Return figures as a result file holds them."""
    return {name: round(value, digits) for name, value in figures.items()}
