"""Ray as the place where blocks are worked on: one Ray Data stage, whatever the work is.

A stage is made of tasks and not of actors: Ray keeps a process for its next task, and what it has
opened stays open in it from one stage to the next, where actors would end with each. A block is
one task, and a worker that is killed costs what it had not finished of its block.
"""

import contextlib
import functools
import logging
import os
import pickle
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from minimix.errors import ConfigError, MinimixError, ModelError, brief
from minimix.executors.stages import Open, Spread, Work
from minimix.extras import need
from minimix.output import versions
from minimix.threads import cores

ADDRESS = "RAY_ADDRESS"
TELEMETRY = "RAY_USAGE_STATS_ENABLED"
RETRIES = 3
"""Workers that may be lost over one block: one that kills every worker must end the run."""
WINDOW = 8
"""Blocks under way for each processor: they, and what was made of them, are all that Ray holds."""
BLOCK, PART = "block", "part"


@contextlib.contextmanager
def cluster() -> Iterator[Spread]:
    """Yield work on the cluster that RAY_ADDRESS names, or else on a Ray of our own.

    A Ray that the process is connected to already is used, and left. Raises MissingExtraError
    without the extra, ConfigError where no cluster answers.
    """
    os.environ[TELEMETRY] = "0"
    ray = need("ray", extra="ray")
    data = need("ray.data", extra="ray")
    own = not ray.is_initialized()
    if own:
        _start(ray)
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # what goes wrong comes as an error
    try:
        yield functools.partial(_spread, ray, data)
    finally:
        logger.setLevel(level)
        if own:
            ray.shutdown()


def _start(ray: Any) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    address = os.environ.get(ADDRESS)
    try:
        if address:
            ray.init(**quiet)
        else:
            ray.init(address="local", num_cpus=cores(), include_dashboard=False, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        if not address:
            raise ConfigError(f"ray: cannot be started here ({brief(error)})") from error
        raise ConfigError(
            f"{ADDRESS}: expected a cluster at {address}, found none ({brief(error)}); "
            "is it up, and is RAY_AUTH_MODE=token set here where it asks for its token?"
        ) from error


def _spread(
    ray: Any, data: Any, opened: Open, blocks: Iterable[Any], *, cpus: int = 1
) -> Iterator[Any]:
    """Yield all parts of all blocks in order, `Spread` on Ray, a window of blocks at a time."""
    job = need("ray.cloudpickle").dumps(_Job(opened, str(Path.cwd()), versions()))
    waiting = iter(blocks)
    while True:
        most, every = _processors(ray)
        window = [pickle.dumps(block) for block in islice(waiting, WINDOW * every)]
        if not window:
            return
        yield from _stage(ray, data, job, window, min(cpus, most))


def _processors(ray: Any) -> tuple[int, int]:
    """Return the processors of the largest machine, and of all."""
    nodes = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
    return max(1, *map(int, nodes), 1), max(1, int(sum(nodes)))


def _stage(ray: Any, data: Any, job: bytes, window: list[bytes], cpus: int) -> Iterator[Any]:
    """Yield the parts of a window of blocks, each a block of Ray's, one task each."""
    arrow = need("pyarrow")
    tables = [arrow.table({BLOCK: arrow.array([one], arrow.large_binary())}) for one in window]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # max_retries has no other place yet
        context = data.DataContext.get_current().copy()
        context.enable_progress_bars = context.print_on_execution_start = False
        context.execution_options.preserve_order = True
        with data.DataContext.current(context):
            stage = data.from_arrow(tables).map_batches(
                _work,
                fn_args=(job,),
                batch_size=None,
                batch_format="pyarrow",
                num_cpus=cpus,
                max_retries=RETRIES,
            )
    try:
        for batch in stage.iter_batches(batch_size=None, batch_format="pyarrow"):
            for part in batch[PART].to_pylist():
                yield _result(part)
    except ray.exceptions.RayError as error:
        system = isinstance(getattr(error, "cause", None), ray.exceptions.RaySystemError)
        if isinstance(error, ray.exceptions.RayTaskError) and not system:
            raise  # a bug keeps its traceback
        raise ModelError(
            f"ray: a block was given up, its workers were lost {RETRIES + 1} times or cannot work "
            f"({brief(error)}); start the same command again to go on from here"
        ) from error


def _result(part: bytes) -> Any:
    result = pickle.loads(part)  # noqa: S301  our own worker wrote it
    if isinstance(result, MinimixError):
        raise result
    return result


@dataclass(frozen=True)
class _Job:
    """What a worker is told: what to open, where relative names lead, what must be installed."""

    opened: Open
    folder: str
    versions: dict[str, str]

    def open(self) -> Work:
        """Return the work; raises ConfigError where a worker has other packages."""
        there = versions()
        for package, version in self.versions.items():
            if there[package] != version:
                raise ConfigError(
                    f"{package}: expected {version} on every machine, found {there[package]} "
                    "on a worker; install the same everywhere"
                )
        return self.opened()


@functools.lru_cache(maxsize=4)
def _opened(job: bytes) -> Work:
    """Return what a job opens, kept open in this worker for its next block."""
    task: _Job = pickle.loads(job)  # noqa: S301  our own driver wrote it
    return task.open()


def _work(batch: Any, job: bytes) -> Iterator[Any]:
    """Yield the parts of each block, in a worker; what minimix refuses is a part too."""
    arrow = need("pyarrow")
    for block in batch[BLOCK].to_pylist():
        for part in _parts(job, block):
            data = pickle.dumps(part)
            yield arrow.table({PART: arrow.array([data], arrow.large_binary())})


def _parts(job: bytes, block: bytes) -> Iterator[Any]:
    folder = pickle.loads(job).folder  # noqa: S301  as above
    there = Path(folder).is_dir()
    with contextlib.chdir(folder) if there else contextlib.nullcontext():
        try:
            yield from _opened(job)(pickle.loads(block))  # noqa: S301  as above
        except MinimixError as error:
            yield error
