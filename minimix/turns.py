"""Whose turn it is: clusters in the order of the plan, and what became of those that had theirs.

A cluster whose prompt the engine refuses, for it does not fit, is split, and its parts come next.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from minimix.cluster import split
from minimix.config import DistillConfig
from minimix.prepare import Prepared
from minimix.prompt import part_text
from minimix.records import Cluster, Fusion


@dataclass(frozen=True, kw_only=True)
class Written:
    """What writing gave: `fusions` in the order of the plan, and why clusters gave none.

    `refused` and `rejected` go from a cluster's position to the reason, `left_out` from a row that
    had a place in no part of its cluster; `unreached` lists the clusters whose turn never came;
    `stopped` says why. `clusters` are those of the plan after `split` of them were split, each
    part at a position of its own. `candidates` counts answers.
    """

    clusters: tuple[Cluster, ...]
    fusions: tuple[Fusion, ...]
    refused: Mapping[int, str]
    rejected: Mapping[int, str]
    left_out: Mapping[int, str]
    unreached: tuple[int, ...]
    stopped: str
    candidates: int
    split: int

    @property
    def tried(self) -> int:
        """How many clusters were written."""
        return len(self.fusions) + len(self.refused) + len(self.rejected)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A task's outcome: a fusion's sample and marks, or the reason there is none.

    `refused` is one that nothing was written for, `unfit` one whose prompt the engine refused.
    """

    fusion: Fusion | None = None
    reason: str = ""
    refused: bool = False
    unfit: bool = False


class Turns:
    """The turns of one run. At most `tries` clusters are written for each fusion wanted."""

    def __init__(self, prepared: Prepared, config: DistillConfig) -> None:
        """Begin with the order of the plan."""
        self.prepared, self.cohort = prepared, config.cohort
        self.waiting = deque(prepared.order)
        self.limit = config.tries * prepared.wanted
        self.fusions: list[Fusion] = []
        self.refused: dict[int, str] = {}
        self.rejected: dict[int, str] = {}
        self.left_out: dict[int, str] = {}
        self.candidates = self.split = 0

    @property
    def expected(self) -> int:
        """How many cohorts there are at most where none is split."""
        return -(-min(len(self.waiting), self.limit) // self.cohort)

    def cohorts(self) -> Iterator[list[int]]:
        """Yield the positions of the clusters to write together, until enough is accepted."""
        while len(self.fusions) < self.prepared.wanted:
            left = self.limit - len(self.fusions) - len(self.refused) - len(self.rejected)
            count = min(self.cohort, left, len(self.waiting))
            if not count:
                return
            yield [self.waiting.popleft() for _ in range(count)]

    def end(self, cohort: Sequence[int], outcomes: Sequence[Judged], *, candidates: int) -> None:
        """Note the outcome of each cluster of a cohort that `candidates` answers were given for."""
        self.candidates += candidates
        parts: list[int] = []
        for position, judged in zip(cohort, outcomes, strict=True):
            if judged.fusion:
                self.fusions.append(judged.fusion)
                continue
            found = self._split(position, judged.reason) if judged.unfit else []
            parts += found
            if not found:
                (self.refused if judged.refused else self.rejected)[position] = judged.reason
        self.waiting.extendleft(reversed(parts))

    def _split(self, position: int, reason: str) -> list[int]:
        """Return the positions of a cluster's parts, none for a pair, which has none."""
        prepared = self.prepared
        cluster = prepared.clusters[position]
        lengths = [len(part_text(sample)) for sample in prepared.sources(cluster)]
        parts, left_out = split(cluster, lengths, prepared.embeddings)
        if not parts:
            return []
        self.split += 1
        why = f"{reason}; its cluster was split, and no other row was left for it"
        self.left_out.update(dict.fromkeys(left_out, why))
        before, after = prepared.clusters[:position], prepared.clusters[position + 1 :]
        clusters = (*before, parts[0], *after, *parts[1:])
        self.prepared = replace(prepared, clusters=clusters)
        return [position, *range(len(prepared.clusters), len(clusters))]

    def written(self) -> Written:
        """Return what has come of all turns."""
        return Written(
            clusters=self.prepared.clusters,
            fusions=tuple(self.fusions),
            refused=self.refused,
            rejected=self.rejected,
            left_out=self.left_out,
            unreached=tuple(self.waiting),
            stopped=_why_stopped(self.prepared.wanted, len(self.fusions)),
            candidates=self.candidates,
            split=self.split,
        )


def _why_stopped(wanted: int, accepted: int) -> str:
    if not wanted:
        return "no fusions were wanted"
    enough = accepted >= wanted
    return "enough fusions were accepted" if enough else "the limit of tries was reached"
