"""Neighbours, clusters and near copies: beside the paper's clustering, hnswlib and semhash.

    pip install hnswlib semhash
    python benchmarks/cluster.py FOLDER [--quick]

FOLDER holds the rated rows of Dolly. Their low rows are clustered by us and by the paper's way
(Distilling a data pool, 2: sizes from N(3, 1) in 2..5, MiniBatchKMeans, each row to the nearest
centre with room, the surest first), on the same vectors, those of the static embedder; larger pools
are made by benchmarks/pool_rows.py. Seconds are CPU seconds where one thread is used, and
medians of three where they are short. Progress goes to stderr, one JSON object is the last line
of stdout, and a figure that misses its bar gives exit status 1.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from outcome import end, rounded
from pool_rows import many, real

from minimix import static
from minimix.cluster import group_similar, similarity_floor
from minimix.config import HIGH
from minimix.dedupe import drop_exact_copies, drop_near_copies
from minimix.neighbours import nearest, nearest_in
from minimix.records import Place, Rows, Sample, Vectors

SEED = 42
BLOCK = 8_192
COUNT, ASKED = 10, 1_000
"""Neighbours that are wanted, and the rows for which they are sought exactly as well."""
NEAR = 0.95
TOGETHER = 2_048
"""The cosine of near copies, and the rows that are compared with all at a time."""
BARS = {
    "cosine over the paper's": 0.15,
    "cosine over the paper's at equal coverage": 0.06,
    "times as fast as the paper's": 5.0,
    "times as fast as the paper's, large": 12.0,
    "coverage": 0.6,
    "lowest pair over the floor": 0.0,
    "recall of ten neighbours, large": 0.95,
    "rows per second over semhash's": 1.0,
}
AT_MOST = {"near copies, difference to semhash's": 0.01}


def say(line: str) -> None:
    """Show how far it is."""
    print(line, file=sys.stderr, flush=True)


def timed(function: Callable[[], Any], *, times: int = 1) -> tuple[Any, float]:
    """Return what a function gives, and the median of its CPU seconds."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        found = function()
        taken.append(time.process_time() - start)
    return found, statistics.median(taken)


def text(row: dict[str, str]) -> str:
    """Return what of a row is embedded."""
    prompt = f"{row['instruction']}\n\n{row['input']}" if row["input"] else row["instruction"]
    return f"{prompt}\n{row['output']}"


def embedded(texts: Sequence[str]) -> Vectors:
    """Return the static vectors of texts, some thousand at a time."""
    blocks = [static.embed(texts[start : start + BLOCK]) for start in range(0, len(texts), BLOCK)]
    return np.concatenate(blocks)


def low_rows(folder: Path) -> list[dict[str, str]]:
    """Return the rows that gpt-4o-mini rates below 4."""
    found = []
    for path in sorted(folder.glob("dolly_rated_*.jsonl")):
        rows = map(json.loads, path.read_text("utf-8").splitlines())
        found += [row for row in rows if row["score_gpt4o_mini"] < HIGH]
    return found


def papers(vectors: Vectors) -> list[list[int]]:
    """Return the paper's clusters: sizes first, then centres, then every row forced into one."""
    from sklearn.cluster import MiniBatchKMeans

    rng = np.random.default_rng(SEED)
    sizes: list[int] = []
    while sum(sizes) < len(vectors):
        sizes.append(int(np.clip(round(rng.normal(3, 1)), 2, 5)))
    fitted = MiniBatchKMeans(len(sizes), random_state=SEED, n_init=1).fit(vectors)
    near = vectors @ fitted.cluster_centers_.T
    room, found = list(sizes), [[] for _ in sizes]  # type: ignore[var-annotated]
    for row in np.argsort(-near.max(axis=1), kind="stable").tolist():
        ranked = np.argsort(-near[row], kind="stable").tolist()
        place = next(number for number in ranked if room[number])
        room[place] -= 1
        found[place].append(row)
    return [rows for rows in found if len(rows) > 1]


def cosines(vectors: Vectors, rows: Sequence[int]) -> Vectors:
    """Return the cosines of the pairs of a cluster."""
    block = vectors[list(rows)] @ vectors[list(rows)].T
    pairs: Vectors = block[np.triu_indices(len(rows), 1)]
    return pairs


def ours(vectors: Vectors) -> tuple[float, list[tuple[int, ...]]]:
    """Return the floor and the clusters that minimix makes."""
    floor = similarity_floor(vectors, seed=SEED)
    found = group_similar(vectors, groups=[0] * len(vectors), floor=floor, seed=SEED)
    return floor, [cluster.rows for cluster in found]


def clusters(vectors: Vectors, *, times: int) -> dict[str, float]:
    """Return what both ways make of the low rows."""
    (floor, own), seconds = timed(lambda: ours(vectors), times=times)
    say(f"ours: {seconds:.1f} s")
    theirs, their_seconds = timed(lambda: papers(vectors), times=times)
    say(f"the paper's: {their_seconds:.1f} s")
    pairs = [cosines(vectors, rows) for rows in own]
    coverage = sum(map(len, own)) / len(vectors)
    mean = float(np.mean([one.mean() for one in pairs]))
    ranked = sorted(((cosines(vectors, rows).mean(), len(rows)) for rows in theirs), reverse=True)
    covered = np.cumsum([size for _, size in ranked]) / len(vectors)
    best = np.mean([cosine for cosine, _ in ranked][: int((covered <= coverage).sum())])
    return {
        "floor": floor,
        "coverage": coverage,
        "cosine": mean,
        "cosine, the paper's": float(np.mean([cosine for cosine, _ in ranked])),
        "cosine, the paper's at equal coverage": float(best),
        "cosine over the paper's": mean - float(np.mean([cosine for cosine, _ in ranked])),
        "cosine over the paper's at equal coverage": mean - float(best),
        "lowest pair over the floor": float(min(one.min() for one in pairs)) - floor,
        "seconds": seconds,
        "seconds, the paper's": their_seconds,
        "times as fast as the paper's": their_seconds / seconds,
    }


