"""Make what ships from rated Dolly rows: examples/dolly.jsonl and the rated library.

    python examples/make_assets.py dolly_rated_00.jsonl dolly_rated_01.jsonl

The example holds clusters of similar rows, some good rows and some strangers; none of its rows is
in the library, so that the example is rated as a user's data would be.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from minimix.cluster import group_similar, similarity_floor
from minimix.disk import write_jsonl
from minimix.embed import load_embedder
from minimix.rating import knn_bayes
from minimix.records import Place, Sample

ROOT = Path(__file__).parent.parent
SEED = 7
CLUSTERS, GOOD, STRANGERS = 24, 10, 22
LONGEST_WORDS, LONGEST_GOOD = 90, 250


def sample(row: dict[str, Any], number: int) -> Sample:
    """Return a row as the sample that distill would read."""
    place = Place("dolly", number, 0, "")
    return Sample(row["instruction"], row["output"], (place,), input=row["input"])


def example_rows(rows: list[dict[str, Any]], embeddings: np.ndarray) -> list[int]:
    """Return the rows of the example, in file order: at most 120."""
    rng = np.random.default_rng(SEED)
    short = [n for n, row in enumerate(rows) if _words(row) <= LONGEST_WORDS and not row["input"]]
    low = [n for n in short if row_class(rows[n]) < 4]
    vectors = embeddings[low]
    floor = similarity_floor(vectors, seed=SEED)
    clusters = group_similar(vectors, groups=[0] * len(low), floor=floor, seed=SEED)
    picked = rng.permutation(len(clusters))[:CLUSTERS]
    chosen = {low[row] for number in picked for row in clusters[number].rows}
    chosen |= set(_good(rows, embeddings)[:GOOD])
    chosen |= set(rng.permutation(low)[:STRANGERS].tolist())
    return sorted(chosen)[:120]


def _good(rows: list[dict[str, Any]], embeddings: np.ndarray) -> list[int]:
    """Return rows rated 4 or more that the rater, fitted without them, rates so too."""
    counts = knn_bayes.word_counts([sample(row, n) for n, row in enumerate(rows)])
    fits = [n for n, row in enumerate(rows) if _words(row) <= LONGEST_GOOD and not row["input"]]
    good = [n for n in fits if row_class(rows[n]) >= 4]
    rest = np.setdiff1d(np.arange(len(rows)), good)
    high = np.array([n for n in range(len(rows)) if row_class(rows[n]) >= 4])
    kept = np.union1d(rest, high[::2])
    classes = np.array([row_class(rows[n]) for n in kept])
    library = knn_bayes.fit(embeddings[kept], counts[kept], classes)
    vectors = knn_bayes.vectors_of(embeddings[good], counts[good])
    found = knn_bayes.expected_class(library, vectors)
    order = np.argsort(-found, kind="stable")
    return [good[position] for position in order if good[position] not in set(kept.tolist())]


def row_class(row: dict[str, Any]) -> int:
    """Return the rating by gpt-4o-mini, 0..5."""
    return int(row["score_gpt4o_mini"])


def _words(row: dict[str, Any]) -> int:
    return len(f"{row['instruction']} {row['output']}".split())


def main() -> None:
    """Write both files."""
    rows = [
        json.loads(line) for name in sys.argv[1:] for line in Path(name).read_text().splitlines()
    ]
    rows = [row for row in rows if row["score_aligned"]]
    samples = [sample(row, n) for n, row in enumerate(rows)]
    embeddings = load_embedder().embed([one.text for one in samples])
    chosen = example_rows(rows, embeddings)
    fields = ("instruction", "input", "output")
    example = ({field: rows[n][field] for field in fields} for n in chosen)
    write_jsonl(ROOT / "examples" / "dolly.jsonl", example)
    rest = np.setdiff1d(np.arange(len(rows)), chosen)
    classes = np.array([row_class(rows[n]) for n in rest])
    counts = knn_bayes.word_counts([samples[n] for n in rest])
    library = knn_bayes.fit(embeddings[rest], counts, classes)
    knn_bayes.save(library, knn_bayes.BUNDLED_LIBRARY)
    print(f"{len(chosen)} example rows, {len(rest)} library rows")


if __name__ == "__main__":
    main()
