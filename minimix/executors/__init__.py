"""Where the arrow runs: in this process, or on Ray. What comes out is the same, byte for byte."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from minimix.config import RAY, DistillConfig
from minimix.executors import ray
from minimix.executors.stages import over_blocks, read_files
from minimix.pool import Read, read_found
from minimix.progress import Progress
from minimix.records import Models

Place = Callable[[Models, DistillConfig, Progress], Models]
"""Models, the settings that they were opened with: the same ones, at work where the executor is."""


@dataclass(frozen=True, kw_only=True)
class Executor:
    """What a run needs of the place where it runs: to read there, and to have its models there."""

    read: Read
    place: Place


@contextmanager
def open_executor(name: str) -> Iterator[Executor]:
    """Yield the executor so named, local or ray; what was started for it ends with it.

    Raises MissingExtraError without the extra ray, ConfigError where no cluster answers.
    """
    if name != RAY:
        yield Executor(read=read_found, place=lambda models, *_: models)
        return
    with ray.cluster() as spread:
        yield Executor(
            read=lambda *asked: read_files(spread, *asked),
            place=lambda *given: over_blocks(spread, *given),
        )
