"""An output folder as it is written: `datasets` loads its rows alone, trl trains on them."""

import importlib
import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import minimix
from minimix.trainers import FOLDER, TRL
from tests.test_training import tiny  # noqa: F401  a fixture

EXAMPLE = Path(__file__).parent.parent / "examples" / "dolly.jsonl"
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
LOAD = """
import json, sys, datasets
found = datasets.load_dataset(sys.argv[1])
assert list(found) == ["train"], found
print(json.dumps(found["train"].to_list()))
"""
NATIVE = ("messages", "sharegpt", "prompt-completion")
"""Shapes that trl reads as they are."""


def distilled(folder: Path, shape: str) -> minimix.Distillation:
    rows = [json.loads(line) for line in EXAMPLE.read_text().splitlines()]
    for number, row in enumerate(rows):
        row["system"] = "Be brief." if number % 3 else ""
    return minimix.distill(
        rows, output=folder, model="extract", embedder="static", budget=12, format=shape,
        check_against=EXAMPLE, license="cc-by-sa-3.0", language="en",
    )  # fmt: skip


@pytest.mark.parametrize("shape", ["alpaca", *NATIVE])
def test_load_dataset_reads_the_rows_and_nothing_else(shape, tmp_path):
    """Without the hub, from a folder that holds every file that a run can leave."""
    folder = tmp_path / "set.distilled"
    made = distilled(folder, shape)
    (folder / "report.json").write_text('{"counts": {"final": 12}}')
    assert (folder / "contamination.jsonl").exists()
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home"), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(folder)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == made.rows
    assert len(made.rows) == 12


def trained(rows: Any, base: Path, output: Path) -> list[float]:
    """Return the loss of each of two steps of trl's SFTTrainer on `rows`."""
    trl: Any = importlib.import_module("trl")
    arguments = trl.SFTConfig(
        output_dir=str(output), max_steps=2, per_device_train_batch_size=2, max_length=128,
        use_cpu=True, bf16=False, report_to="none", logging_steps=1, save_strategy="no",
        dataloader_pin_memory=False,
    )  # fmt: skip
    trainer = trl.SFTTrainer(str(base), train_dataset=rows, args=arguments)
    trainer.train()
    return [log["loss"] for log in trainer.state.log_history if "loss" in log]


@pytest.mark.parametrize("shape", NATIVE)
def test_trl_trains_on_the_folder_as_it_is(shape, tiny, tmp_path):  # noqa: F811
    import datasets

    distilled(tmp_path / "set.distilled", shape)
    rows = datasets.load_dataset(
        str(tmp_path / "set.distilled"), split="train", cache_dir=str(tmp_path / "cache")
    )
    losses = trained(rows, tiny, tmp_path / "out")
    assert len(losses) == 2
    assert all(0 < loss < 100 for loss in losses)


@pytest.mark.parametrize("shape", ["alpaca", "dolly", "question-answer", "mixture"])
def test_trl_trains_on_what_the_script_makes(shape, tiny, tmp_path):  # noqa: F811
    distilled(tmp_path / "set.distilled", shape)
    rows = runpy.run_path(str(tmp_path / "set.distilled" / FOLDER / TRL))["train"]
    losses = trained(rows, tiny, tmp_path / "out")
    assert len(losses) == 2
    assert all(0 < loss < 100 for loss in losses)
