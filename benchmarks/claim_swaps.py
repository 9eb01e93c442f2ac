"""What holds a mix back: students of the mix with one of its parts swapped for an ideal one.

    python benchmarks/claim_swaps.py FOLDER [--work WORK] [--seeds N]

FOLDER is that of `benchmarks/claim.py`, which must have finished in WORK: its pool, fusions,
held-out rows and students are used again. Every swap trains one student for each seed on as many
tokens as the mix did:

- steps: random rows, in as many steps as the mix took (rows are short, so they had taken more);
- even: the originals are the best of each fifth of the pool by the length of the answer, in turn;
- sources: in place of each fusion the best rated of the rows that it was made of;
- random_originals: originals drawn from the whole pool, without a rater;
- ratings: originals in the order of gpt-4o-mini's ratings, the rater's teacher.

Students are kept, so a benchmark that is stopped goes on. Progress goes to stderr, one JSON object
is the last line of stdout.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from claim import BUDGET, FIELDS, FIFTHS, RATERS, SEEDS, STUDENT, read
from outcome import end, rounded

from minimix.arrow import Distilled
from minimix.compare.arms import DRAW, arms, mixed
from minimix.compare.held_out import HELD
from minimix.compare.students import (
    Student,
    beginning,
    digest,
    encoder,
    open_tokenizer,
    study,
)
from minimix.compare.verdict import apart, average, by_length
from minimix.config import DistillConfig
from minimix.engines.bundled import cache_folder
from minimix.pool import Pool
from minimix.records import Sample
from minimix.run import distill_file, load_pool
from minimix.spool import subset
from minimix.train.settings import SftConfig, with_settings

SWAPS = ("steps", "even", "sources", "random_originals", "ratings")
RIVALS = ("random", "mixed_5_5")
GOOD = 4


def finished(work: Path) -> tuple[Distilled, Pool]:
    """Return the run of `claim.py`, whose fusions are all in its final set."""
    config = DistillConfig().with_settings({"budget": BUDGET, "mix": 1.0})
    return distill_file(str(work / "pool.jsonl"), config, output=work / "distilled")


def fifths(samples: Sequence[Sample]) -> np.ndarray:
    """Return 0..4 for each sample: the fifth that its answer is in by its length in words."""
    lengths = np.array([len(sample.response.split()) for sample in samples])
    edges = np.quantile(lengths, np.linspace(0, 1, FIFTHS + 1)[1:-1])
    return np.searchsorted(edges, lengths, side="right")


def known(rows: Sequence[dict[str, Any]], samples: Sequence[Sample]) -> np.ndarray:
    """Return the teacher's rating of each sample, of rows of one text the first one's."""
    by_text: dict[tuple[str, ...], float] = {}
    for row in rows:
        by_text.setdefault(tuple(row[name].strip() for name in FIELDS), row[RATERS[0]])
    return np.array(
        [
            by_text[tuple(map(str.strip, (one.instruction, one.input, one.response)))]
            for one in samples
        ]
    )


def swapped(
    result: Distilled, pool: Pool, rows: Sequence[dict[str, Any]], *, seed: int
) -> dict[str, Sequence[Sample]]:
    """Return the set of each swap, its first rows first."""
    sets, prepared = arms(result, pool, seed=seed), result.prepared
    rng = np.random.default_rng([seed, DRAW + 1])
    chance, ratings = rng.random(len(prepared.samples)), np.asarray(prepared.ratings)
    own = fifths(prepared.samples)
    place = np.empty(len(own), dtype=int)
    for fifth in range(FIFTHS):
        inside = np.flatnonzero(own == fifth)
        place[inside[np.lexsort((chance[inside], -ratings[inside]))]] = np.arange(len(inside))
    even = subset(prepared.samples, np.lexsort((chance, place)).tolist())
    taught = np.lexsort((chance, -known(rows, prepared.samples)))
    made = sets["distilled"]
    sources = {
        entry.sample.id: prepared.samples[max(_rows(result, entry), key=lambda row: ratings[row])]
        for entry in result.entries
        if entry.fusion
    }
    high = sets["mixed_5_5"][::2]
    return {
        "steps": sets["random"],
        "even": list(mixed(even, made, 5)),
        "sources": list(mixed(high, [sources[one.id] for one in made], 5)),
        "random_originals": list(mixed(sets["random"], made, 5)),
        "ratings": list(mixed(subset(prepared.samples, taught.tolist()), made, 5)),
    }


def _rows(result: Distilled, entry: Any) -> Sequence[int]:
    return result.written.clusters[entry.fusion.cluster].rows


def shares(rows: Sequence[dict[str, Any]], result: Distilled) -> dict[str, list[float]]:
    """Return what share of each fifth by the answer's length the raters and ours call good."""
    lengths = np.array([len(row["output"].split()) for row in rows])
    edges = np.quantile(lengths, np.linspace(0, 1, FIFTHS + 1)[1:-1])
    inside = np.searchsorted(edges, lengths, side="right")
    mine = fifths(result.prepared.samples)
    given = {name: (inside, np.array([row[name] for row in rows])) for name in RATERS}
    given["minimix"] = (mine, np.asarray(result.prepared.ratings))
    return {
        name: [round(float((ratings[own == one] >= GOOD).mean()), 3) for one in range(FIFTHS)]
        for name, (own, ratings) in given.items()
    }


