"""The order in which clusters are written: those most worth having first."""

from collections.abc import Sequence

import numpy as np

from minimix.records import Cluster, Vectors


def plan(clusters: Sequence[Cluster], ratings: Vectors) -> list[int]:
    """Return the positions of `clusters`, the one worth most first.

    Worth is the mean rating of a cluster times its mean similarity: what is nearly good makes a
    good fusion, and the more alike its rows are the more likely the fusion holds. (The sum of the
    ratings puts the largest clusters first, where a small distiller loses most facts and takes
    longest.) `ratings` are the pool's, by row.
    """
    worth = [float(ratings[list(c.rows)].mean()) * c.similarity for c in clusters]
    return np.argsort(-np.array(worth), kind="stable").tolist() if clusters else []
