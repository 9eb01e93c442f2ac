"""One run from a source to an output folder: what `minimix distill` calls, for Python callers."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from minimix import audit, contamination, prompt
from minimix.arrow import Distilled, distill
from minimix.columns import Columns
from minimix.config import AUTO, EXTRACT, STATIC, TOLD, DistillConfig
from minimix.contamination import Questions, read_questions
from minimix.disk import nearest_folder
from minimix.embed import Embedder, choose, load_embedder
from minimix.engines import open_engine
from minimix.engines.bundled import cache_folder
from minimix.errors import ConfigError
from minimix.executors import open_executor
from minimix.files import check_name, read_records, stem
from minimix.journal import Journal, check_folder, open_journal
from minimix.kinds import Record
from minimix.output import versions, write_output
from minimix.pool import Pool, Read, find, places_sha256, pool_of, read_found
from minimix.prepare import Prepared, prepare
from minimix.progress import Progress, Say, silent, unheard
from minimix.prompt import to_messages
from minimix.rating import open_rater
from minimix.records import Engine, Models
from minimix.rows import Rows
from minimix.spool import record_writer
from minimix.vector_store import FOLDER

TIMED = 4
DERIVED = ("threads", "parallel")
"""Engine settings that the machine decides and a resumed run keeps."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a run would do: its preparation, and at most so many tasks, answers and prompt tokens.

    `seconds` of generation at most, by the rate of a few of the tasks, whose answers are thrown
    away; None, like `prompt_tokens`, where a server would do the work.
    """

    prepared: Prepared
    tasks: int
    candidates: int
    prompt_tokens: int | None
    seconds: float | None


def output_folder(source: str | Rows, output: Path | None = None) -> Path:
    """Return where the output of `source` goes: `<stem>.distilled` here, unless told.

    Raises FormatError for a name that the card cannot hold.
    """
    folder = output or Path(f"{stem(str(source))}.distilled")
    check_name(str(folder))
    return folder


def read_source(
    source: str,
    config: DistillConfig,
    *,
    folder: Path | None = None,
    progress: Progress = silent,
) -> tuple[Sequence[Record], Pool]:
    """Return the records of `source` and their pool as the settings say, on disk as `read_pool`."""
    kept = record_writer(folder)
    found = islice(read_records(source, folder=folder), config.limit)
    records = (kept.add(record) for record in progress(found, "Reading"))
    columns = _columns(config)
    gave = (find(record, columns) for record in records)
    pool = pool_of(gave, source, columns=columns, max_bad=config.max_bad, folder=folder)
    return kept.spool(), pool


def load_pool(
    source: str | Rows,
    config: DistillConfig,
    *,
    folder: Path | None = None,
    read: Read = read_found,
    progress: Progress = silent,
) -> Pool:
    """Return the pool in `source` as the settings say; `folder` as for `read_pool`."""
    columns = _columns(config)
    found = progress(islice(read(source, columns, folder), config.limit), "Reading")
    return pool_of(found, str(source), columns=columns, max_bad=config.max_bad, folder=folder)


def _columns(config: DistillConfig) -> Columns:
    low, high = config.rating_range or (None, None)
    return Columns(rating=config.rating_field, low=low, high=high, source=config.source_field)


def load_questions(config: DistillConfig, *, progress: Progress = silent) -> Questions:
    """Return the evaluation questions that the settings name.

    Raises ConfigError where rows are to be dropped for questions that are not named.
    """
    if config.drop_contaminated and not config.check_against:
        raise ConfigError("drop_contaminated: expected check_against beside it, found no questions")
    return read_questions(config.check_against, max_bad=config.max_bad, progress=progress)


def distill_file(
    source: str | Rows,
    config: DistillConfig,
    *,
    output: Path | None = None,
    restart: bool = False,
    progress: Progress = silent,
    say: Say = unheard,
) -> tuple[Distilled, Pool]:
    """Distil `source` into its output folder, going on where an earlier start was stopped.

    `say` hears which embedder was chosen, and of trouble with its cache. Raises a MinimixError in
    one line for anything that keeps it from finishing.
    """
    folder = output_folder(source, output)
    check_folder(folder)  # before all is read: it would be refused in the end
    with open_executor(config.executor) as executor:
        disk = nearest_folder(folder)
        pool = load_pool(source, config, folder=disk, read=executor.read, progress=progress)
        questions = load_questions(config, progress=progress)
        with open_journal(folder, restart=restart) as journal:
            engine = _open(config, journal)
            if config.embedder == AUTO and journal.embedder:
                config = replace(config, embedder=journal.embedder)
            config, embedder = open_embedder(config, pool, progress=progress, say=say)
            opened = Models(
                embed=embedder.embed,
                embedder=f"{embedder.name} {embedder.sha256[:12]}",
                rater=open_rater(config.rater, length_neutral=config.length_neutral),
                engine=engine,
            )
            models = executor.place(opened, config, progress)
            identity = _identity(pool, config, models)
            checked = {"sha256": places_sha256(questions.places), "version": contamination.VERSION}
            journal.begin({"source": str(source), **identity, "questions": checked})
            result = distill(
                pool,
                config=config,
                models=models,
                journal=journal,
                questions=questions,
                progress=progress,
            )
            write_output(result, folder, pool=pool, config=config, models=models)
    return result, pool


def estimate(
    source: str, config: DistillConfig, *, progress: Progress = silent, say: Say = unheard
) -> Estimate:
    """Return what distilling `source` would take; nothing is kept and nothing written."""
    load_questions(config, progress=progress)  # a name that is wrong shows before the run
    prepared = look(source, config, progress=progress, say=say)[1]
    order = prepared.order
    tasks = len(order) if config.exhaustive else min(len(order), config.tries * prepared.wanted)
    engine = open_engine(config.engine, candidates=config.candidates, seed=config.seed)
    chats = [to_messages(prepared.task(prepared.clusters[position])) for position in order[:tasks]]
    tokens = seconds = None
    if engine.count:
        tokens = sum(map(engine.count, chats))
        sample = chats[:: max(1, tasks // TIMED)][:TIMED]
        start = time.monotonic()
        answered = len({answer.task for answer in engine.generate(sample)})
        seconds = (time.monotonic() - start) / max(1, answered) * tasks
    each = 1 if config.engine.model == EXTRACT else config.candidates
    return Estimate(
        prepared=prepared,
        tasks=tasks,
        candidates=tasks * each,
        prompt_tokens=tokens,
        seconds=seconds,
    )


def look(
    source: str, config: DistillConfig, *, progress: Progress = silent, say: Say = unheard
) -> tuple[Pool, Prepared]:
    """Return the pool in `source` and its preparation: no distiller takes part."""
    pool = load_pool(source, config, progress=progress)
    config, embedder = open_embedder(config, pool, progress=progress, say=say)
    rater = open_rater(config.rater, length_neutral=config.length_neutral)
    return pool, prepare(pool, config=config, embed=embedder.embed, rate=rater.rate)


def open_embedder(
    config: DistillConfig, pool: Pool, *, progress: Progress, say: Say
) -> tuple[DistillConfig, Embedder]:
    """Return the settings with the embedder that `auto` means for this pool, and that embedder."""
    samples = len(pool.samples)
    chosen = choose(config.embedder, samples)
    if chosen == STATIC and config.embedder == AUTO:  # what costs quality is said
        say(f"embedder: {chosen}, for {samples:,} samples; --embedder names another")
    folder = cache_folder() / FOLDER
    embedder = load_embedder(chosen, cache=folder, progress=progress, say=say)
    return replace(config, embedder=chosen), embedder


def _open(config: DistillConfig, journal: Journal) -> Engine:
    """Open the engine, with the settings an earlier start derived from its machine."""
    recorded = {name: value for name, value in journal.engine_settings.items() if name in DERIVED}
    unset = {name: value for name, value in recorded.items() if not getattr(config.engine, name)}
    engine = replace(config.engine, **unset)
    return open_engine(engine, candidates=config.candidates, seed=config.seed)


def _identity(pool: Pool, config: DistillConfig, models: Models) -> Mapping[str, Any]:
    """Return all that the output follows from; a resumed run must have the same."""
    return {
        "input": {"records": pool.records, "sha256": pool.sha256()},
        "settings": {name: value for name, value in config.flat().items() if name not in TOLD},
        "engine": dict(models.engine.settings),
        "model": {"name": models.engine.name, "sha256": models.engine.sha256},
        "embedder": models.embedder,
        "rater": models.rater.name,
        "prompt_version": prompt.VERSION,
        "audit_version": audit.VERSION,
        "versions": versions(),
    }
