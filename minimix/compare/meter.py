"""What a piece of work took, over all starts that it needed."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from minimix.disk import atomic


@dataclass(frozen=True, slots=True)
class Spent:
    """Wall seconds, and CPU seconds of this process over all its threads.

    On a GPU the wall seconds are those of the GPU; what a server spent is in neither.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        """Return both together."""
        return Spent(self.seconds + other.seconds, self.cpu_seconds + other.cpu_seconds)


def spent(path: Path) -> Spent:
    """Return what a file of `metered` holds; nothing where there is none."""
    return Spent(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else Spent()


@contextmanager
def metered(path: Path) -> Iterator[None]:
    """Add what happens within to the sum in `path`, also where it ends in an error.

    What a killed process spent is not in it.
    """
    wall, cpu = time.monotonic(), time.process_time()
    try:
        yield
    finally:
        path.parent.mkdir(parents=True, exist_ok=True)
        now = Spent(time.monotonic() - wall, time.process_time() - cpu)
        with atomic(path) as file:
            json.dump(asdict(spent(path) + now), file)
