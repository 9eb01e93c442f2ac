"""The second half of the arrow: clusters become drafts, and the good ones fusions.

Clusters are written in cohorts of fixed size, each from a clean context and committed to the
journal whole, so a run that was killed gives the same bytes as one left alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from minimix.audit import audit
from minimix.config import DistillConfig
from minimix.errors import ModelError
from minimix.journal import Journal
from minimix.judge import Candidate, choose, harm
from minimix.parse import as_read, parse
from minimix.prepare import Prepared
from minimix.progress import Progress, silent
from minimix.prompt import to_messages
from minimix.records import (
    Answer,
    Audit,
    Cluster,
    Draft,
    Engine,
    Fusion,
    Messages,
    Models,
    Place,
    Sample,
)
from minimix.reward import grade

UNANSWERED = frozenset({"refused", "failed"})


@dataclass(frozen=True, kw_only=True)
class Written:
    """What writing gave: `fusions` in the order of the plan, and why clusters gave none.

    `refused` and `rejected` go from a cluster's position to the reason; `unreached` lists the
    clusters whose turn never came; `stopped` says why. `candidates` counts answers.
    """

    fusions: tuple[Fusion, ...]
    refused: Mapping[int, str]
    rejected: Mapping[int, str]
    unreached: tuple[int, ...]
    stopped: str
    candidates: int

    @property
    def tried(self) -> int:
        """How many clusters were written."""
        return len(self.fusions) + len(self.refused) + len(self.rejected)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A task's outcome: a fusion's sample and marks, or the reason there is none."""

    fusion: Fusion | None = None
    reason: str = ""
    refused: bool = False


def fuse(
    prepared: Prepared,
    *,
    config: DistillConfig,
    models: Models,
    journal: Journal,
    progress: Progress = silent,
) -> Written:
    """Write clusters in the order of the plan until enough fusions are accepted.

    At most `config.tries` clusters are written for each fusion wanted: a distiller that cannot do
    it costs that much and no more. Raises ModelError where a whole cohort got no answer.
    """
    most = min(len(prepared.order), config.tries * prepared.wanted)
    cohorts = [
        prepared.order[start : min(start + config.cohort, most)]
        for start in range(0, most, config.cohort)
    ]
    fusions: list[Fusion] = []
    refused: dict[int, str] = {}
    rejected: dict[int, str] = {}
    candidates = 0
    for number, cohort in enumerate(progress(cohorts, "Fusing (cohorts)", len(cohorts))):
        if len(fusions) >= prepared.wanted:
            break
        chats = [to_messages(prepared.task(prepared.clusters[position])) for position in cohort]
        answers = _answers(number, chats, models.engine, journal)
        candidates += len(answers)
        for position, judged in zip(cohort, _judge(prepared, cohort, answers, models), strict=True):
            if judged.fusion:
                fusions.append(judged.fusion)
            else:
                (refused if judged.refused else rejected)[position] = judged.reason
    tried = {fusion.cluster for fusion in fusions} | refused.keys() | rejected.keys()
    return Written(
        fusions=tuple(fusions),
        refused=refused,
        rejected=rejected,
        unreached=tuple(position for position in prepared.order if position not in tried),
        stopped=_why_stopped(prepared.wanted, len(fusions)),
        candidates=candidates,
    )


def _why_stopped(wanted: int, accepted: int) -> str:
    if not wanted:
        return "no fusions were wanted"
    enough = accepted >= wanted
    return "enough fusions were accepted" if enough else "the limit of tries was reached"


def _answers(
    number: int, chats: Sequence[Messages], engine: Engine, journal: Journal
) -> list[Answer]:
    """Return a cohort's answers, from the journal or generated and committed."""
    known = journal.answers(number, chats)
    if known is not None:
        return known
    answers = sorted(engine.generate(chats), key=lambda answer: (answer.task, answer.candidate))
    if answers and all(answer.finish == "failed" for answer in answers):
        raise ModelError(
            f"{engine.name}: a whole cohort got no answer ({answers[0].note}); "
            "start the same command again to go on from here"
        )
    journal.commit(number, chats, answers)
    return answers


def _judge(
    prepared: Prepared,
    cohort: Sequence[int],
    answers: Sequence[Answer],
    models: Models,
) -> list[Judged]:
    """Return the outcome of each task of a cohort; all clean drafts are rated in one go."""
    drafts = [_drafts(prepared, position, task, answers) for task, position in enumerate(cohort)]
    clean = [
        (task, number, _sample(draft, prepared.sources(prepared.clusters[cohort[task]])))
        for task, audited in enumerate(drafts)
        for number, (draft, marks) in enumerate(audited)
        if not harm(draft, marks)
    ]
    samples = [sample for *_, sample in clean]
    ratings = models.rater.rate(samples)
    rated = {
        (task, number): (sample, float(rating))
        for (task, number, sample), rating in zip(clean, ratings, strict=True)
    }
    outcomes = []
    for task, position in enumerate(cohort):
        if not drafts[task]:
            outcomes.append(Judged(reason=_why_none(task, answers), refused=True))
            continue
        candidates = [
            Candidate(draft, marks, rated[task, number][1] if (task, number) in rated else None)
            for number, (draft, marks) in enumerate(drafts[task])
        ]
        chosen, reason = choose(candidates, _best_source(prepared, prepared.clusters[position]))
        if chosen is None:
            outcomes.append(Judged(reason=reason))
            continue
        sample, rating = rated[task, chosen]
        (reward,) = grade([candidates[chosen].draft], np.array([rating], dtype=np.float32))
        fusion = Fusion(position, sample, rating, reward, candidates[chosen].audit)
        outcomes.append(Judged(fusion=fusion))
    return outcomes


def _drafts(
    prepared: Prepared, position: int, task: int, answers: Sequence[Answer]
) -> list[tuple[Draft, Audit]]:
    """Return the drafts of a task that were answered, each with its audit."""
    cluster = prepared.clusters[position]
    asked, sources = prepared.task(cluster), prepared.sources(cluster)
    given = [one for one in answers if one.task == task and one.finish not in UNANSWERED]
    drafts = [as_read(parse(asked, answer.text), asked.kind) for answer in given]
    return [(draft, audit(draft, sources)) for draft in drafts]


def _why_none(task: int, answers: Sequence[Answer]) -> str:
    notes = [answer.note for answer in answers if answer.task == task]
    return notes[0] if notes else "the engine gave no answer"


def _best_source(prepared: Prepared, cluster: Cluster) -> float:
    """Return the best rating among a cluster's sources: the rater's, or the data's if higher."""
    rows = list(cluster.rows)
    return float(max(prepared.rated[rows].max(), prepared.ratings[rows].max()))


def _sample(draft: Draft, sources: Sequence[Sample]) -> Sample:
    """Return a draft as a sample whose sources are those of its cluster."""
    places: tuple[Place, ...] = tuple(sample.place for sample in sources)
    first = sources[0]
    prompt = draft.prompt or first.instruction
    return Sample(prompt, draft.response, places, system=first.system, kind=first.kind)
