"""The notebooks run from the first cell to the last, on a CPU at tiny size."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from minimix.records import KINDS
from tests.test_mixture_sample import rows

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
TINY = """
SOURCE, PER_KIND, HELD_OUT, PRESET = "MIXTURE", 8, 2, "cpu"
SFT = "--max-steps 4 --eval-rows 0"
GRPO = "--max-steps 2 --per-device-train-batch-size 2 --gradient-accumulation-steps 2 "
GRPO += "--num-generations 2 --max-completion-length 24"
EXPORT = "--quantise q8_0"
EVALUATE = "--limit-per-kind 1 --candidates 2 --max-new-tokens 48 --threads 1"
"""


def cells(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((NOTEBOOKS / name).read_text("utf-8"))["cells"]
    return found


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_is_kept_without_outputs_and_installs_first(path):
    code = [cell for cell in cells(path.name) if cell["cell_type"] == "code"]
    assert "%pip install" in "".join(code[0]["source"])
    assert not [cell for cell in code if cell["outputs"] or cell["execution_count"]]


@pytest.mark.slow
def test_the_distiller_is_trained_exported_and_evaluated(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    for kind in KINDS:
        folder = tmp_path / "MIXTURE" / "data_sft" / kind
        folder.mkdir(parents=True)
        for part, first, last in (("train", 0, 12), ("test", 12, 16)):
            file = folder / f"merged_{part}_{kind}_noisy.json"
            file.write_text(json.dumps(rows(kind, first, last)))
    notebook = nbformat.read(NOTEBOOKS / "train_distiller.ipynb", as_version=4)
    for cell in notebook.cells:
        if "install" in cell.metadata.get("tags", []):
            cell.source = ""
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = TINY
    nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    for made in ("sft/adapter", "grpo/adapter", "evaluation.md"):
        assert (tmp_path / made).exists(), made
    assert len(list((tmp_path / "distiller").glob("*.gguf"))) == 2
