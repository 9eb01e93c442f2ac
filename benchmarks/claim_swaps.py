"""What holds a mix back: students of the mix with one of its parts swapped for another.

    python benchmarks/claim_swaps.py FOLDER [--work WORK] [--seeds N] [--swaps NAME,...]

FOLDER is that of `benchmarks/claim.py`, which must have finished in WORK: its pool, fusions,
held-out rows and students are used again. Every swap trains one student for each seed on as many
tokens as the mix did:

- steps: random rows, in as many steps as the mix took (rows are short, so they had taken more);
- by_length, by_rating: high originals, the best of each length in turn, or the best of all;
- neutral: originals in the order of the learnt rater's length-neutral ratings;
- ratings: originals in the order of gpt-4o-mini's ratings, the rater's teacher;
- random_originals: originals drawn from the whole pool, without a rater;
- sources: in place of each fusion the best rated of the rows that it was made of.

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
from minimix.compare import verdict
from minimix.compare.arms import arms, mixed
from minimix.compare.held_out import HELD
from minimix.compare.students import (
    Student,
    beginning,
    digest,
    encoder,
    open_tokenizer,
    study,
)
from minimix.config import HIGH, DistillConfig
from minimix.engines.bundled import cache_folder
from minimix.pool import Pool
from minimix.rating import open_rater
from minimix.records import Sample
from minimix.run import distill_file, load_pool
from minimix.select import by_length
from minimix.spool import subset
from minimix.train.settings import SftConfig, with_settings

SWAPS = ("steps", "by_length", "by_rating", "neutral", "ratings", "random_originals", "sources")
RIVALS = ("random", "mixed_5_5")


def finished(work: Path) -> tuple[Distilled, Pool]:
    """Return the run of `claim.py`, whose fusions are all in its final set."""
    config = DistillConfig().with_settings({"budget": BUDGET, "mix": 1.0})
    return distill_file(str(work / "pool.jsonl"), config, output=work / "distilled")


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
    samples, made = prepared.samples, sets["distilled"]
    ratings, rarity = np.asarray(prepared.ratings), np.asarray(prepared.rarity)
    high, every = np.array(sorted(prepared.high)), np.arange(len(samples))
    lengths = np.array([len(sample.response) for sample in samples])
    neutral = open_rater(length_neutral=True).rate(samples)
    orders = {
        "by_length": by_length(high, lengths, ratings, rarity),
        "by_rating": high[np.lexsort((-rarity[high], -ratings[high]))],
        "neutral": every[np.lexsort((-rarity, -neutral))],
        "ratings": every[np.lexsort((-rarity, -known(rows, samples)))],
    }
    best = {
        entry.sample.id: samples[max(_rows(result, entry), key=lambda row: ratings[row])]
        for entry in result.entries
        if entry.fusion
    }
    originals = sets["mixed_5_5"][::2]
    return {
        "steps": sets["random"],
        **{name: list(mixed(subset(samples, order), made, 5)) for name, order in orders.items()},
        "random_originals": list(mixed(sets["random"], made, 5)),
        "sources": list(mixed(originals, [best[one.id] for one in made], 5)),
    }


def _rows(result: Distilled, entry: Any) -> tuple[int, ...]:
    rows: tuple[int, ...] = result.written.clusters[entry.fusion.cluster].rows
    return rows


def shares(rows: Sequence[dict[str, Any]], result: Distilled) -> dict[str, list[float]]:
    """Return what share of each fifth by the answer's length the raters and ours call good."""
    lengths = [len(row["output"]) for row in rows]
    found = {name: _shares(lengths, [row[name] for row in rows]) for name in RATERS}
    own = [len(sample.response) for sample in result.prepared.samples]
    return {**found, "minimix": _shares(own, result.prepared.ratings.tolist())}


def _shares(lengths: Sequence[int], ratings: Sequence[float]) -> list[float]:
    edges = np.quantile(lengths, np.linspace(0, 1, FIFTHS + 1)[1:-1])
    own, good = np.searchsorted(edges, lengths, side="right"), np.asarray(ratings) >= HIGH
    return [round(float(good[own == fifth].mean()), 3) for fifth in range(FIFTHS)]


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
    options.add_argument("--swaps", default=",".join(SWAPS))
    given = options.parse_args()
    names = given.swaps.split(",")
    work = given.work / "compared"
    rows = read(given.folder)
    result, pool = finished(work)
    config = with_settings(SftConfig, "cpu", STUDENT)
    encode = encoder(open_tokenizer(config.base))
    samples = load_pool(str(work / HELD), DistillConfig()).samples
    held = beginning(samples, encode, rows=len(samples), max_length=config.max_length)
    students: dict[str, list[Student]] = {name: [] for name in names}
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
        for name in names:
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
    thirds = verdict.by_length([len(one.answer) for one in held])
    found: dict[str, Any] = {}
    for name, own in students.items():
        losses = np.array([one.losses for one in own])
        found[name] = {
            "rows": np.mean([one.rows for one in own]),
            "steps": np.mean([one.steps for one in own]),
            "loss": rounded(asdict(verdict.average(losses, seed=0))),
            "by_answer_length": rounded(
                {third: float(losses[:, at].mean()) for third, at in thirds.items()}
            ),
        }
        for rival in RIVALS:
            theirs = [earlier(work, rival, first + number)["losses"] for number in range(len(own))]
            difference = verdict.apart(losses, np.array(theirs), seed=0)
            found[name][f"minus {rival}"] = rounded(asdict(difference))
    return {"seeds": len(own), "held_out": len(held), "swaps": found}


if __name__ == "__main__":
    main()
