"""The notebooks run from the first cell to the last, on a CPU at tiny size."""

import ast
import json
import os
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from minimix.records import KINDS
from tests.test_mixture_sample import rows

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
EXAMPLE = NOTEBOOKS.parent / "examples" / "dolly.jsonl"
ADDRESS = re.compile(
    r"https://(?:colab\.research\.google\.com/)?github(?:\.com)?/([^/]+/[^/\s\")]+)"
)
TINY = {
    "train_distiller.ipynb": """
SOURCE, PER_KIND, HELD_OUT, PRESET = "MIXTURE", 8, 2, "cpu"
SFT = "--max-steps 4 --eval-rows 0"
GRPO = "--max-steps 2 --per-device-train-batch-size 2 --gradient-accumulation-steps 2 "
GRPO += "--num-generations 2 --max-completion-length 24"
EXPORT = "--quantise q8_0"
EVALUATE = "--limit-per-kind 1 --candidates 2 --max-new-tokens 48 --threads 1"
""",
    "quickstart.ipynb": f"""
SOURCE, LIMIT, STUDENT, STEPS = {str(EXAMPLE)!r}, 40, "bundled", 3
SETTINGS = {{"budget": "6", "tries": 1, "candidates": 1, "max_new_tokens": 48, "threads": 1}}
""",
    "your_own_data.ipynb": f"""
DATA, LIMIT, BUDGET, SERVER, LLM_RATED = {str(EXAMPLE)!r}, 93, "4", "", 0
FIT = "--rater knn-bayes"
WRITING = {{"tries": 1, "candidates": 1, "max_new_tokens": 32}}
EVALUATE = "--limit-per-kind 1 --candidates 1 --max-new-tokens 32"
""",
}
"""What stands in place of the cell of parameters; tests/test_compare.py runs does_it_help.ipynb."""
each_notebook = pytest.mark.parametrize(
    "name", sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
)


def cells(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((NOTEBOOKS / name).read_text("utf-8"))["cells"]
    return found


@each_notebook
def test_a_notebook_is_kept_without_outputs_and_installs_first(name):
    code = [cell for cell in cells(name) if cell["cell_type"] == "code"]
    assert "%pip install" in "".join(code[0]["source"])
    assert not [cell for cell in code if cell["outputs"] or cell["execution_count"]]


@each_notebook
def test_a_notebook_has_a_badge_and_the_address_of_the_project_alone(name):
    project = tomllib.loads((NOTEBOOKS.parent / "pyproject.toml").read_text("utf-8"))["project"]
    own = project["urls"]["Repository"].removeprefix("https://github.com/")
    first = "".join(cells(name)[0]["source"])
    assert f"https://colab.research.google.com/github/{own}/blob/main/notebooks/{name})" in first
    text = "".join("".join(cell["source"]) for cell in cells(name))
    assert set(ADDRESS.findall(text)) == {own}


@pytest.fixture
def run(tmp_path, monkeypatch) -> Callable[[str], list[str]]:
    """Return what executes a notebook in a folder of its own, and returns its outputs as text."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")

    def execute(name: str) -> list[str]:
        notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
        for cell in notebook.cells:
            if "install" in cell.metadata.get("tags", []):
                cell.source = ""
            if "parameters" in cell.metadata.get("tags", []):
                cell.source = TINY[name]
        nbclient.NotebookClient(
            notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}
        ).execute()
        outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
        return [
            out.get("text") or str(out.get("data", {}).get("text/plain", "")) for out in outputs
        ]

    return execute


@pytest.mark.slow
def test_the_distiller_is_trained_exported_and_evaluated(tmp_path, run):
    for kind in KINDS:
        folder = tmp_path / "MIXTURE" / "data_sft" / kind
        folder.mkdir(parents=True)
        for part, first, last in (("train", 0, 12), ("test", 12, 16)):
            file = folder / f"merged_{part}_{kind}_noisy.json"
            file.write_text(json.dumps(rows(kind, first, last)))
    run("train_distiller.ipynb")
    for made in ("sft/adapter", "grpo/adapter", "evaluation.md"):
        assert (tmp_path / made).exists(), made
    assert len(list((tmp_path / "distiller").glob("*.gguf"))) == 2


@pytest.mark.slow
def test_the_quickstart_distils_shows_and_trains(tmp_path, run):
    shown = run("quickstart.ipynb")
    assert [text for text in shown if text.startswith("Distillation(6 rows of 40 samples")]
    assert (tmp_path / "quickstart.distilled" / "report.html").exists()
    (losses,) = [text for text in shown if text.startswith("[(1, ")]
    assert len(ast.literal_eval(losses)) == 3


@pytest.mark.slow
def test_data_of_ones_own_are_rated_distilled_by_a_server_and_evaluated(tmp_path, run):
    pytest.importorskip("fastapi")
    shown = run("your_own_data.ipynb")
    assert [text for text in shown if text.startswith("'http://127.0.0.1:")]
    assert [text for text in shown if text.startswith("Distillation(4 rows of 93 samples")]
    settings = yaml.safe_load((tmp_path / "mine.distilled" / "run.yaml").read_text("utf-8"))
    assert "mine.rater.npz" in str(settings)
    assert "127.0.0.1" in str(settings)
    assert (tmp_path / "evaluation.md").exists()
