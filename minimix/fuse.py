"""The second half of the arrow: clusters become drafts, and the good ones fusions.

Clusters are written in cohorts of fixed size, each from a clean context and committed to the
journal whole, so a run that was killed gives the same bytes as one left alone.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from minimix.audit import audit
from minimix.config import DistillConfig
from minimix.errors import ModelError
from minimix.journal import Journal
from minimix.judge import Candidate, choose, harm
from minimix.mend import mended
from minimix.parse import as_read, parse
from minimix.prepare import Prepared
from minimix.progress import Progress, silent
from minimix.prompt import to_messages, tokens_of
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
from minimix.turns import Judged, Turns, Written

UNANSWERED = frozenset({"refused", "failed"})


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
    it costs that much and no more. One that does not fit the engine's context is split. Raises
    ModelError where a whole cohort got no answer.
    """
    turns = Turns(prepared, config)
    engine, tokens, escaped = models.engine, (0, 0), 0
    for cohort, answers in progress(
        _answered(turns, engine, journal), "Fusing (cohorts)", turns.expected
    ):
        outcomes = _judge(turns.prepared, cohort, answers, models)
        chats = _chats(turns.prepared, cohort)
        tokens = _plus(tokens, chats, answers, engine)
        escaped += sum(map(engine.escapes, chats)) if engine.escapes else 0
        turns.end(cohort, outcomes, candidates=len(answers))
    written = turns.written()
    return replace(written, tokens=tokens if engine.count else None, escaped=escaped)


def _plus(
    tokens: tuple[int, int],
    chats: Sequence[Messages],
    answers: Sequence[Answer],
    engine: Engine,
) -> tuple[int, int]:
    """Return the tokens of prompts and of answers with those of a cohort, where they are known."""
    if not engine.count:
        return tokens
    read = sum(map(engine.count, chats))
    wrote = sum(tokens_of(engine.count, chats[answer.task], answer.text) for answer in answers)
    return tokens[0] + read, tokens[1] + wrote


def _answered(
    turns: Turns, engine: Engine, journal: Journal
) -> Iterator[tuple[list[int], list[Answer]]]:
    """Yield each cohort with its answers, those of a round in the order of the plan."""
    number = 0
    for cohorts in turns.rounds():
        chats = [_chats(turns.prepared, cohort) for cohort in cohorts]
        answers = _answers(number, chats, engine, journal)
        number += len(cohorts)
        for cohort, found in zip(cohorts, answers, strict=True):
            yield cohort, found
            if turns.full:
                return


def _chats(prepared: Prepared, cohort: Sequence[int]) -> list[Messages]:
    """Return what the engine is asked for the clusters of a cohort."""
    return [to_messages(prepared.task(prepared.clusters[position])) for position in cohort]


def _answers(
    first: int, cohorts: Sequence[Sequence[Messages]], engine: Engine, journal: Journal
) -> Iterator[list[Answer]]:
    """Yield the answers of cohorts, the first of which has a number: known, or now committed."""
    known = [journal.answers(first + n, chats) for n, chats in enumerate(cohorts)]
    unknown = [chats for chats, found in zip(cohorts, known, strict=True) if found is None]
    written = engine.cohorts(unknown) if engine.cohorts else map(engine.generate, unknown)
    for number, (chats, found) in enumerate(zip(cohorts, known, strict=True), first):
        yield _committed(number, chats, next(written), engine, journal) if found is None else found


def _committed(
    number: int,
    chats: Sequence[Messages],
    written: Iterable[Answer],
    engine: Engine,
    journal: Journal,
) -> list[Answer]:
    """Return a cohort's answers in order, when the journal has them."""
    answers = sorted(written, key=lambda answer: (answer.task, answer.candidate))
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
        for number, (draft, marks, _) in enumerate(audited)
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
            outcomes.append(_unwritten(task, answers))
            continue
        candidates = [
            Candidate(draft, marks, rated[task, number][1] if (task, number) in rated else None)
            for number, (draft, marks, _) in enumerate(drafts[task])
        ]
        chosen, reason = choose(candidates, _best_source(prepared, prepared.clusters[position]))
        if chosen is None:
            outcomes.append(Judged(reason=reason))
            continue
        sample, rating = rated[task, chosen]
        draft, marks, is_mended = drafts[task][chosen]
        (reward,) = grade([draft], np.array([rating], dtype=np.float32))
        fusion = Fusion(position, sample, rating, reward, marks, is_mended)
        outcomes.append(Judged(fusion=fusion))
    return outcomes


def _drafts(
    prepared: Prepared, position: int, task: int, answers: Sequence[Answer]
) -> list[tuple[Draft, Audit, bool]]:
    """Return the drafts of a task that were answered, each with its audit and whether mended."""
    cluster = prepared.clusters[position]
    asked, sources = prepared.task(cluster), prepared.sources(cluster)
    given = [one for one in answers if one.task == task and one.finish not in UNANSWERED]
    texts = [mended(asked, answer.text) for answer in given]
    drafts = [as_read(parse(asked, text), asked.kind) for text in texts]
    return [
        (draft, audit(draft, sources), text != answer.text)
        for draft, text, answer in zip(drafts, texts, given, strict=True)
    ]


def _unwritten(task: int, answers: Sequence[Answer]) -> Judged:
    """Return the outcome of a task that nothing was written for."""
    own = [answer for answer in answers if answer.task == task]
    reason = own[0].note if own else "the engine gave no answer"
    unfit = {answer.finish for answer in own} == {"refused"}
    return Judged(reason=reason, refused=True, unfit=unfit)


def _best_source(prepared: Prepared, cluster: Cluster) -> float:
    """Return the best rating among a cluster's sources: the rater's, or the data's if higher."""
    rows = list(cluster.rows)
    return float(max(prepared.rated[rows].max(), prepared.ratings[rows].max()))


def _sample(draft: Draft, sources: Sequence[Sample]) -> Sample:
    """Return a draft as a sample whose sources are those of its cluster."""
    places: tuple[Place, ...] = tuple(sample.place for sample in sources)
    first = sources[0]
    prompt = draft.prompt or first.instruction
    return Sample(
        prompt,
        draft.response,
        places,
        system=first.system,
        kind=first.kind,
        source=first.source,
    )
