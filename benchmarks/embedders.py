"""The two embedders: how fast, how alike their clusters, and what the cache of vectors saves.

    python benchmarks/embedders.py RATED [--quick]

RATED is data with ratings (Dolly's, in our runs). Its low rows are clustered by each embedder as
`minimix distill` does; both clusterings are judged by the transformer's vectors, which favours the
transformer: its figure is what the static one is held against, not the truth. Progress goes to
stderr, one JSON object is the last line of stdout, and a figure that misses its bar gives exit
status 1.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from outcome import end, rounded

from minimix import static
from minimix.cluster import group_similar, similarity_floor
from minimix.columns import Columns
from minimix.config import HIGH, MINILM, STATIC, DistillConfig
from minimix.dedupe import drop_exact_copies, drop_near_copies
from minimix.embed import STATIC_FROM, load_embedder
from minimix.pool import read_pool
from minimix.records import Cluster, Embed, Sample, Vectors

SEED = 42
QUICK = 300
ALONE = 40
PAIRS = 200_000
BARS = {
    "minilm, rows per CPU second": 15.0,
    "static, rows per CPU second": 1500.0,
    "static, times as fast": 80.0,
    "cache, rows per CPU second": 10_000.0,
    "rows alone with the bits they have among others": 1.0,
    "rows from the cache with the bits they had": 1.0,
}


def timed(embed: Embed, texts: Sequence[str]) -> tuple[Vectors, float]:
    """Return the vectors of texts, and how many of them a CPU second gave."""
    start = time.process_time()
    vectors = embed(texts)
    return vectors, len(texts) / (time.process_time() - start)


def same_bits(one: Vectors, other: Vectors) -> float:
    """Return the share of rows that are equal to the bit."""
    return float((one.view(np.uint32) == other.view(np.uint32)).all(axis=1).mean())


def clustered(samples: Sequence[Sample], vectors: Vectors) -> tuple[float, list[Cluster]]:
    """Return the floor and the clusters of rows, as `distill` makes them."""
    floor = similarity_floor(vectors, seed=SEED)
    groups = [(sample.kind, sample.system) for sample in samples]
    return floor, group_similar(vectors, groups=groups, floor=floor, seed=SEED)


def pairs(vectors: Vectors, cluster: Cluster) -> Vectors:
    """Return the cosines of all pairs of a cluster."""
    block = vectors[list(cluster.rows)] @ vectors[list(cluster.rows)].T
    cosines: Vectors = block[np.triu_indices(len(block), 1)]
    return cosines


def cosine(judge: Vectors, clusters: Sequence[Cluster], rows: int) -> float:
    """Return the mean cosine in clusters, weighted by rows, of the first that cover `rows`.

    First are those that their own embedder finds the most alike: it knows no better.
    """
    total, covered = 0.0, 0
    for cluster in sorted(clusters, key=lambda one: (-one.similarity, one.rows)):
        if covered >= rows:
            break
        covered += len(cluster.rows)
        total += len(cluster.rows) * float(pairs(judge, cluster).mean())
    return total / max(1, covered)


def judged(samples: Sequence[Sample], judge: Vectors, words: Vectors) -> dict[str, float]:
    """Return the figures of both clusterings, by the vectors of `judge`."""
    floors, both = {}, {}
    for name, vectors in ((MINILM, judge), (STATIC, words)):
        floors[name], both[name] = clustered(samples, vectors)
    covered = {name: sum(len(one.rows) for one in found) for name, found in both.items()}
    equal = min(covered.values())
    at_equal = {name: cosine(judge, found, equal) for name, found in both.items()}
    by_words = np.concatenate([pairs(judge, cluster) for cluster in both[STATIC]])
    left, right = np.random.default_rng(SEED).integers(0, len(judge), (2, PAIRS))
    figures = {
        "random pairs, cosine": float(np.einsum("nd,nd->n", judge[left], judge[right]).mean()),
        "static, cosine at equal coverage, share of minilm's": at_equal[STATIC] / at_equal[MINILM],
        "static, pairs that minilm's floor takes": float((by_words >= floors[MINILM]).mean()),
    }
    for name, found in both.items():
        figures[f"{name}, floor"] = floors[name]
        figures[f"{name}, clusters"] = len(found)
        figures[f"{name}, rows covered"] = covered[name] / len(samples)
        figures[f"{name}, cosine at equal coverage"] = at_equal[name]
        figures[f"{name}, cosine at half of it"] = cosine(judge, found, equal // 2)
        figures[f"{name}, cosine of all"] = cosine(judge, found, len(samples))
    return figures


def near_copies(samples: Sequence[Sample], both: dict[str, Vectors]) -> dict[str, float]:
    """Return how many rows each embedder takes for near copies, and how many both do."""
    least = DistillConfig.near_copy
    found = {
        name: {
            drop.place
            for drop in drop_near_copies(samples, vectors, min_similarity=least, seed=SEED)[1]
        }
        for name, vectors in both.items()
    }
    return {
        **{f"{name}, near copies": len(places) for name, places in found.items()},
        "both, near copies": len(found[MINILM] & found[STATIC]),
    }


def measure(samples: Sequence[Sample], cache: Path) -> dict[str, float]:
    """Return the figures by name."""
    texts = [sample.text for sample in samples]
    static.embed(texts[:1])  # its table is read once
    words, fast = timed(load_embedder(STATIC).embed, texts)
    print(f"static: {fast:,.0f} rows per CPU second", file=sys.stderr)
    embed = load_embedder(MINILM, cache=cache).embed
    load_embedder(MINILM).embed(texts[:ALONE])  # the first pass of a process is slower
    judge, slow = timed(embed, texts)
    print(f"minilm: {slow:,.1f} rows per CPU second", file=sys.stderr)
    again, cached = timed(embed, texts)
    some = list(range(0, len(texts), max(1, len(texts) // ALONE)))
    fresh = load_embedder(MINILM).embed
    alone = np.concatenate([fresh([texts[row]]) for row in some])
    return {
        "minilm, rows per CPU second": slow,
        "static, rows per CPU second": fast,
        "static, times as fast": fast / slow,
        "cache, rows per CPU second": cached,
        "cache, bytes of a row": sum(f.stat().st_size for f in cache.iterdir()) / len(texts),
        "rows alone with the bits they have among others": same_bits(alone, judge[some]),
        "rows from the cache with the bits they had": same_bits(again, judge),
        "minutes of CPU that auto waits at most": STATIC_FROM / slow / 60,
        **judged(samples, judge, words),
        **near_copies(samples, {MINILM: judge, STATIC: words}),
    }


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("rated")
    options.add_argument("--rating-field", default="score_gpt4o_mini", help="of 0 to 5")
    options.add_argument("--quick", action="store_true")
    given = options.parse_args()
    scale = Columns(rating=given.rating_field, low=0, high=5)
    rows = list(read_pool(given.rated, columns=scale).samples)
    rows = [rows[row] for row in drop_exact_copies(rows)[0]]
    low = [row for row in rows if row.rating is not None and row.rating < HIGH]
    low = low[:QUICK] if given.quick else low
    print(f"{len(low):,} low rows", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(low, Path(folder))
    holds = {name: figures[name] >= bar for name, bar in BARS.items()}
    end("embedders", holds, rows=len(low), figures=rounded(figures), bars=BARS)


if __name__ == "__main__":
    main()
