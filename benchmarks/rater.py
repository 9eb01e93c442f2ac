"""How far each rater agrees with ratings and with people, and how fast it is.

    python benchmarks/rater.py FOLDER [--quick] [--slow-rows N]

FOLDER holds dolly_rated_02.jsonl and dolly_rated_03.jsonl, which no shipped rater has seen,
pandalm/testset-v1.json (pairs of answers that three people chose between), text/xquad.en.json and
text/wiki_demo.txt, of which the second parts count here. Raters that need a language model rate
only --slow-rows rows and half as many pairs. Progress goes to stderr, one JSON object is the last
line of stdout, and a figure that misses its bar gives exit status 1.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minimix import static
from minimix.config import DistillConfig
from minimix.engines.machine import cores
from minimix.mixture.text.passages import build, read_articles, read_squad
from minimix.mixture.worse.degrade import graded
from minimix.output import versions
from minimix.rate import rate_samples
from minimix.rating import VERSION, open_rater
from minimix.rating.agreement import agree, auc, preferred, spearman
from minimix.rating.noise import diagnose
from minimix.records import Kind, Place, Rate, Sample, Vectors

SEED = 42
QUICK_PAIRS, QUICK_KIND = 200, 40
KIND_SAMPLES = 150
TIMINGS = 5
TIMED = 2_000
"""Samples that slower raters are timed on with --quick."""
TRAINED_ARTICLES = 20
SAME = 0.03
"""Raters whose rank correlations differ by less count as equal: then people decide."""
NEAR_LENGTH = 0.2
"""Difference in the logarithm of two answers' lengths up to which they are alike in length."""
SYNTHETIC: tuple[Kind, ...] = ("mcq", "tfq", "cs", "para")
NOISE = (0.0, 0.2, 0.4)
LEAST_SPEARMAN, LEAST_AUC, LEAST_SPEED = 0.72, 0.92, 5_000
PLACE = (Place("benchmark", 1, 0, ""),)


def dolly(folder: Path) -> tuple[list[Sample], dict[str, np.ndarray]]:
    """Return the rows whose ratings are known to be theirs, and their classes by teacher."""
    rows = [
        row
        for number in (2, 3)
        for row in _lines(folder / f"dolly_rated_0{number}.jsonl")
        if row["score_aligned"]
    ]
    samples = [_sample(row["instruction"], row["output"], row["input"]) for row in rows]
    teachers = ("gpt4o_mini", "llama31_8b", "mistral_7b")
    return samples, {
        name: np.array([row[f"score_{name}"] for row in rows], dtype=float) for name in teachers
    }


def pairs(folder: Path) -> tuple[list[Sample], list[Sample]]:
    """Return answers that three people agreed were the better ones, and those beside them."""
    better, worse = [], []
    for row in json.loads((folder / "pandalm" / "testset-v1.json").read_text(encoding="utf-8")):
        votes = {row[f"annotator{number}"] for number in (1, 2, 3)}
        if votes in ({1}, {2}):
            two = [
                _sample(row["instruction"], str(row[f"response{n}"]), row["input"]) for n in (1, 2)
            ]
            better.append(two[votes.pop() - 1])
            worse.append(two[0] if better[-1] is two[1] else two[1])
    return better, worse


def by_length(samples: Sequence[Sample]) -> Vectors:
    """Return the words of each response: what a rater must beat."""
    return np.array([len(sample.response.split()) for sample in samples], dtype=np.float32)


