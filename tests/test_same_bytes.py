"""The same rows, settings and model give the same bytes, run after run, on one core or on two."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples" / "dolly.jsonl"
EXTRACT = ["--model", "extract", "--budget", "10", "--mix", "1"]
MODEL = [
    *("--budget", "4", "--mix", "1", "--candidates", "2", "--max-new-tokens", "96"),
    *("--threads", "1", "--parallel", "4"),
]
RUNS = 10


def bytes_of(base: Path, name: str, *options: str, cores: set[int] | None, **said: str) -> str:
    """Distil in a folder of its own, with an empty cache, and return a hash of what came out."""
    folder = base / name
    folder.mkdir()
    shutil.copy(EXAMPLE, folder)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", **said}
    if "extract" in options:  # the bundled model lies in the cache as well, and takes time to make
        environment["MINIMIX_CACHE"] = str(base / name / "cache")
    command = [sys.executable, "-m", "minimix", "distill", "dolly.jsonl", "--quiet", *options]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, cores) if cores else None,
    )
    assert done.returncode == 0, done.stderr
    output = folder / "dolly.distilled"
    names = [path for path in sorted(output.rglob("*")) if path.is_file()]
    names = [path for path in names if path.suffix in {".jsonl", ".yaml", ".md", ".py"}]
    assert output / "train.jsonl" in names
    assert output / "run.yaml" in names
    return "\n".join(
        f"{path.relative_to(output)} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in names
    )


@pytest.mark.slow
def test_ten_runs_give_the_same_bytes_whatever_the_seed_of_hashes_and_the_threads(tmp_path):
    found = {
        bytes_of(
            tmp_path,
            str(run),
            *(*EXTRACT, "--embedder", "static"),
            cores=None,
            PYTHONHASHSEED=str(run),
            OMP_NUM_THREADS=str(1 + run % 2),
        )
        for run in range(RUNS)
    }
    assert len(found) == 1


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core")
def test_one_core_and_two_give_the_same_bytes(tmp_path):
    one, two, *_ = sorted(os.sched_getaffinity(0))
    first = bytes_of(tmp_path, "one", *EXTRACT, cores={one}, OMP_NUM_THREADS="")
    second = bytes_of(tmp_path, "two", *EXTRACT, cores={one, two}, OMP_NUM_THREADS="")
    assert first == second


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_ten_runs_of_the_bundled_model_give_the_same_bytes(tmp_path):
    found = {bytes_of(tmp_path, str(run), *MODEL, cores=None) for run in range(RUNS)}
    assert len(found) == 1
