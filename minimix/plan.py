"""The order in which clusters are written: those most worth having first."""

from collections.abc import Sequence

import numpy as np

from minimix.records import Cluster, Vectors


def plan(clusters: Sequence[Cluster], ratings: Vectors) -> list[int]:
    """Return the positions of `clusters`, the one worth most first.

    Worth is the rating mass of a cluster times its mean similarity: more rated rows about one
    thing hold more to fuse, and the more alike they are the more likely the fusion holds.
    `ratings` are the pool's, by row.
    """
    worth = [float(ratings[list(c.rows)].sum()) * c.similarity for c in clusters]
    return np.argsort(-np.array(worth), kind="stable").tolist() if clusters else []