def recall(found: Rows, vectors: Vectors) -> float:
    """Return the share of the ten nearest rows that is among those found."""
    asked = np.random.default_rng(SEED).choice(len(vectors), ASKED, replace=False)
    exact, _ = nearest_in(vectors[asked], vectors, count=COUNT + 1)
    right = [
        len({*exact[place].tolist()} - {row} & {*found[row].tolist()})
        for place, row in enumerate(asked.tolist())
    ]
    return float(np.mean(right)) / COUNT


def neighbours(vectors: Vectors) -> dict[str, float]:
    """Return what our cells and hnswlib's graph, built by one thread, cost and find."""
    import hnswlib

    (own, _), seconds = timed(lambda: nearest(vectors, count=COUNT, seed=SEED))
    say(f"cells: {seconds:.0f} s")
    index = hnswlib.Index("ip", vectors.shape[1])
    index.init_index(len(vectors), M=16, ef_construction=100, random_seed=SEED)
    _, built = timed(lambda: index.add_items(vectors, num_threads=1))
    index.set_ef(64)
    (theirs, _), asked = timed(lambda: index.knn_query(vectors, k=COUNT + 1, num_threads=1))
    say(f"hnswlib: {built:.0f} s and {asked:.0f} s")
    return {
        "recall of ten neighbours, large": recall(own, vectors),
        "recall of ten neighbours, large, hnswlib": recall(theirs, vectors),
        "neighbours, seconds": seconds,
        "neighbours, seconds, hnswlib building": built,
        "neighbours, seconds, hnswlib asking": asked,
    }


def exhaustive(vectors: Vectors) -> int:
    """Return how many rows go where each that stays is compared with all after it."""
    stays = np.ones(len(vectors), dtype=bool)
    for start in range(0, len(vectors), TOGETHER):
        rows = start + np.flatnonzero(stays[start : start + TOGETHER])
        near = vectors[rows] @ vectors[start:].T >= NEAR
        for place, row in enumerate(rows.tolist()):
            if stays[row]:
                stays[row + 1 :] &= ~near[place, row + 1 - start :]
    return int((~stays).sum())


def left_by_semhash(texts: Sequence[str]) -> int:
    """Return how many texts semhash keeps, on the vectors that minimix has."""
    from semhash import SemHash

    class Encoder:
        def encode(self, inputs: Sequence[str], **_: Any) -> Vectors:
            return embedded(inputs)

    found = SemHash.from_records(list(texts), model=Encoder()).self_deduplicate(threshold=NEAR)
    return len(found.selected)


def near_copies(texts: Sequence[str]) -> dict[str, float]:
    """Return what minimix and semhash drop as near copies, and how fast, in wall time.

    Of rows that are alike semhash keeps the first, minimix the best rated, then the longest: given
    the longest first, both are to keep the same. Which one stays decides what else is a copy.
    """
    longest = sorted(texts, key=len, reverse=True)
    samples = [Sample("", one, (Place("", row, 0, ""),)) for row, one in enumerate(longest)]
    left_by_semhash(texts[:2])  # what either imports is not its time
    start = time.perf_counter()
    kept, _ = drop_exact_copies(samples)
    rest = [samples[row] for row in kept]
    vectors = embedded([sample.response for sample in rest])
    own, _ = drop_near_copies(rest, vectors, min_similarity=NEAR, seed=SEED)
    middle = time.perf_counter()
    theirs = left_by_semhash(longest)
    end = time.perf_counter()
    say(f"near copies: {middle - start:.0f} s, semhash {end - middle:.0f} s")
    dropped, their_dropped = len(texts) - len(own), len(texts) - theirs
    return {
        "near copies": dropped,
        "near copies, exhaustive": len(texts) - len(rest) + exhaustive(vectors),
        "near copies, semhash": their_dropped,
        "near copies, semhash, rows as they come": len(texts) - left_by_semhash(texts),
        "near copies, difference to semhash's": abs(dropped - their_dropped) / their_dropped,
        "rows per second": len(texts) / (middle - start),
        "rows per second, semhash": len(texts) / (end - middle),
        "rows per second over semhash's": (end - middle) / (middle - start),
    }


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("folder", type=Path)
    options.add_argument("--quick", action="store_true")
    given = options.parse_args()
    sizes = (2_000, 4_000, 10_000) if given.quick else (10**6, 60_000, 300_000)
    low, large, largest = sizes
    rows = list(many(real(given.folder), largest))
    texts = [text(row) for row in rows]
    figures = clusters(embedded([*map(text, low_rows(given.folder)[:low])]), times=3)
    vectors = embedded(texts)
    few = clusters(vectors[:large], times=1)
    figures |= {f"{name}, large": few[name] for name in few if name.startswith(("times", "sec"))}
    figures |= neighbours(vectors)
    # rows that differ in a figure are no copies to us: without figures both tools see the same
    plain = ["".join(c for c in one if not c.isdigit()) for one in texts]
    figures |= near_copies(plain)
    holds = {name: figures[name] >= bar for name, bar in BARS.items()}
    holds |= {name: figures[name] <= bar for name, bar in AT_MOST.items()}
    rows_of_each = [len(low_rows(given.folder)[:low]), large, largest]
    bars = {**BARS, **AT_MOST}
    end("cluster", holds, rows=rows_of_each, figures=rounded(figures), bars=bars)


if __name__ == "__main__":
    main()
