"""Make the distiller that ships, from data to adapter: minimix/engines/distiller.lora.gguf.

    pip install 'minimix[train]'
    python examples/make_distiller.py FOLDER [--work WORK] [--preset cpu]

FOLDER holds dolly_rated_00.jsonl and dolly_rated_01.jsonl (rows of Dolly with ratings by
gpt-4o-mini), self_instruct/seed_tasks.jsonl, text/wiki_demo.txt and text/xquad.en.json; of the
articles the first 20 and the first half are read, the rest is kept for measuring, as are all
other rows of Dolly. Rows of examples/dolly.jsonl take no part. WORK (default: minimix's cache)
keeps every step, so the script may be stopped at any time and goes on where it was: a few hours
on one core of a CPU for the bundled base, "--preset 24gb" for Qwen2.5-1.5B-Instruct on a GPU (not
run on a GPU).
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minimix.columns import Columns
from minimix.embed import load_embedder
from minimix.engines.bundled import ADAPTER, cache_folder
from minimix.mixture.rule.folder import BuildConfig, build_tasks
from minimix.mixture.tasks import TRAIN
from minimix.train.convert import write_lora_gguf
from minimix.train.grpo import grpo
from minimix.train.settings import GrpoConfig, SftConfig, with_settings
from minimix.train.sft import sft

EXAMPLE = Path(__file__).parent / "dolly.jsonl"
DOLLY = ("dolly_rated_00.jsonl", "dolly_rated_01.jsonl")
SEEDS = "seed_tasks.jsonl"
TRAINED_ARTICLES = 20
PER_KIND = {"qa": 4200, "mcq": 350, "tfq": 350, "cs": 400, "para": 700}
SFT: dict[str, list[dict[str, Any]]] = {
    "cpu": [
        {"max_steps": 640, "learning_rate": 1.2e-3},
        {"max_steps": 1200, "learning_rate": 4e-4, "seed": 43},
    ]
}
"""Each goes on from the adapter before it; other presets have one, of their own settings."""
EVERY_SFT: dict[str, dict[str, Any]] = {
    "cpu": {"max_length": 768, "save_steps": 40, "eval_rows": 48}
}
GRPO: dict[str, dict[str, Any]] = {"cpu": {"rater": "learnt", "quality": "continuous"}}
"""The paper's kNN-Bayes sees no difference between a reference and a worse version of it."""
BUILD = BuildConfig(
    per_kind=PER_KIND, columns=Columns(rating="score", low=0, high=5), held_out=0.03
)


def dolly(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows whose ratings are known to be theirs, without those of the example."""
    shown = {json.loads(line)["instruction"] for line in EXAMPLE.read_text("utf-8").splitlines()}
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        if row["score_aligned"] and row["instruction"] not in shown:
            kept = {name: row[name] for name in ("instruction", "input", "output")}
            yield {**kept, "score": row["score_gpt4o_mini"]}


def seeds(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the human-written seed tasks that are no classification, as rows rated 5."""
    for line in path.read_text("utf-8").splitlines():
        task = json.loads(line)
        if not task["is_classification"]:
            first = task["instances"][0]
            yield {"instruction": task["instruction"], **first, "score": 5}


def gather(folder: Path, rows: Path) -> tuple[list[Path], list[Path]]:
    """Write what may be trained on to `rows`; return the files of rows and of articles."""
    rows.mkdir(parents=True, exist_ok=True)
    files = {name: list(dolly(folder / name)) for name in DOLLY}
    files[SEEDS] = list(seeds(folder / "self_instruct" / SEEDS))
    for name, found in files.items():
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in found]
        (rows / name).write_text("".join(lines), encoding="utf-8")
    squad = json.loads((folder / "text" / "xquad.en.json").read_text("utf-8"))
    squad["data"] = squad["data"][: len(squad["data"]) // 2]
    (rows / "xquad.json").write_text(json.dumps(squad), encoding="utf-8")
    articles = (folder / "text" / "wiki_demo.txt").read_text("utf-8").split("\n")
    (rows / "wiki.txt").write_text("\n".join(articles[:TRAINED_ARTICLES]), encoding="utf-8")
    return [rows / name for name in files], [rows / "xquad.json", rows / "wiki.txt"]


def main() -> None:
    """Gather, build, train, write the adapter."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("folder", type=Path)
    options.add_argument("--work", type=Path, default=cache_folder() / "distiller")
    options.add_argument("--preset", default="cpu")
    options.add_argument("--trainings", type=int, default=9, help="stop after so many of them")
    given = options.parse_args()
    tasks = given.work / "tasks"
    if not (tasks / TRAIN).exists():
        rows, articles = gather(given.folder, given.work / "rows")
        embed = load_embedder().embed
        build_tasks([str(path) for path in rows], articles, tasks, BUILD, embed=embed)
    adapter = None
    stages = SFT.get(given.preset, [{}])
    for number, own in enumerate(stages[: given.trainings], 1):
        usual = EVERY_SFT.get(given.preset, {})
        config = with_settings(SftConfig, given.preset, {**usual, **own})
        output = given.work / f"sft{number}"
        adapter = sft(tasks, output, config, adapter=adapter, say=say).adapter
    if given.trainings > len(stages):
        tuned = with_settings(GrpoConfig, given.preset, GRPO.get(given.preset, {}))
        adapter = grpo(tasks, adapter, given.work / "grpo", tuned, say=say).adapter
    target = given.work / ADAPTER.name
    write_lora_gguf(adapter, config.base, target)
    if given.preset == "cpu":
        shutil.copyfile(target, ADAPTER)
    say(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


def say(line: str) -> None:
    """Show a line of a training."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
