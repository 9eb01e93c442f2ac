"""A long run in one process: memory, open files and the journal, cohort by cohort.

    python benchmarks/long_run.py FOLDER [--quick] [--only extract|bundled]

FOLDER holds dolly_rated_00.jsonl to dolly_rated_03.jsonl, whose ratings take no part. First every
cluster of 9,000 rows is written by the extractive engine, then those of the first rows by the
bundled model, in the same process unless only one of them is asked for. After each cohort the
memory that is resident, the number of open files and the size of the journal are noted. Memory is
flat where the slope of a straight line through the second half of the cohorts, with the interval
that its scatter allows, is not above FLAT. Progress goes to stderr, one JSON object is the last
line of stdout, and a figure that misses its bar gives exit status 1.
"""

import argparse
import json
import resource
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from outcome import end, rounded

from minimix.config import EXTRACT, DistillConfig
from minimix.journal import COHORTS, FOLDER
from minimix.run import distill_file

FILES = tuple(f"dolly_rated_{number:02}.jsonl" for number in range(4))
FIELDS = ("instruction", "input", "output")
ROWS = {"extract": 9_000, "bundled": 1_700}
QUICK_ROWS = {"extract": 600, "bundled": 200}
CLUSTERS = {"extract": 2_000, "bundled": 300}
QUICK_CLUSTERS = {"extract": 100, "bundled": 10}
COHORT = 4
"""Clusters of a cohort: small, for many points on the line."""
FLAT = 8.0
"""Bytes a cluster leaves in memory at most, in KiB: its fusion, its audit and its candidates."""
STRAIGHT = 0.98
"""How much of the journal's growth a straight line explains at least."""
MIB = 2**20
T = TypeVar("T")


def resident() -> int:
    """Return the bytes of memory that this process occupies."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()


def rows(folder: Path, most: int, path: Path) -> str:
    """Write rows without their ratings, and return where."""
    lines = [line for name in FILES for line in (folder / name).read_text("utf-8").splitlines()]
    found = map(json.loads, lines[:most])
    texts = (json.dumps({name: row[name] for name in FIELDS}) for row in found)
    path.write_text("".join(f"{text}\n" for text in texts), "utf-8")
    return str(path)


def watched(source: str, config: DistillConfig, output: Path) -> dict[str, list[int]]:
    """Distil `source`, and return memory, open files and journal (bytes) after each cohort."""
    found: dict[str, list[int]] = {"memory": [], "files": [], "journal": []}

    def progress(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:  # noqa: ARG001
        for item in items:
            yield item
            if label.startswith("Fusing"):
                found["memory"].append(resident())
                found["files"].append(len(list(Path("/proc/self/fd").iterdir())))
                found["journal"].append((output / FOLDER / COHORTS).stat().st_size)
                print(len(found["memory"]), resident() // MIB, file=sys.stderr)

    distill_file(source, config, output=output, restart=True, progress=progress)
    return found


def slope(values: np.ndarray) -> tuple[float, float]:
    """Return a line's slope in KiB a cluster, and twice its standard error."""
    x = np.arange(len(values)) * COHORT
    (rise, _), scatter = np.polyfit(x, values / 1024, 1, cov=True)
    return float(rise), 2 * float(np.sqrt(scatter[0, 0]))


def figures(found: dict[str, list[int]]) -> dict[str, Any]:
    """Return what was seen, in words a results file can hold."""
    memory = np.array(found["memory"], dtype=float)
    journal = np.array(found["journal"], dtype=float)
    rise, error = slope(memory[len(memory) // 2 :])
    straight = np.corrcoef(np.arange(len(journal)), journal)[0, 1] ** 2
    told = {"kib_a_cluster": rise, "plus_minus": error, "journal_r2": float(straight)}
    return {
        **rounded(told),
        "cohorts": len(memory),
        "clusters": len(memory) * COHORT,
        "mib_by_tenths": [
            round(float(part.mean()) / MIB, 1)
            for part in np.array_split(memory, min(10, len(memory)))
        ],
        "open_files": sorted(set(found["files"])),
        "journal_kib_a_cluster": round(float(journal[-1]) / 1024 / len(journal) / COHORT, 2),
    }


def main() -> None:
    """Watch two runs, and say what they left behind."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("folder", type=Path)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--only", choices=ROWS)
    given = options.parse_args()
    sizes = QUICK_ROWS if given.quick else ROWS
    least = QUICK_CLUSTERS if given.quick else CLUSTERS
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as work:
        for name in [given.only] if given.only else ROWS:
            config = DistillConfig().with_settings({"exhaustive": True, "cohort": COHORT})
            if name == EXTRACT:
                config = config.with_settings({"model": EXTRACT})
            source = rows(given.folder, sizes[name], Path(work) / f"{name}.jsonl")
            told[name] = figures(watched(source, config, Path(work) / name))
    holds = {}
    for name, seen in told.items():
        holds[f"{name}: clusters"] = seen["clusters"] >= least[name]
        holds[f"{name}: memory flat"] = seen["kib_a_cluster"] - seen["plus_minus"] <= FLAT
        holds[f"{name}: files flat"] = len(seen["open_files"]) == 1
        holds[f"{name}: journal linear"] = seen["journal_r2"] >= STRAIGHT
    end("long_run", holds, **told)


if __name__ == "__main__":
    main()
