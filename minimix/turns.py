"""Whose turn it is: clusters as the plan has them, and what became of those that had theirs.

A cluster whose prompt the engine refuses, for it does not fit, is split, and its parts come next.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from minimix.cluster import split
from minimix.config import DistillConfig
from minimix.plan import plan
from minimix.prepare import Prepared
from minimix.prompt import part_text
from minimix.records import Cluster, Fusion

ROUND = 2
"""A round is this part of all that was written before it: odds learnt from less change little."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What writing gave: `fusions` in the order of the plan, and why clusters gave none.

    `refused` and `rejected` go from a cluster's position to the reason, `left_out` from a row that
    had a place in no part of its cluster; `unreached` lists the clusters whose turn never came, the
    one worth most first; `stopped` says why. `turned` says of each cluster of the plan that had its
    turn whether its fusion was accepted. `clusters` are those of the plan after `split` of them
    were split, each part at a position of its own. `candidates` counts answers, `tokens` those of
    the prompts and of the answers, None where only a server could count them; `escaped` the control
    tokens in prompts that were broken up for a server.
    """

    clusters: tuple[Cluster, ...]
    fusions: tuple[Fusion, ...]
    refused: Mapping[int, str]
    rejected: Mapping[int, str]
    left_out: Mapping[int, str]
    turned: Mapping[int, bool]
    unreached: tuple[int, ...]
    stopped: str
    candidates: int
    split: int
    tokens: tuple[int, int] | None = None
    escaped: int = 0

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
    """The turns of one run, until enough is accepted or `tries` clusters per fusion are written.

    An exhaustive run has neither end: every cluster has its turn.
    """

    def __init__(self, prepared: Prepared, config: DistillConfig) -> None:
        """Begin with nothing written."""
        self.prepared, self.cohort = prepared, config.cohort
        every = len(prepared.clusters)
        rows = len(prepared.samples)  # there are no more clusters than these, in however many parts
        self.wanted = rows if config.exhaustive else prepared.wanted
        self.limit = rows if config.exhaustive else config.tries * prepared.wanted
        self.expected = -(-min(every, self.limit) // self.cohort)
        self.parts: list[int] = []
        self.turned: dict[int, bool] = {}
        self.fusions: list[Fusion] = []
        self.refused: dict[int, str] = {}
        self.rejected: dict[int, str] = {}
        self.left_out: dict[int, str] = {}
        self.cohorts = self.candidates = self.split = 0

    @property
    def full(self) -> bool:
        """Whether enough fusions are accepted."""
        return len(self.fusions) >= self.wanted

    def rounds(self) -> Iterator[list[list[int]]]:
        """Yield the clusters to write before the next look at the plan, by position, in cohorts.

        A round hangs on outcomes of earlier rounds alone, so its cohorts can be written together.
        """
        while not self.full:
            waiting = self._waiting()
            left = self.limit - len(self.fusions) - len(self.refused) - len(self.rejected)
            size = self.cohort * max(1, self.cohorts // ROUND)
            here = waiting[: min(size, left)]
            if not here:
                return
            yield [here[n : n + self.cohort] for n in range(0, len(here), self.cohort)]

    def _waiting(self) -> list[int]:
        """Return who had no turn: parts of what was split, then the clusters of the plan."""
        return [*self.parts, *plan(self.prepared.outlook, self.turned)]

    def end(self, cohort: Sequence[int], outcomes: Sequence[Judged], *, candidates: int) -> None:
        """Note the outcome of each cluster of a cohort that `candidates` answers were given for."""
        self.cohorts += 1
        self.candidates += candidates
        self.parts = [position for position in self.parts if position not in cohort]
        planned = len(self.prepared.outlook.rating)
        for position, judged in zip(cohort, outcomes, strict=True):
            if position < planned:  # a first part has the position of the whole, which had its turn
                self.turned.setdefault(position, judged.fusion is not None)
            if judged.fusion:
                self.fusions.append(judged.fusion)
                continue
            parts = self._split(position, judged.reason) if judged.unfit else []
            self.parts += parts
            if not parts:
                (self.refused if judged.refused else self.rejected)[position] = judged.reason

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
            turned=self.turned,
            unreached=tuple(self._waiting()),
            stopped=_why_stopped(self.wanted, len(self.fusions)),
            candidates=self.candidates,
            split=self.split,
        )


def _why_stopped(wanted: int, accepted: int) -> str:
    if not wanted:
        return "no fusions were wanted"
    enough = accepted >= wanted
    return "enough fusions were accepted" if enough else "the limit of tries was reached"
