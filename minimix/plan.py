"""The order in which clusters are written: those most worth having first."""

from collections.abc import Sequence

from minimix.records import Cluster, Vectors


def plan(clusters: Sequence[Cluster], ratings: Vectors, hard: Sequence[bool]) -> list[int]:
    """Return the positions of `clusters`, the one worth most first and the hard ones last.

    Worth is the mean rating of a cluster times its mean similarity: what is nearly good makes a
    good fusion, and the more alike its rows are the more likely the fusion holds. Hard ones are
    those that hold more than an answer can, or passages to work on: they cost most and fail most.
    `ratings` are the pool's, by row; `hard` goes cluster by cluster.
    """
    worth = [float(ratings[list(c.rows)].mean()) * c.similarity for c in clusters]
    return sorted(range(len(clusters)), key=lambda n: (hard[n], -worth[n], n))
