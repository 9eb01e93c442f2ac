"""What the plan saves: a planned run beside an exhaustive one, on the same rows.

    python benchmarks/plan.py FOLDER [--quick] [--model NAME] [--rows N] [--budget N]

FOLDER holds dolly_rated_02.jsonl and dolly_rated_03.jsonl, whose ratings take no part. Both runs
are those of `minimix distill`; the mean rating and rarity of their final sets are compared, rarity
on the scale of the pool alone, so that neither set measures itself. `--model extract`, the default,
is the baseline without a model; `--rows` takes only the first ones. What is generated is kept in
the system's folder for temporary files, and a benchmark that is stopped goes on from there.
Progress goes to stderr, one JSON object is the last line of stdout, and a figure that misses its
bar gives exit status 1.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from outcome import end

from minimix.arrow import Distilled
from minimix.config import EXTRACT, DistillConfig, EngineConfig
from minimix.embed import load_embedder
from minimix.engines.bundled import cache_folder
from minimix.plan import odds
from minimix.rarity import rarity_among
from minimix.run import distill_file
from minimix.vector_store import FOLDER

FILES = ("dolly_rated_02.jsonl", "dolly_rated_03.jsonl")
FIELDS = ("instruction", "input", "output")
BUDGET, QUICK_ROWS, QUICK_BUDGET = 200, 600, 20
WITHIN, MOST_GENERATED = 0.02, 0.2
GROUPS = 5


def write_rows(folder: Path, rows: int | None, path: Path) -> None:
    """Write the first rows of Dolly in `folder`, without their ratings."""
    lines = [line for name in FILES for line in (folder / name).read_text("utf-8").splitlines()]
    found = [json.loads(line) for line in lines[:rows]]
    texts = (json.dumps({name: row[name] for name in FIELDS}) for row in found)
    path.write_text("".join(f"{text}\n" for text in texts), "utf-8")


def worth(result: Distilled) -> dict[str, float]:
    """Return the mean rating and rarity of a final set, and of the fusions in it."""
    prepared = result.prepared
    embed = load_embedder(cache=cache_folder() / FOLDER).embed
    least, most = float(prepared.rarity.min()), float(prepared.rarity.max())
    rows = {sample.place: row for row, sample in enumerate(prepared.samples)}
    fused = [entry for entry in result.entries if entry.origin == "fusion"]
    others = [entry for entry in result.entries if entry.origin != "fusion"]
    new = rarity_among(embed([entry.sample.text for entry in fused]), prepared.embeddings)
    old = prepared.rarity[[rows[entry.sample.place] for entry in others]]
    return {
        "rating": float(np.mean([entry.rating for entry in result.entries])),
        "rarity": (float(np.concatenate([new, old]).mean()) - least) / (most - least),
        "rating_of_fusions": float(np.mean([entry.rating for entry in fused])),
        "rarity_of_fusions": (float(new.mean()) - least) / (most - least),
    }


def calibration(result: Distilled) -> list[dict[str, float]]:
    """Return, from the unlikeliest fifth on, odds from a guess, odds as learnt, and what was so.

    Of an exhaustive run: learnt are the odds of each from the clusters before it in the plan.
    """
    written, outlook = result.written, result.prepared.outlook
    positions = np.array(list(written.turned))
    accepted = np.array([written.turned[position] for position in positions])
    guessed = odds(outlook, {})[positions]
    learnt = odds(outlook, written.turned)[positions]
    groups = np.array_split(np.argsort(learnt), GROUPS)
    return [
        {
            "guessed": float(guessed[group].mean()),
            "learnt": float(learnt[group].mean()),
            "accepted": float(accepted[group].mean()),
        }
        for group in groups
    ]


def measure(folder: Path, *, model: str, rows: int | None, budget: int) -> dict[str, Any]:
    """Return the figures of both runs."""
    name = f"minimix-plan-{Path(model).stem}-{rows or 'all'}-{budget}"
    place = Path(tempfile.gettempdir(), name)
    place.mkdir(exist_ok=True)
    data = place / "pool.jsonl"
    write_rows(folder, rows, data)
    config = DistillConfig(budget=str(budget), engine=EngineConfig(model=model))
    runs = {}
    for way in (False, True):
        output = place / ("exhaustive" if way else "planned")
        result, _ = distill_file(str(data), replace(config, exhaustive=way), output=output)
        counts = result.counts
        runs[output.name] = {
            **{key: counts[key] for key in ("clusters", "tried", "candidates", "accepted")},
            **{key: counts[key] for key in ("final", "fusions", "high_fusions")},
            **worth(result),
        }
        print(output.name, json.dumps(runs[output.name]), file=sys.stderr, flush=True)
    planned, whole = runs["planned"], runs["exhaustive"]
    return {
        "runs": runs,
        "odds": calibration(result),
        "figures": {
            key: planned[key] / whole[key] for key in ("rating", "rarity", "candidates")
        },
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("folder", type=Path)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--model", default=EXTRACT)
    options.add_argument("--rows", type=int)
    options.add_argument("--budget", type=int, default=BUDGET)
    given = options.parse_args()
    rows, budget = (QUICK_ROWS, QUICK_BUDGET) if given.quick else (given.rows, given.budget)
    found = measure(given.folder, model=given.model, rows=rows, budget=budget)
    figures = found["figures"]
    holds = {
        "rating within 2 % of exhaustive": figures["rating"] >= 1 - WITHIN,
        "rarity within 2 % of exhaustive": figures["rarity"] >= 1 - WITHIN,
        "at most a fifth of the generations": figures["candidates"] <= MOST_GENERATED,
    }
    end("plan", holds, model=given.model, budget=budget, **found)


if __name__ == "__main__":
    main()
