"""Make examples/dolly.jsonl out of rated Dolly rows.

    python examples/make_example.py dolly_rated_00.jsonl dolly_rated_01.jsonl

It holds clusters of similar poor rows, some good rows and some strangers. Fit the raters after it
(examples/make_raters.py): they leave its rows out, so that it is rated as a user's data would be.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minimix.cluster import group_similar, similarity_floor
from minimix.config import HIGH
from minimix.disk import write_jsonl
from minimix.embed import load_embedder
from minimix.rating import fitting
from minimix.rating.features import features
from minimix.records import Place, Sample

OUTPUT = Path(__file__).parent / "dolly.jsonl"
FIELDS = ("instruction", "input", "output")
SEED = 7
CLUSTERS, GOOD, STRANGERS = 24, 10, 22
LONGEST_WORDS, LONGEST_GOOD = 90, 250
MOST = 120


def sample(row: dict[str, Any], number: int) -> Sample:
    """Return a row as the sample that distill would read."""
    place = Place("dolly", number, 0, "")
    return Sample(row["instruction"], row["output"], (place,), input=row["input"])


def example_rows(rows: list[dict[str, Any]], samples: list[Sample], embeddings: Any) -> list[int]:
    """Return the rows of the example, in file order: at most 120."""
    rng = np.random.default_rng(SEED)
    plain = [n for n, row in enumerate(rows) if not row["input"]]
    short = [n for n in plain if _words(rows[n]) <= LONGEST_WORDS]
    low = [n for n in short if row_class(rows[n]) < HIGH]
    vectors = embeddings[low]
    floor = similarity_floor(vectors, seed=SEED)
    clusters = group_similar(vectors, groups=[0] * len(low), floor=floor, seed=SEED)
    picked = rng.permutation(len(clusters))[:CLUSTERS]
    chosen = {low[row] for number in picked for row in clusters[number].rows}
    chosen |= set(best_rows(rows, samples)[:GOOD])
    chosen |= set(rng.permutation(low)[:STRANGERS].tolist())
    return sorted(chosen)[:MOST]


def best_rows(rows: list[dict[str, Any]], samples: list[Sample]) -> list[int]:
    """Return short rows of class 4 or more, those first that a rater fitted without them likes."""
    classes = np.array([row_class(row) for row in rows])
    fitted = fitting.fit(features(samples), classes, np.arange(len(rows)), seed=SEED)
    order = np.argsort(-fitted.ratings, kind="stable").tolist()
    return [
        n
        for n in order
        if classes[n] >= HIGH and _words(rows[n]) <= LONGEST_GOOD and not rows[n]["input"]
    ]


def row_class(row: dict[str, Any]) -> int:
    """Return the rating by gpt-4o-mini, 0..5."""
    return int(row["score_gpt4o_mini"])


def read_rows(paths: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows whose ratings are known to be theirs."""
    for path in paths:
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["score_aligned"]:
                yield row


def _words(row: dict[str, Any]) -> int:
    return len(f"{row['instruction']} {row['output']}".split())


def main() -> None:
    """Write the example."""
    rows = list(read_rows(sys.argv[1:]))
    samples = [sample(row, n) for n, row in enumerate(rows)]
    embeddings = load_embedder().embed([one.text for one in samples])
    chosen = example_rows(rows, samples, embeddings)
    write_jsonl(OUTPUT, ({field: rows[n][field] for field in FIELDS} for n in chosen))
    print(f"{len(chosen)} rows in {OUTPUT}")


if __name__ == "__main__":
    main()
