"""The first half of the arrow, without a distiller: a pool in, planned clusters out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minimix.cluster import LEAST_FLOOR, group_similar, similarity_floor
from minimix.config import HIGH, DistillConfig, budget_rows
from minimix.dedupe import drop_exact_copies, drop_near_copies, take
from minimix.errors import DataError
from minimix.plan import Outlook, outlook, plan
from minimix.pool import Pool
from minimix.prompt import part_text
from minimix.rarity import rarity, scaled
from minimix.records import Cluster, Dropped, Embed, Rate, Sample, Task, Vectors
from minimix.select import by_length
from minimix.spool import Texts, subset


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What is known before anything is written.

    `samples`, `embeddings` (n, d), `ratings`, `rated` and `rarity` (n,) go row for row; `ratings`
    are the data's own where it has them, `rated` the rater's for every row: a fusion is measured
    with the same instrument as its sources. `rarity` is a distance, as `minimix.rarity` has it.
    `high` lists rows the way the final set takes them, `minimix.select.by_length`. `outlook` is of
    `clusters` as they were found; `budget` is rows of the final set, `wanted`
    fusions among them.
    """

    samples: Sequence[Sample]
    embeddings: Vectors
    ratings: Vectors
    rated: Vectors
    rarity: Vectors
    high: tuple[int, ...]
    clusters: tuple[Cluster, ...]
    outlook: Outlook
    floor: float
    budget: int
    wanted: int
    dropped: tuple[Dropped, ...]

    @property
    def order(self) -> list[int]:
        """Positions in `clusters`, the first to write first, as planned before any is written."""
        return plan(self.outlook, {})

    @property
    def leftovers(self) -> list[int]:
        """Low rows in no cluster."""
        taken = {*self.high, *(row for cluster in self.clusters for row in cluster.rows)}
        return [row for row in range(len(self.samples)) if row not in taken]

    def sources(self, cluster: Cluster) -> list[Sample]:
        """Return the samples of a cluster."""
        return list(subset(self.samples, cluster.rows))

    def task(self, cluster: Cluster) -> Task:
        """Return what the distiller is asked for a cluster."""
        sources = self.sources(cluster)
        return Task(sources[0].kind, tuple(map(part_text, sources)))


def prepare(pool: Pool, *, config: DistillConfig, embed: Embed, rate: Rate) -> Prepared:
    """Return the pool without copies, embedded, rated, split, clustered and planned.

    Raises DataError where the pool has no samples.
    """
    if not pool.samples:
        raise DataError("the data hold no sample: every exchange was dropped while reading")
    unique, copies = drop_exact_copies(pool.samples)
    samples = subset(pool.samples, unique)
    embeddings = embed(Texts(samples))
    kept, near = drop_near_copies(
        samples, embeddings, min_similarity=config.near_copy, seed=config.seed
    )
    samples, embeddings = subset(samples, kept), take(embeddings, kept)
    rated = rate(samples)
    own, lengths = _told(samples)
    ratings = np.where(np.isnan(own), rated, own)
    usable = ~np.isnan(rated) | (ratings >= HIGH)  # a low one that the rater cannot rate is no use
    unrated = [
        Dropped(sample.place, "rate", "the rater gave it no rating")
        for sample in subset(samples, np.flatnonzero(~usable))
    ]
    if not usable.any():
        kinds = ", ".join(sorted({sample.kind for sample in samples}))
        raise DataError(f"the rater rates none of these samples (kinds: {kinds}); give another")
    samples = subset(samples, np.flatnonzero(usable))
    embeddings, ratings, rated = embeddings[usable], ratings[usable], rated[usable]
    low, high = np.flatnonzero(ratings < HIGH), np.flatnonzero(ratings >= HIGH)
    floor, clusters = _clusters(samples, embeddings, low.tolist(), config)
    rare = rarity(embeddings, seed=config.seed)
    budget = budget_rows(config.budget, len(pool.samples))
    return Prepared(
        samples=samples,
        embeddings=embeddings,
        ratings=ratings,
        rated=rated,
        rarity=rare,
        high=tuple(by_length(high, lengths[usable], ratings, rare).tolist()),
        clusters=tuple(clusters),
        outlook=outlook(clusters, samples, rarity=scaled(rare), ratings=ratings),
        floor=floor,
        budget=budget,
        wanted=_wanted(budget, len(high), config.mix),
        dropped=(*copies, *near, *unrated),
    )


def _told(samples: Sequence[Sample]) -> tuple[Vectors, np.ndarray]:
    """Return of each sample the rating in the data, NaN without, and its response's characters."""
    own = np.full(len(samples), np.nan, dtype=np.float32)
    lengths = np.zeros(len(samples), dtype=np.int64)
    for row, sample in enumerate(samples):
        lengths[row] = len(sample.response)
        if sample.rating is not None:
            own[row] = sample.rating
    return own, lengths


def _wanted(budget: int, high: int, mix: float) -> int:
    """Return how many fusions to write for: the share `mix`, or more where high rows are few."""
    return max(math.ceil(budget * mix), budget - high) if mix else 0


def _clusters(
    samples: Sequence[Sample], embeddings: Vectors, low: Sequence[int], config: DistillConfig
) -> tuple[float, list[Cluster]]:
    """Return the similarity floor and the clusters of low rows, numbered as in the pool."""
    vectors = take(embeddings, low)
    if len(low) < 2:
        return config.min_similarity or LEAST_FLOOR, []
    floor = config.min_similarity
    if floor is None:
        floor = similarity_floor(vectors, seed=config.seed)
    named: dict[tuple[str, str, str], int] = {}  # numbers for system prompts, which may be long
    keys = ((s.kind, s.system, s.source) for s in subset(samples, low))
    groups = [named.setdefault(key, len(named)) for key in keys]
    found = group_similar(vectors, groups=groups, floor=floor, seed=config.seed)
    return floor, [
        Cluster(tuple(low[row] for row in cluster.rows), cluster.similarity) for cluster in found
    ]