def with_ratings(
    rate: Rate, samples: Sequence[Sample], teachers: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Return the agreement with gpt-4o-mini, and with the two other teachers together."""
    ratings = rate(samples)
    found = agree(ratings, teachers["gpt4o_mini"], by_length(samples)).plain()
    rated = ~np.isnan(ratings)
    others = (teachers["llama31_8b"] + teachers["mistral_7b"]) / 2
    found["spearman_with_llama_and_mistral"] = spearman(ratings[rated], others[rated])
    return found


def with_people(rate: Rate, better: Sequence[Sample], worse: Sequence[Sample]) -> dict[str, Any]:
    """Return how often the answer that people preferred is rated higher; ties count half."""
    ours, theirs = rate(better), rate(worse)
    known = ~np.isnan(ours) & ~np.isnan(theirs)
    ratio = np.log((by_length(better) + 1) / (by_length(worse) + 1))
    alike = known & (np.abs(ratio) < NEAR_LENGTH)
    return {
        "pairs": int(known.sum()),
        "preferred": preferred(ours[known], theirs[known]),
        "pairs_alike_in_length": int(alike.sum()),
        "preferred_alike_in_length": preferred(ours[alike], theirs[alike]),
    }


def speed(rate: Rate, samples: Sequence[Sample]) -> float:
    """Return samples a second, everything included: the median of five runs."""
    rate(samples[:10])  # what is loaded once
    seconds = []
    for _ in range(TIMINGS):
        start = time.perf_counter()
        rate(samples)
        seconds.append(time.perf_counter() - start)
    return len(samples) / statistics.median(seconds)


def by_kind(folder: Path, raters: Mapping[str, Rate], most: int) -> dict[str, Any]:
    """Return how each rater ranks the depths to which samples of unseen articles are degraded."""
    squad = read_squad(folder / "text" / "xquad.en.json")
    plain = read_articles(folder / "text" / "wiki_demo.txt")
    rng = np.random.default_rng(SEED)
    built = build([*squad[len(squad) // 2 :], *plain[TRAINED_ARTICLES:]], rng=rng)
    found: dict[str, Any] = {}
    for kind in SYNTHETIC:
        own = [sample for sample in built if sample.kind == kind]
        picked = [own[row] for row in np.sort(rng.permutation(len(own))[:most])]
        versions_of, classes = zip(*graded(picked, rng=rng), strict=True)
        words = by_length(versions_of)
        found[kind] = {
            name: agree(rate(versions_of), np.array(classes), words).plain()["spearman"]
            for name, rate in {**raters, "length": by_length}.items()
        } | {"rows": len(classes)}
    return found


def noise(samples: Sequence[Sample], classes: np.ndarray) -> dict[str, Any]:
    """Return the neighbours' diagnosis of ratings as they are, and with some replaced by dice."""
    vectors = static.embed([sample.text for sample in samples])
    whole = classes.astype(np.intp)
    found = {}
    for share in NOISE:
        rng = np.random.default_rng(SEED)
        changed = rng.random(len(whole)) < share
        dice = np.where(changed, rng.permutation(whole), whole)
        diagnosis = diagnose(vectors, dice)
        wrong = dice != whole
        found[f"{share:.0%}"] = {
            "beyond_chance": round(diagnosis.beyond_chance, 4),
            "wrong_ones_doubted_auc": auc(diagnosis.doubt, wrong),
        }
    return found


def slow(name: str) -> Rate:
    """Return a rater that needs a language model: the bundled one, without its LoRA."""
    config = DistillConfig(rater=name)

    def rate(samples: Sequence[Sample]) -> Vectors:
        print(f"{name}: {len(samples)} samples", file=sys.stderr)
        return rate_samples(samples, config)[1].ratings

    return rate


def measure(folder: Path, *, quick: bool, slow_rows: int) -> dict[str, Any]:
    """Return all figures."""
    samples, teachers = dolly(folder)
    better, worse = pairs(folder)
    if quick:
        better, worse = better[:QUICK_PAIRS], worse[:QUICK_PAIRS]
    raters = {
        "learnt": open_rater().rate,
        "learnt, length-neutral": open_rater(length_neutral=True).rate,
        "knn-bayes": open_rater("knn-bayes").rate,
    }
    found: dict[str, Any] = {}
    for name, rate in {**raters, "length": by_length}.items():
        print(name, file=sys.stderr)
        found[name] = {
            "ratings": with_ratings(rate, samples, teachers),
            "people": with_people(rate, better, worse),
        }
        if name in raters:
            timed = samples[:TIMED] if quick and name != "learnt" else samples
            found[name]["samples_per_second"] = speed(rate, timed)
    rows = np.sort(np.random.default_rng(SEED).permutation(len(samples))[:slow_rows]).tolist()
    some = [samples[row] for row in rows]
    theirs = {name: classes[rows] for name, classes in teachers.items()}
    half = slice(None, slow_rows // 2)
    for name in ("difficulty", "llm") if slow_rows else ():
        found[name] = {
            "ratings": with_ratings(slow(name), some, theirs),
            "people": with_people(slow(name), better[half], worse[half]),
        }
    return {
        "raters": found,
        "kinds": by_kind(folder, raters, QUICK_KIND if quick else KIND_SAMPLES),
        "noise": noise(samples, teachers["gpt4o_mini"]),
    }


def checks(figures: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each bar, what was found, and whether it holds."""
    raters = figures["raters"]
    learnt, neutral = raters["learnt"], raters["learnt, length-neutral"]
    bars = {
        "learnt: spearman": (learnt["ratings"]["spearman"], LEAST_SPEARMAN),
        "learnt: auc": (learnt["ratings"]["auc"], LEAST_AUC),
        "learnt: samples per second": (learnt["samples_per_second"], LEAST_SPEED),
        "length-neutral: beyond length, against kNN-Bayes": (
            neutral["ratings"]["beyond_length"],
            raters["knn-bayes"]["ratings"]["beyond_length"],
        ),
    }
    return {
        name: {"found": round(found, 4), "bar": round(bar, 4), "holds": bool(found >= bar)}
        for name, (found, bar) in bars.items()
    }


def default_by_people(raters: Mapping[str, Any]) -> dict[str, Any]:
    """Return which of the raters nearest to their teacher people agree with most."""
    quick = {name: one for name, one in raters.items() if "samples_per_second" in one}
    best = max(one["ratings"]["spearman"] for one in quick.values())
    equal = {
        name: one["people"]["preferred"]
        for name, one in quick.items()
        if one["ratings"]["spearman"] >= best - SAME
    }
    chosen = max(equal, key=lambda name: equal[name])
    length = raters["length"]["people"]["preferred"]
    return {"among": equal, "default": chosen, "length": length, "beats": equal[chosen] > length}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("folder", type=Path)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--slow-rows", type=int, default=400)
    given = options.parse_args()
    figures = measure(
        given.folder, quick=given.quick, slow_rows=0 if given.quick else given.slow_rows
    )
    bars = checks(figures)
    result = {
        "benchmark": "rater",
        "rater_version": VERSION,
        **figures,
        "default_by_people": default_by_people(figures["raters"]),
        "bars": bars,
        "machine": f"{platform.system()} {platform.machine()}, {cores()} cores",
        "versions": versions(),
    }
    print(json.dumps(result))
    sys.exit(not all(bar["holds"] for bar in bars.values()))


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _sample(instruction: str, response: str, given: str) -> Sample:
    return Sample(instruction, response, PLACE, input=given)


if __name__ == "__main__":
    main()
