"""How many processors there are for us, and work spread over them that gives the same bits."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from minimix.extras import need

TOPOLOGY = Path("/sys/devices/system/cpu")
LIMIT = "OMP_NUM_THREADS"
"""What users of numpy and torch already set where fewer threads are wanted."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def spread(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield `function` of each item in the order of the items, several at work at a time.

    Matrix products inside run in one thread each, so that their bits depend on the item alone and
    never on the machine's processors. An error of one item is raised at its place.
    """
    threads = _allowed()
    with (
        need("threadpoolctl").threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(threads) as pool,
    ):
        running: deque[Future[Result]] = deque()
        for item in items:
            running.append(pool.submit(function, item))
            if len(running) > threads:  # results wait in memory: no more than these
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def _allowed() -> int:
    """Return how many threads may work: our processors, fewer where the user says so."""
    said = os.environ.get(LIMIT, "").partition(",")[0].strip()  # "4,2" is meant for nested threads
    return min(cores(), max(1, int(said))) if said.isdecimal() else cores()


def cores() -> int:
    """Return the physical processors this process may use: its affinity, its cgroup's quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    allowed = affinity(0) if affinity else set(range(os.cpu_count() or 1))
    count = len({_core(cpu) for cpu in allowed})
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return count
    return count if quota == "max" else max(1, min(count, round(int(quota) / int(period))))


def _core(cpu: int) -> tuple[str, str]:
    """Return which physical core a processor is a part of; where nobody says, it is one itself."""
    folder = TOPOLOGY / f"cpu{cpu}" / "topology"
    try:
        package, core = (
            (folder / name).read_text(encoding="ascii").strip()
            for name in ("physical_package_id", "core_id")
        )
    except OSError:
        return "", str(cpu)
    return package, core
