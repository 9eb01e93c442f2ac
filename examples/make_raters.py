"""Fit the raters that ship: minimix/rating/learnt.npz and knn-bayes.npz.

    python examples/make_raters.py FOLDER

FOLDER holds dolly_rated_00.jsonl and dolly_rated_01.jsonl (rows of Dolly with the paper's ratings
by gpt-4o-mini), text/wiki_demo.txt and text/xquad.en.json. Question-answer pairs get its ratings.
For the other kinds nobody rated anything: good samples are built from articles and made worse in
five steps, and the class is 5 less the steps. Rows of examples/dolly.jsonl take no part, so the
example is rated as a user's data would be; nor do the articles kept for measuring.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from minimix.mixture.text.passages import build, read_articles, read_squad
from minimix.mixture.worse.degrade import graded
from minimix.rating import BUNDLED, KNN_BAYES, LEARNT, fit
from minimix.rating.store import save
from minimix.records import Kind, Place, Sample

ROOT = Path(__file__).parent.parent
SEED = 42
TRAINED_ARTICLES = 20
SYNTHETIC: tuple[Kind, ...] = ("mcq", "tfq", "cs", "para")
MOST_SYNTHETIC = 500
"""Samples of a kind, each at six depths."""
ABOUT = "Dolly rated by gpt-4o-mini; other kinds by depth of degradation"


def rated_rows(paths: list[Path]) -> Iterator[tuple[Sample, float]]:
    """Yield the rows whose ratings are known to be theirs, with their class."""
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            row = json.loads(line)
            if row["score_aligned"]:
                place = (Place(path.name, number, 0, ""),)
                one = Sample(row["instruction"], row["output"], place, input=row["input"])
                yield one, float(row["score_gpt4o_mini"])


def synthetic(folder: Path) -> Iterator[tuple[Sample, float]]:
    """Yield samples of the other kinds at every depth, with 5 less the depth."""
    squad = read_squad(folder / "text" / "xquad.en.json")
    articles = [
        *squad[: len(squad) // 2],
        *read_articles(folder / "text" / "wiki_demo.txt")[:TRAINED_ARTICLES],
    ]
    rng = np.random.default_rng(SEED)
    built = build(articles, rng=rng)
    for kind in SYNTHETIC:
        own = [sample for sample in built if sample.kind == kind]
        picked = [own[row] for row in np.sort(rng.permutation(len(own))[:MOST_SYNTHETIC])]
        print(f"{kind}: {len(picked)} samples of {len(own)}", file=sys.stderr)
        for sample, rating in graded(picked, rng=rng):
            yield sample, float(rating)


def main() -> None:
    """Fit and write both."""
    folder = Path(sys.argv[1])
    example = {
        json.dumps(json.loads(line), sort_keys=True)
        for line in (ROOT / "examples" / "dolly.jsonl").read_text(encoding="utf-8").splitlines()
    }
    dolly = [
        (sample, rating)
        for sample, rating in rated_rows([folder / f"dolly_rated_0{n}.jsonl" for n in (0, 1)])
        if _example_line(sample) not in example
    ]
    rated = [*dolly, *synthetic(folder)]
    for name in (LEARNT, KNN_BAYES):
        stored = fit(name, rated, about=ABOUT, seed=SEED)
        save(replace(stored, synthetic=SYNTHETIC), BUNDLED[name])
        print(name, BUNDLED[name].stat().st_size, "bytes")
        for kind, one in stored.agreement.items():
            print(f"  {kind}: {one.plain()}")


def _example_line(sample: Sample) -> str:
    fields = {"instruction": sample.instruction, "input": sample.input, "output": sample.response}
    return json.dumps(fields, sort_keys=True)


if __name__ == "__main__":
    main()
