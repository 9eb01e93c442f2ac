"""The figures of a run that are drawn: shares before and after, and a map of the pool."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from minimix.arrow import Distilled
from minimix.rarity import scaled
from minimix.records import Rows, Vectors
from minimix.spool import subset

MOST_POINTS = 1_500
"""Samples on the map: more would make the page large and the map no clearer."""
MOST_READ = 20_000
"""Samples whose words are counted: all of a large pool would be read from the disk once more."""
MAP, READ = 3, 4
WORDS = (0, 5, 10, 20, 40, 80, 160, 320)
"""Least words of a response in each group of the figure."""


def charts(result: Distilled) -> Iterator[dict[str, Any]]:
    """Yield each chart: title, note, labels and the values of each series."""
    prepared, entries = result.prepared, result.entries
    rare = scaled(np.append(prepared.rarity, [prepared.rarity[:1].mean()]))[:-1]
    edges = np.arange(0, 5.01, 0.5)
    after = [entry.rating for entry in entries]
    yield _shares("Ratings, 0 to 5", edges, {"before": prepared.ratings, "after": after})
    tenths = np.arange(0, 1.01, 0.1)
    rows = [entry.rarity for entry in entries]
    yield _shares("Rarity, 0 to 1 (the rarest)", tenths, {"before": rare, "after": rows})
    read = subset(prepared.samples, _drawn(len(prepared.samples), MOST_READ, READ))
    words = [len(sample.response.split()) for sample in read]
    ours = [len(entry.sample.response.split()) for entry in entries]
    yield _shares("Words of a response", [*WORDS, np.inf], {"before": words, "after": ours})
    sizes = Counter(len(cluster.rows) for cluster in prepared.clusters)
    labels = sorted(sizes)
    yield {
        "title": "Samples of a cluster",
        "note": "All clusters that were found.",
        "labels": [str(size) for size in labels],
        "series": {"one": [sizes[size] for size in labels]},
    }
    near = [cluster.similarity for cluster in prepared.clusters]
    yield _shares("Mean cosine within a cluster", tenths, {"one": near})
    kept = [entry.fusion.audit.kept for entry in entries if entry.fusion]
    yield _shares("Facts of its sources that a fusion keeps", tenths, {"one": kept})
    quality = [entry.fusion.reward.quality for entry in entries if entry.fusion]
    yield _shares("Reward of a fusion for its quality", tenths, {"one": quality})


def _shares(title: str, edges: Any, series: Mapping[str, Any]) -> dict[str, Any]:
    """Return a chart of shares between edges; a value at the last edge is within."""
    bounds = np.asarray(edges, dtype=np.float64)
    inner = bounds[1:-1]
    values = {}
    for name, given in series.items():
        found = np.bincount(np.searchsorted(inner, given, side="right"), minlength=len(inner) + 1)
        values[name] = (found / max(1, found.sum())).round(4).tolist()
    whole = all(edge == int(edge) for edge in bounds[:-1])
    labels = [f"{edge:.0f}+" if whole else f"{edge:.1f}" for edge in bounds[:-1]]
    medians = [
        f"{'all samples' if name == 'before' else 'here'} {np.median(given):.4g}"
        for name, given in series.items()
        if len(given)
    ]
    note = f"Median: {', '.join(medians)}." if medians else "None."
    return {"title": title, "note": note, "labels": labels, "series": values}


def pool_map(result: Distilled) -> list[tuple[int, int, str]]:
    """Return samples and fusions on the plane of the two main directions, 0..1000 each way."""
    prepared = result.prepared
    rows = _drawn(len(prepared.samples), MOST_POINTS, MAP)
    fused = [entry for entry in result.entries if entry.fusion]
    places = {entry.sample.place for entry in result.entries if not entry.fusion}
    kinds = [
        "original" if prepared.samples[row].place in places else "dropped" for row in rows.tolist()
    ]
    vectors = prepared.embeddings[rows]
    middles = [
        prepared.embeddings[list(prepared.clusters[entry.fusion.cluster].rows)].mean(axis=0)
        for entry in fused
        if entry.fusion
    ]
    if len(rows) < 3:
        return []
    plane = _plane(vectors)
    flat = np.concatenate([vectors, np.array(middles).reshape(-1, vectors.shape[1])]) @ plane
    least, most = flat.min(axis=0), flat.max(axis=0)
    spots = ((flat - least) / np.maximum(most - least, 1e-9) * 1000).astype(int).tolist()
    order = sorted(range(len(rows)), key=lambda row: kinds[row] == "original")  # on top
    points = [(*spots[row], kinds[row]) for row in order]
    return [*points, *((x, y, "fusion") for x, y in spots[len(rows) :])]


def _drawn(rows: int, most: int, draw: int) -> Rows:
    """Return all rows, or `most` of them by chance, in order."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng([0, draw]).permutation(rows)[:most])


def _plane(vectors: Vectors) -> Vectors:
    """Return the two main directions of rows (n, d): (d, 2), each pointing the same way again."""
    centred = (vectors - vectors.mean(axis=0)).astype(np.float64)
    _, directions = np.linalg.eigh(centred.T @ centred)
    main = directions[:, [-1, -2]]
    signs = np.sign(main[np.abs(main).argmax(axis=0), [0, 1]])
    return np.asarray(main * signs)
