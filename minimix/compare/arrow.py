"""The comparison, whole: a pool in, students on every set, what their losses say out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from minimix.arrow import Distilled
from minimix.compare.arms import FULL, arms
from minimix.compare.harness import Scores, harness
from minimix.compare.held_out import HELD, POOL, Parted, part
from minimix.compare.meter import Spent, metered, spent
from minimix.compare.settings import Asked
from minimix.compare.students import (
    Student,
    answer_losses,
    beginning,
    digest,
    encoder,
    open_tokenizer,
    study,
)
from minimix.config import DistillConfig, budget_rows
from minimix.errors import DataError
from minimix.journal import answers_in
from minimix.output import REPORT
from minimix.pool import Pool
from minimix.progress import Progress, Say, silent, unheard
from minimix.records import Sample
from minimix.run import distill_file, load_pool
from minimix.train.folder import ADAPTER
from minimix.train.settings import SftConfig
from minimix.train.tokens import Encoded

DISTILLED, STUDENTS, COST = "distilled", "students", "distilled.spent.json"
REFERENCE = "mixed_5_5"
"""The set whose tokens the others get."""
ONCE = "once"
LEAST_HELD = 3
"""Held-out samples, one for each third by length."""

Encode = Callable[[Sample], Encoded]


@dataclass(frozen=True, slots=True)
class Arm:
    """A set as it is trained on: its name, and what it has alike with others, or "once"."""

    matched: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What came of a comparison; students and scores of a set go by seed.

    `untrained` are the base's own losses, `lengths` the held-out answers in tokens; `near` counts
    rows that were too near to them, `candidates` and `wrote` the answers that distilling wrote and
    their tokens as the student counts them; `preparing` are wall seconds before it wrote any.
    """

    pool: int
    near: int
    budget: int
    lengths: tuple[int, ...]
    untrained: tuple[float, ...]
    students: Mapping[Arm, Sequence[Student]]
    scores: Mapping[Arm, Sequence[Mapping[str, Scores]]]
    distilling: Spent
    preparing: float
    candidates: int
    wrote: int
    fusions: int


def compare(
    source: str, asked: Asked, output: Path, *, progress: Progress = silent, say: Say = unheard
) -> Compared:
    """Return how students of each set do on what none of them saw; all is kept in `output`.

    What was finished there with the same settings is not done again. Raises DataError where a set
    is empty or nothing can be held out, OutputError where the run there was another one.
    """
    parted = part(source, asked, output, progress=progress, say=say)
    result, pool = _distil(asked, parted, output, progress=progress, say=say)
    student = asked.student
    tokenizer = open_tokenizer(student.base)
    encode = encoder(tokenizer)
    samples = load_pool(str(output / HELD), DistillConfig()).samples
    held = beginning(samples, encode, rows=len(samples), max_length=student.max_length)
    if len(held) < LEAST_HELD:
        raise DataError(
            f"{output / HELD}: expected {LEAST_HELD} samples or more of at most "
            f"{student.max_length} tokens, found {len(held)}"
        )
    untrained = answer_losses(student.base, None, held, student)
    students: dict[Arm, list[Student]] = {}
    scores: dict[Arm, list[Mapping[str, Scores]]] = {}
    for arm, rows, config in _courses(result, pool, encode, asked):
        say(f"{arm.name}, {arm.matched}, seed {config.seed}: {len(rows):,} rows")
        key = digest(rows, asdict(config))
        place = output / STUDENTS / f"{arm.name}-{config.seed}-{key}"
        students.setdefault(arm, []).append(study(rows, held, place, config, say=say))
        scores.setdefault(arm, []).append(_scores(asked, place))
    written = answers_in(output / DISTILLED)
    return Compared(
        pool=len(pool.samples),
        near=parted.near,
        budget=budget_rows(asked.distilling.budget, len(pool.samples)),
        lengths=tuple(len(one.answer) for one in held),
        untrained=tuple(untrained),
        students=students,
        scores=scores,
        distilling=spent(output / COST),
        preparing=result.seconds["prepare"],
        candidates=result.written.candidates,
        wrote=sum(len(tokenizer(answer.text)["input_ids"]) for answer in written),
        fusions=result.counts["fusions"],
    )


def _distil(
    asked: Asked, parted: Parted, output: Path, *, progress: Progress, say: Say
) -> tuple[Distilled, Pool]:
    """Distil the pool for fusions alone: the sets take originals beside them as they need."""
    config = replace(parted.read_as(asked.distilling), mix=1.0)
    folder = output / DISTILLED
    finished = (folder / REPORT).exists()  # then what it took is known
    with nullcontext() if finished else metered(output / COST):
        return distill_file(str(output / POOL), config, output=folder, progress=progress, say=say)


def _courses(
    result: Distilled, pool: Pool, encode: Encode, asked: Asked
) -> Iterator[tuple[Arm, list[Encoded], SftConfig]]:
    """Yield the rows and settings of every student, seed by seed, so that a pause leaves pairs."""
    rows = budget_rows(asked.distilling.budget, len(pool.samples))
    longest = asked.student.max_length
    for number in range(asked.config.seeds):
        config = replace(asked.student, seed=asked.student.seed + number)
        sets = arms(result, pool, seed=config.seed)
        reference = beginning(sets[REFERENCE], encode, rows=rows, max_length=longest)
        _check_filled(REFERENCE, reference)
        tokens = sum(map(len, reference))
        for matched in asked.config.matched:
            for name in asked.config.arms:
                if name == FULL:
                    continue
                given = {"rows": rows} if matched == "rows" else {"tokens": tokens}
                own = beginning(sets[name], encode, **given, max_length=longest)
                _check_filled(name, own)
                amount = tokens if matched == "tokens" else rows
                yield Arm(matched, name), own, _matched(own, config, matched, amount)
        if FULL in asked.config.arms:
            own = beginning(sets[FULL], encode, rows=len(sets[FULL]), max_length=longest)
            yield Arm(ONCE, FULL), own, replace(config, max_steps=-(-len(own) // config.per_step))


def _check_filled(name: str, rows: Sequence[Encoded]) -> None:
    if not rows:
        raise DataError(f"{name}: is empty: no sample is of its sort, or none is short enough")


def _matched(rows: Sequence[Encoded], config: SftConfig, matched: str, amount: int) -> SftConfig:
    """Return the settings under which a set is passed until `amount` has been trained on.

    That is the epochs times so many rows or tokens: a set that has fewer is passed more often.
    """
    each = sum(map(len, rows)) / len(rows) if matched == "tokens" else 1.0
    steps = config.num_train_epochs * amount / (each * config.per_step)
    return replace(config, max_steps=max(1, round(steps)))


def _scores(asked: Asked, place: Path) -> Mapping[str, Scores]:
    config = asked.config
    if not config.eval_tasks:
        return {}
    return harness(
        asked.student.base,
        place / ADAPTER,
        config.eval_tasks,
        place,
        definitions=config.eval_folder,
        limit=config.eval_limit,
    )