def earlier(work: Path, arm: str, seed: int) -> Mapping[str, Any]:
    """Return a student that `claim.py` trained."""
    (path,) = (work / "students").glob(f"{arm}-{seed}-*/student.json")
    found: Mapping[str, Any] = json.loads(path.read_text("utf-8"))["student"]
    return found


def main() -> None:
    """Train the students of every swap, and print what they say."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("folder", type=Path)
    options.add_argument("--work", type=Path, default=cache_folder() / "claim" / "learnt")
    options.add_argument("--seeds", type=int, default=SEEDS)
    given = options.parse_args()
    work = given.work / "compared"
    rows = read(given.folder)
    result, pool = finished(work)
    config = with_settings(SftConfig, "cpu", STUDENT)
    encode = encoder(open_tokenizer(config.base))
    samples = load_pool(str(work / HELD), DistillConfig()).samples
    held = beginning(samples, encode, rows=len(samples), max_length=config.max_length)
    students: dict[str, list[Student]] = {name: [] for name in SWAPS}
    for number in range(given.seeds):
        seed = config.seed + number
        sets = swapped(result, pool, rows, seed=seed)
        mix = beginning(
            arms(result, pool, seed=seed)["mixed_5_5"],
            encode,
            rows=int(BUDGET),
            max_length=config.max_length,
        )
        tokens = sum(map(len, mix))
        steps = round(config.num_train_epochs * len(mix) / config.per_step)
        for name in SWAPS:
            taken = beginning(sets[name], encode, tokens=tokens, max_length=config.max_length)
            own = replace(config, seed=seed, max_steps=_steps(taken, config, tokens))
            if name == "steps":
                each = round(config.num_train_epochs * len(taken) / steps)
                own = replace(own, max_steps=steps, per_device_train_batch_size=each)
            print(f"{name}, seed {seed}: {len(taken)} rows, {own.max_steps} steps", file=sys.stderr)
            place = work / "students" / f"swap-{name}-{seed}-{digest(taken, asdict(own))}"
            students[name].append(study(taken, held, place, own, say=_say))
    end("claim_swaps", {}, shares=shares(rows, result), **table(work, students, held, config.seed))


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _steps(rows: Sequence[Any], config: SftConfig, tokens: int) -> int:
    """Return the steps in which as many tokens are trained on as the mix has in all its epochs."""
    each = sum(map(len, rows)) / len(rows)
    return round(config.num_train_epochs * tokens / each / config.per_step)


def table(
    work: Path, students: Mapping[str, Sequence[Student]], held: Sequence[Any], first: int
) -> dict[str, Any]:
    """Return what every swap's students lose, and how that differs from random and the mix."""
    thirds = by_length([len(one.answer) for one in held])
    found: dict[str, Any] = {}
    for name, own in students.items():
        losses = np.array([one.losses for one in own])
        found[name] = {
            "rows": np.mean([one.rows for one in own]),
            "steps": np.mean([one.steps for one in own]),
            "loss": rounded(asdict(average(losses, seed=0))),
            "by_answer_length": rounded(
                {third: float(losses[:, at].mean()) for third, at in thirds.items()}
            ),
        }
        for rival in RIVALS:
            theirs = [earlier(work, rival, first + number)["losses"] for number in range(len(own))]
            found[name][f"minus {rival}"] = rounded(asdict(apart(losses, np.array(theirs), seed=0)))
    return {"seeds": len(own), "held_out": len(held), "swaps": found}


if __name__ == "__main__":
    main()
