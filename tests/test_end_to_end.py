"""From a sample of MIXTURE to a distilled file, each step a command, with both ways of training.

Commands rather than functions, because Unsloth changes trl, transformers and peft for its whole
process, which the tests after it would run in.
"""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from minimix.disk import file_sha256
from minimix.records import KINDS
from tests.test_mixture_sample import rows

EXAMPLE = Path(__file__).parent.parent / "examples" / "dolly.jsonl"
READ = 40
WITHOUT_UNSLOTH = pytest.mark.skipif(
    importlib.util.find_spec("unsloth") is None, reason="unsloth is not installed"
)
SHARED = "--preset cpu --per-device-train-batch-size 2 --logging-steps 1"
FAST = "--learning-rate 2e-3 --warmup-steps 1"
"""So that it has learnt after four steps to close its tag: an answer without is worth nothing."""
FEW = (
    "--num-generations 2 --gradient-accumulation-steps 1 --max-completion-length 48 "
    "--quality continuous"  # else two candidates after so short a training are worth the same
)


def minimix(folder: Path, command: str) -> None:
    """Run a command in a folder."""
    arguments = [sys.executable, "-m", "minimix", *command.split()]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def weights(training: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return dict(load_file(training / "adapter" / "adapter_model.safetensors"))


def moved(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> bool:
    """Whether an adapter has other numbers than before, all of them finite."""
    assert before.keys() == after.keys()
    assert all(np.isfinite(values).all() for values in after.values())
    return any((before[name] != after[name]).any() for name in before)


def sample(folder: Path) -> None:
    """Write a copy of MIXTURE and take a sample of it."""
    for kind in KINDS:
        part = folder / "MIXTURE" / "data_sft" / kind
        part.mkdir(parents=True)
        for name, first, last in (("train", 0, 6), ("test", 6, 8)):
            file = part / f"merged_{name}_{kind}_noisy.json"
            file.write_text(json.dumps(rows(kind, first, last)))
    minimix(folder, "mixture sample MIXTURE --per-kind 4 --held-out 1 --output tasks")
    assert len(lines(folder / "tasks" / "train.jsonl")) == 20


def train(folder: Path, backend: str) -> None:
    """Train by SFT, then by reward, each for a few steps that move the adapter."""
    given = f"{SHARED} --backend {backend}"
    minimix(folder, f"train sft tasks --output sft {given} {FAST} --max-steps 4 --eval-rows 0")
    minimix(folder, f"train grpo tasks --adapter sft --output grpo {given} --max-steps 2 {FEW}")
    for training, steps in (("sft", 4), ("grpo", 2)):
        made = json.loads((folder / training / "settings.json").read_text())
        assert (made["backend"], made["max_steps"]) == (backend, steps)
        assert len((folder / training / "log.csv").read_text().splitlines()) == 1 + steps
    learnt, tuned = weights(folder / "sft"), weights(folder / "grpo")
    assert all(values.any() for name, values in learnt.items() if "lora_B" in name)  # fresh: 0
    assert moved(learnt, tuned)


def export(folder: Path) -> str:
    """Return the name of a GGUF in 8 bits that says what the trained model says."""
    minimix(folder, "export grpo --output distiller --quantise q8_0 --threads 1")
    checks = json.loads((folder / "distiller" / "export.json").read_text())["checks"]
    assert [check["name"] for check in checks] == ["f16", "q8_0"]
    assert all(check["agreed"] > 0.9 * check["positions"] for check in checks)
    return "distiller/distiller.q8_0.gguf"


def distil(folder: Path, model: str) -> None:
    """Distil rows with a model; each of them is in one ledger."""
    shutil.copy(EXAMPLE, folder)
    minimix(
        folder,
        f"distill dolly.jsonl --output run --model {model} --limit {READ} --budget 4 --tries 1 "
        "--candidates 1 --max-new-tokens 48 --threads 1",
    )
    ledger = lines(folder / "run" / "provenance.jsonl")
    assert len(lines(folder / "run" / "train.jsonl")) == len(ledger) == 4
    kept = [source for line in ledger for source in line["sources"]]
    places = [*kept, *lines(folder / "run" / "dropped.jsonl")]
    assert sorted(place["line"] for place in places) == list(range(1, READ + 1))
    run = yaml.safe_load((folder / "run" / "run.yaml").read_text())
    assert file_sha256(folder / model) in json.dumps(run)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["plain", pytest.param("unsloth", marks=WITHOUT_UNSLOTH)])
def test_a_distiller_is_trained_exported_and_distils(tmp_path, backend):
    sample(tmp_path)
    train(tmp_path, backend)
    distil(tmp_path, export(tmp_path))
