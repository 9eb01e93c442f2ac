"""The arrow's four stages in blocks that can be worked on anywhere: read, embed, rate, generate.

A block is the same however many workers there are, and what is made of it hangs on nothing else:
so the bits are those of a run in one process. The functions are those that such a run uses too;
what a worker opens is named by settings, since a model that is open cannot be sent.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from minimix.columns import Columns
from minimix.config import OFF, ON, STATIC, DistillConfig, EngineConfig
from minimix.embed import load_embedder
from minimix.engines import open_engine
from minimix.engines.bundled import cache_folder
from minimix.errors import ModelError
from minimix.files import data_files
from minimix.pool import Found, read_found
from minimix.progress import Progress
from minimix.rating import open_rater
from minimix.records import Answer, Embed, Engine, Messages, Models, Rate, Sample, Vectors
from minimix.rows import Rows
from minimix.spool import subset
from minimix.vector_store import FOLDER

Work = Callable[[Any], Iterable[Any]]
"""A block in, what becomes of it out, in one part or several."""
Open = Callable[[], Work]
"""Makes a worker ready; it stays so for all blocks of the same `Open`."""
TEXTS, STATIC_TEXTS, SAMPLES, RECORDS = 1_024, 8_192, 4_096, 4_096
"""Texts, samples and records of a block: from a second's work to half a minute's."""
DERIVED = ("threads", "parallel", "gpu_layers")


class Spread(Protocol):
    """Work on blocks somewhere, `cpus` processors each; parts come back in the blocks' order."""

    def __call__(self, opened: Open, blocks: Iterable[Any], *, cpus: int = 1) -> Iterator[Any]:
        """Yield all parts of all blocks; raises what the work raised, in its turn."""


def read_files(
    spread: Spread, source: str | Rows, columns: Columns, folder: Path | None = None
) -> Iterator[Found]:
    """Yield what each record of `source` gave: the files of a folder spread, anything else here."""
    if isinstance(source, Rows) or not Path(source).is_dir():
        yield from read_found(source, columns, folder)
        return
    names = map(str, data_files(Path(source)))
    for part in spread(partial(_reader, columns), names):
        yield from part


def over_blocks(
    spread: Spread, models: Models, config: DistillConfig, progress: Progress
) -> Models:
    """Return `models`, opened as `config` says, working wherever `spread` does.

    What is no more than one block is embedded and rated here: to send it would cost more.
    """
    embedder, size = partial(_embedder, config.embedder), TEXTS
    if config.embedder == STATIC:
        size = STATIC_TEXTS
    rater = partial(_rater, config.rater, length_neutral=config.length_neutral)
    engine = models.engine
    writer = partial(
        _writer, _as_here(config.engine, engine), config.candidates, config.seed, _Same.of(engine)
    )
    cpus = int(engine.settings.get("threads", 1))
    return replace(
        models,
        embed=partial(_embed, spread, embedder, models.embed, size=size, progress=progress),
        rater=replace(models.rater, rate=partial(_rate, spread, rater, models.rater.rate)),
        engine=replace(engine, cohorts=lambda cohorts: spread(writer, cohorts, cpus=cpus)),
    )


def _embed(
    spread: Spread,
    opened: Open,
    here: Embed,
    texts: Sequence[str],
    *,
    size: int,
    progress: Progress,
) -> Vectors:
    """Return unit rows (n, d), of blocks of `size` texts."""
    starts = range(0, len(texts), size)
    if len(starts) < 2:
        return here(texts)
    blocks = (list(texts[start : start + size]) for start in starts)
    vectors: Vectors = np.zeros((0, 0), dtype=np.float32)
    parts = progress(spread(opened, blocks), "Embedding (blocks)", len(starts))
    for start, part in zip(starts, parts, strict=True):
        if not start:
            vectors = np.zeros((len(texts), part.shape[1]), dtype=np.float32)
        vectors[start : start + size] = part
    return vectors


def _rate(spread: Spread, opened: Open, here: Rate, samples: Sequence[Sample]) -> Vectors:
    """Return ratings (n,), 0..5 or NaN."""
    starts = range(0, len(samples), SAMPLES)
    if len(starts) < 2:
        return here(samples)
    rows = np.arange(len(samples))
    blocks = (list(subset(samples, rows[start : start + SAMPLES])) for start in starts)
    return np.concatenate(list(spread(opened, blocks)))


def _reader(columns: Columns) -> Work:
    """Return the reading of a file by its name, in parts."""

    def read(name: str) -> Iterator[list[Found]]:
        found = read_found(name, columns)
        while part := list(islice(found, RECORDS)):
            yield part

    return read


def _embedder(name: str) -> Work:
    """Return the embedding of texts; the vectors' cache is that of the worker's machine.

    They are the bits of that machine, so one where they were not made must not keep them.
    """
    embed = load_embedder(name, cache=cache_folder() / FOLDER).embed
    return lambda texts: [embed(texts)]


def _rater(name: str, *, length_neutral: bool) -> Work:
    """Return the rating of samples."""
    rate = open_rater(name, length_neutral=length_neutral).rate
    return lambda samples: [rate(samples)]


def _writer(config: EngineConfig, candidates: int, seed: int, same: "_Same") -> Work:
    """Return the writing of a cohort; raises ModelError where this is not the engine expected."""
    engine = open_engine(config, candidates=candidates, seed=seed)
    same.check(engine)

    def write(chats: Sequence[Messages]) -> list[list[Answer]]:
        return [list(engine.generate(chats))]

    return write


def _as_here(config: EngineConfig, engine: Engine) -> EngineConfig:
    """Return settings that leave nothing to a worker's machine that was derived from this one."""
    settings = engine.settings
    known = {name: settings[name] for name in DERIVED if name in settings}
    if "flash_attention" in settings:
        known["flash_attention"] = ON if settings["flash_attention"] else OFF
    return replace(config, **known)


@dataclass(frozen=True, slots=True)
class _Same:
    """What tells an engine that gives the bits of this one."""

    facts: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, engine: Engine) -> "_Same":
        """Return what tells an engine."""
        facts = {**engine.settings, "model": engine.name, "sha256": engine.sha256}
        return cls(tuple(facts.items()))

    def check(self, engine: Engine) -> None:
        """Raise ModelError where an engine is another one, naming what differs."""
        found = dict(self.of(engine).facts)
        for name, value in self.facts:
            if found.get(name) != value:
                raise ModelError(
                    f"a worker's engine differs: {name} is {found.get(name)} there, {value} here; "
                    "take machines of one kind, or servers"
                )
