"""Large pools: time and memory of `minimix distill` without a model, from 10,000 rows to a million.

    python benchmarks/pool.py FOLDER [--quick] [--rows N ...]

FOLDER holds the rated rows of Dolly; benchmarks/pool_rows.py makes as many as wanted of them. Each
size is one run of the command in a process of its own, with the static embedder and the extractive
engine, so that what is timed is everything but generation: reading, copies, embedding, rating,
clusters, plan, audit, selection and the ledgers. Memory is the most that the process held.
Progress goes to stderr, one JSON object is the last line of stdout, and a figure that misses its
bar gives exit status 1. `--plot` draws the growth into docs/pool_growth.svg.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from outcome import end, rounded
from pool_rows import write

from minimix.threads import cores

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
QUICK = (1_000, 3_000)
MIDDLE, LARGEST = 300_000, 1_000_000
MINUTES, GIGABYTES, MOST_GIGABYTES, GROWTH = 15, 4, 8, 4.0
DOCS = Path(__file__).parents[1] / "docs"
COMMAND = ("distill", "--model", "extract", "--embedder", "static", "--budget", "500", "--quiet")


def measured(folder: Path, rows: int) -> dict[str, float]:
    """Return wall seconds, CPU seconds and the most memory, in MB, of one run."""
    with tempfile.TemporaryDirectory() as place:
        data, output = Path(place, "pool.jsonl"), Path(place, "out")
        write(folder, rows, data)
        command = [sys.executable, "-m", "minimix", *COMMAND, str(data), "--output", str(output)]
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{' '.join(command)}: exit status {process.returncode}")
        return {
            "rows": rows,
            "file_mb": data.stat().st_size / 1e6,
            "wall_s": time.perf_counter() - start,
            "cpu_s": used.ru_utime + used.ru_stime,
            "peak_mb": used.ru_maxrss / 1e3,
        }


def held(runs: dict[int, dict[str, float]]) -> dict[str, bool]:
    """Return which bars hold, of those whose sizes were run."""
    holds = {}
    if MIDDLE in runs:
        holds["300,000 rows in 15 minutes"] = runs[MIDDLE]["wall_s"] <= 60 * MINUTES
        holds["300,000 rows in 4 GB"] = runs[MIDDLE]["peak_mb"] <= 1e3 * GIGABYTES
    if LARGEST in runs and MIDDLE in runs:
        growth = runs[LARGEST]["wall_s"] / runs[MIDDLE]["wall_s"]
        holds["a million rows in 4 times that"] = growth <= GROWTH
        holds["a million rows in 8 GB"] = runs[LARGEST]["peak_mb"] <= 1e3 * MOST_GIGABYTES
    return holds


def plot(runs: Sequence[Mapping[str, float]]) -> None:
    """Draw seconds and memory by rows, and the line of an even growth through the middle one."""
    plt.rcParams["svg.hashsalt"] = "minimix"
    rows = [run["rows"] for run in runs]
    figure, (time_axes, memory_axes) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for name, label in (("wall_s", "wall"), ("cpu_s", "processors")):
        time_axes.plot(rows, [run[name] for run in runs], "o-", label=label)
    first = runs[len(runs) // 2]
    even = [first["cpu_s"] * count / first["rows"] for count in rows]
    time_axes.plot(rows, even, ":", color="gray", label="even growth")
    time_axes.set(xscale="log", yscale="log", xlabel="rows", ylabel="seconds")
    time_axes.legend()
    memory_axes.plot(rows, [run["peak_mb"] / 1e3 for run in runs], "o-")
    memory_axes.set(xscale="log", xlabel="rows", ylabel="most memory, GB", ylim=(0, None))
    figure.savefig(DOCS / "pool_growth.svg", metadata={"Date": None})


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("folder", type=Path)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--rows", type=int, nargs="+", default=SIZES)
    options.add_argument("--plot", action="store_true")
    given = options.parse_args()
    runs = {}
    for rows in QUICK if given.quick else given.rows:
        runs[rows] = measured(given.folder, rows)
        shown = {name: round(value, 1) for name, value in runs[rows].items()}
        print(json.dumps(shown), file=sys.stderr, flush=True)
    holds = held(runs)
    if given.plot:
        plot(list(runs.values()))
    figures = [rounded(run, 1) for run in runs.values()]
    end("pool", holds, machine=f"{cores()} cores", figures=figures)


if __name__ == "__main__":
    main()
