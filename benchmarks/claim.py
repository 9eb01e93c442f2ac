"""Does what minimix distils train a better student than plain subsets with as many tokens?

    python benchmarks/claim.py FOLDER [--quick] [--ratings] [--model NAME] [--work WORK]

FOLDER holds dolly_rated_02.jsonl and dolly_rated_03.jsonl. Held out are rows that two of three
raters call good (4 or more of 5), as many from each fifth of the pool by the length of the answer,
so that no set wins by the length it prefers; what is near them is taken out of the pool. The rest
is the pool, whose ratings take no part unless `--ratings` lets those of gpt-4o-mini stand in for
the rater: the ideal one. `minimix compare` does the rest, with the bundled model as the student.
WORK (default: minimix's cache) keeps all of it, so a benchmark that is stopped goes on: some hours
on one core. Progress goes to stderr, one JSON object is the last line of stdout, and a figure that
misses its bar gives exit status 1.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from outcome import end

from minimix.compare import page
from minimix.compare.arrow import Compared, compare
from minimix.compare.settings import Asked, CompareConfig
from minimix.config import EXTRACT, DistillConfig
from minimix.engines.bundled import cache_folder
from minimix.train.settings import SftConfig, with_settings

FILES = ("dolly_rated_02.jsonl", "dolly_rated_03.jsonl")
RATERS = ("score_gpt4o_mini", "score_llama31_8b", "score_mistral_7b")
FIELDS = ("instruction", "input", "output")
GOOD, AGREEING, FIFTHS = 4, 2, 5
SEED = 0
ARMS = ("random", "longest", "top_rated", "high", "distilled", "mixed_5_5")
HELD, BUDGET, SEEDS = 150, "120", 3
STUDENT = {"num_train_epochs": 2.0, "max_length": 512, "save_steps": 20}
QUICK_ROWS, QUICK_HELD, QUICK_BUDGET = 400, 10, "8"
QUICK_STUDENT = {"num_train_epochs": 1.0, "max_length": 320, "warmup_steps": 0, "decay": 0.0}


def read(folder: Path) -> list[dict[str, Any]]:
    """Return the rows whose ratings are known to be theirs."""
    lines = [line for name in FILES for line in (folder / name).read_text("utf-8").splitlines()]
    return [row for row in map(json.loads, lines) if row["score_aligned"]]


def held_out(rows: Sequence[dict[str, Any]], count: int) -> list[int]:
    """Return rows that most raters call good, as many from each fifth of the answers' lengths."""
    lengths = np.array([len(row["output"].split()) for row in rows])
    good = np.array([sum(row[one] >= GOOD for one in RATERS) >= AGREEING for row in rows])
    edges = np.quantile(lengths, np.linspace(0, 1, FIFTHS + 1)[1:-1])
    fifths = np.searchsorted(edges, lengths, side="right")
    rng = np.random.default_rng(SEED)
    drawn = [
        rng.permutation(np.flatnonzero(good & (fifths == fifth)))[: count // FIFTHS]
        for fifth in range(FIFTHS)
    ]
    return sorted(np.concatenate(drawn).tolist())


def write(rows: Sequence[dict[str, Any]], path: Path, *, rating: str = "") -> str:
    """Write rows in Alpaca's shape, with a rating where one is named."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = (*FIELDS, *([rating] if rating else []))
    texts = (json.dumps({name: row[name] for name in names}) for row in rows)
    path.write_text("".join(f"{text}\n" for text in texts), "utf-8")
    return str(path)


def main() -> None:
    """Part the rows, compare, and print what came of it."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("folder", type=Path)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--ratings", action="store_true")
    options.add_argument("--model", default="")
    options.add_argument("--work", type=Path)
    given = options.parse_args()
    kind = "quick" if given.quick else "ratings" if given.ratings else "learnt"
    work = given.work or cache_folder() / "claim" / kind
    rows = read(given.folder)[: QUICK_ROWS if given.quick else None]
    chosen = held_out(rows, QUICK_HELD if given.quick else HELD)
    rating = RATERS[0] if given.ratings else ""
    rest = [row for number, row in enumerate(rows) if number not in set(chosen)]
    pool = write(rest, work / "rows.jsonl", rating=rating)
    held = write([rows[number] for number in chosen], work / "held.jsonl")
    distilling: dict[str, Any] = {"budget": QUICK_BUDGET if given.quick else BUDGET}
    distilling |= {"rating_field": rating, "rating_range": (0, 5)} if rating else {}
    model = given.model or (EXTRACT if given.quick else "")
    distilling |= {"model": model} if model else {}
    asked = Asked(
        config=CompareConfig(
            arms=("random", "longest", "mixed_5_5") if given.quick else ARMS,
            matched=("tokens",),
            seeds=1 if given.quick else SEEDS,
            held_out=held,
        ),
        distilling=DistillConfig().with_settings(distilling),
        student=with_settings(SftConfig, "cpu", QUICK_STUDENT if given.quick else STUDENT),
    )
    found = compare(pool, asked, work / "compared", say=lambda line: print(line, file=sys.stderr))
    page.write(found, work / "compared")
    end("claim", holds(found), kind=kind, **page.as_json(found))


def holds(found: Compared) -> dict[str, bool]:
    """Return whether the mix beats the hard sets, each with an interval below zero."""
    by_name = {arm.name: arm for arm in found.students}
    return {
        f"mixed_5_5 below {rival}": page.difference(
            found, by_name["mixed_5_5"], by_name[rival]
        ).high
        < 0
        for rival in page.RIVALS
    }


if __name__ == "__main__":
    main()
