"""The second half of the arrow: clusters become drafts, and the good ones fusions.

Clusters are written in cohorts of fixed size, each from a clean context and committed to the
journal whole, so a run that was killed gives the same bytes as one left alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from minimix.audit import audit
from minimix.config import DistillConfig
from minimix.errors import ModelError
from minimix.journal import Journal
from minimix.judge import best, harm, merit
from minimix.parse import parse
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

FAILURES = {"refused": "write", "failed": "write"}


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
    full = len(fusions) >= prepared.wanted
    return Written(
        fusions=tuple(fusions),
        refused=refused,
        rejected=rejected,
        unreached=tuple(position for position in prepared.order if position not in tried),
        stopped="enough fusions were accepted" if full else "the limit of tries was reached",
        candidates=candidates,
    )


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
    clean: list[tuple[int, Draft, Audit, Sample]] = []
    outcomes = [Judged(reason="no answer", refused=True) for _ in cohort]
    for task, position in enumerate(cohort):
        cluster = prepared.clusters[position]
        given = [answer for answer in answers if answer.task == task]
        usable = [answer for answer in given if answer.finish not in FAILURES]
        if not usable:
            note = given[0].note if given else "the engine gave no answer"
            outcomes[task] = Judged(reason=note, refused=True)
            continue
        drafts = [parse(prepared.task(cluster), answer.text) for answer in usable]
        sources = prepared.sources(cluster)
        audits = [audit(draft, sources) for draft in drafts]
        one = best(drafts, audits)
        outcomes[task] = Judged(reason=harm(drafts[one], audits[one]))
        for draft, marks in zip(drafts, audits, strict=True):
            if not harm(draft, marks):
                clean.append((task, draft, marks, _sample(draft, sources)))
    samples = [sample for *_, sample in clean]
    ratings = models.rate(samples, models.embed([sample.text for sample in samples]))
    rewards = grade([draft for _, draft, _, _ in clean], ratings)
    merits: dict[int, float] = {}
    for (task, draft, marks, sample), rating, reward in zip(clean, ratings, rewards, strict=True):
        position = cohort[task]
        best_source = _best_source(prepared, prepared.clusters[position])
        if rating <= best_source and task not in merits:
            reason = f"rated {rating:.2f}, its best source {best_source:.2f}"
            outcomes[task] = Judged(reason=reason)
        elif rating > best_source and merit(draft, marks) > merits.get(task, -1.0):
            merits[task] = merit(draft, marks)
            fusion = Fusion(position, sample, float(rating), reward, marks)
            outcomes[task] = Judged(fusion=fusion)
    return outcomes


def _best_source(prepared: Prepared, cluster: Cluster) -> float:
    return float(max(prepared.rated[row] for row in cluster.rows))


def _sample(draft: Draft, sources: Sequence[Sample]) -> Sample:
    """Return a draft as a sample whose sources are those of its cluster."""
    places: tuple[Place, ...] = tuple(sample.place for sample in sources)
    first = sources[0]
    prompt = draft.prompt or first.instruction
    return Sample(prompt, draft.response, places, system=first.system, kind=first.kind)
