"""What `minimix rate` calls: rate every sample of a source, or fit a rater to ratings in it."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from minimix.columns import OURS
from minimix.config import BUNDLED as BUNDLED_MODEL
from minimix.config import DistillConfig
from minimix.disk import atomic, nearest_folder, write_jsonl
from minimix.engines import open_engine
from minimix.engines.likelihood import open_likelihood
from minimix.errors import ConfigError, DataError
from minimix.files import check_name, stem
from minimix.kinds import Record
from minimix.ledger import drop
from minimix.pool import Pool
from minimix.progress import Progress, silent
from minimix.rating import BUNDLED, UNFITTED, difficulty, fit, llm, open_rater
from minimix.rating.agreement import Agreement
from minimix.rating.learnt import Curve
from minimix.rating.noise import Noise
from minimix.rating.store import Stored, save
from minimix.rating.trust import compare
from minimix.recall import recalling
from minimix.records import KINDS, Rater, Sample, Vectors
from minimix.run import load_pool, read_source

LLM, DIFFICULTY = UNFITTED
DIGITS = 4
REPLY_TOKENS = 96
STDIN = "-"
DIFFICULTY_TRUST = (
    "it says how hard, not how good: on 699 rows it was not fitted on, rank correlation with "
    "gpt-4o-mini 0.13, most of that the length of the response; nothing is rated 4 or more"
)
LLM_TRUST = "its agreement with people is not known: hold some of it against your own ratings"


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What a rater says of samples: `ratings` (n,), NaN for none, and a line of more for each.

    `more` holds what goes beside a rating in the output (an LLM's four dimensions, a difficulty),
    or under "problem" why there is none.
    """

    ratings: Vectors
    more: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class Rated:
    """A source rated: its pool, the marks of each sample, and what can be said of both.

    `compared` holds its agreement with the ratings in the data and the diagnosis of those; None
    where the data have too few.
    """

    pool: Pool
    rater: Rater
    marks: Marks
    compared: tuple[Agreement, Noise] | None
    output: Path


def rate_file(
    source: str,
    config: DistillConfig,
    *,
    output: Path | None = None,
    progress: Progress = silent,
) -> Rated:
    """Rate every sample of `source` and write its records with ratings beside them.

    Records keep all their fields and get `minimix_rating`, which `distill` reads. Records that
    cannot be read are listed in <output>.dropped.jsonl, in the ledger's form. What an LLM has said
    is kept in <output>.judged.jsonl until all is written: a second start asks for the rest alone.
    """
    output = _check_output(source, output or Path(f"{stem(source)}.rated.jsonl"), ".jsonl")
    folder = nearest_folder(output.parent)
    records, pool = read_source(source, config, folder=folder, progress=progress)
    judged = output.with_name(f"{output.stem}.judged.jsonl")
    rater, marks = rate_samples(pool.samples, config, memory=judged, progress=progress)
    _write(records, pool, marks, rater.name, output)
    judged.unlink(missing_ok=True)
    ours = pool.rating_field == OURS  # a rater against itself would look perfect
    compared = None if ours else compare(pool.samples, marks.ratings)
    return Rated(pool=pool, rater=rater, marks=marks, compared=compared, output=output)


def fit_file(
    source: str,
    config: DistillConfig,
    *,
    output: Path | None = None,
    progress: Progress = silent,
) -> tuple[Stored, Path]:
    """Fit a rater (`config.rater`: learnt or knn-bayes) to the ratings in `source` and write it.

    Raises DataError where the data hold no ratings of a known scale.
    """
    if config.rater not in BUNDLED:
        names = " or ".join(BUNDLED)
        raise DataError(f"rater: expected {names} to fit, found '{config.rater}'")
    if config.length_neutral:
        raise ConfigError("length_neutral: a fitted rater has both modes; say it when rating")
    output = _check_output(source, output or Path(f"{stem(source)}.rater.npz"), ".npz")
    pool = load_pool(source, config, progress=progress)
    rated = [(sample, sample.rating) for sample in pool.samples if sample.rating is not None]
    if not rated:
        hint = (
            f"'{pool.unscaled}' needs --rating-range LOW HIGH"
            if pool.unscaled
            else ("name their field with --rating-field and their scale with --rating-range")
        )
        raise DataError(f"{source}: no ratings to fit a rater to; {hint}")
    about = f"{len(rated):,} rows of {Path(source).name}, '{pool.rating_field}'"
    stored = fit(config.rater, rated, about=about, seed=config.seed, progress=progress)
    save(stored, output)
    return stored, output


def rate_samples(
    samples: Sequence[Sample],
    config: DistillConfig,
    *,
    memory: Path | None = None,
    progress: Progress = silent,
) -> tuple[Rater, Marks]:
    """Return the rater that the settings name, and what it says of `samples`.

    What an LLM says is kept in the file `memory`, and taken from there.
    """
    if config.rater == LLM:
        return _by_llm(samples, config, memory, progress)
    if config.rater == DIFFICULTY:
        return _by_difficulty(samples, config, progress)
    rater = open_rater(config.rater, length_neutral=config.length_neutral)
    ratings = rater.rate(samples)
    none = {"problem": "the rater knows no such kind"}
    return rater, Marks(
        ratings=ratings, more=tuple(none if np.isnan(one) else {} for one in ratings)
    )


def _by_llm(
    samples: Sequence[Sample], config: DistillConfig, memory: Path | None, progress: Progress
) -> tuple[Rater, Marks]:
    settings = replace(config.engine, temperature=0.0, max_new_tokens=REPLY_TOKENS)
    engine = open_engine(settings, candidates=1, seed=config.seed, adapted=False, schema=llm.SCHEMA)
    asked_of = [llm.VERSION, engine.name, engine.sha256]
    ask = recalling(engine.generate, memory, asked_of=asked_of) if memory else engine.generate
    judged = llm.judge(samples, ask, progress=progress)
    ratings = [one.rating if isinstance(one, llm.Judgement) else np.nan for one in judged]
    more = tuple(
        asdict(one) if isinstance(one, llm.Judgement) else {"problem": one} for one in judged
    )
    marks = Marks(ratings=np.array(ratings, dtype=np.float32), more=more)
    name = f"LLM rater {llm.VERSION} ({engine.name})"
    rater = Rater(llm.rater(engine.generate), name, dict.fromkeys(KINDS, LLM_TRUST))
    return rater, marks


def _by_difficulty(
    samples: Sequence[Sample], config: DistillConfig, progress: Progress
) -> tuple[Rater, Marks]:
    likelihood = open_likelihood(config.engine)
    ratios = difficulty.difficulty(samples, likelihood, progress=progress)
    own = config.engine.model == BUNDLED_MODEL
    curve = difficulty.load() if own else Curve(np.zeros(1), np.full(1, np.nan))
    more = tuple(_difficulty(float(ratio), known=own) for ratio in ratios)
    name = f"instruction-following difficulty ({config.engine.model})"
    trust = dict.fromkeys(KINDS, DIFFICULTY_TRUST) if own else {}
    rater = Rater(difficulty.rater(likelihood, curve), name, trust)
    return rater, Marks(ratings=curve(ratios), more=more)


def _difficulty(ratio: float, *, known: bool) -> dict[str, Any]:
    """Return a difficulty as the output has it; only the bundled model's has a known scale."""
    if np.isnan(ratio):
        return {"problem": "no token, no surprise, or longer than the context"}
    found: dict[str, Any] = {"difficulty": round(ratio, DIGITS)}
    return found if known else {**found, "problem": "this model's difficulties have no scale 0..5"}


def _write(records: Iterable[Record], pool: Pool, marks: Marks, rater: str, output: Path) -> None:
    """Write every record that was read with its ratings, and the list of those that were not."""
    samples = enumerate(sample.place for sample in pool.samples)
    with atomic(output) as file:
        waiting = next(samples, None)  # samples stand in the order of the records they come from
        for record in records:
            numbers = []
            while waiting and replace(waiting[1], part=0) == record.place:
                numbers.append(waiting[0])
                waiting = next(samples, None)
            if numbers and record.row is not None:
                row = {**record.row, OURS: _beside(numbers, marks, rater)}
                file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
    if pool.dropped:
        write_jsonl(dropped_path(output), map(drop, pool.dropped))


def dropped_path(output: Path) -> Path:
    """Return where records and exchanges are listed that could not be read."""
    return output.with_name(f"{output.stem}.dropped.jsonl")


def _check_output(source: str, output: Path, suffix: str) -> Path:
    """Return `output`; raises ConfigError for another suffix, or the file that is read.

    Raises FormatError for a name that cannot be shown.
    """
    check_name(str(output))
    if output.suffix != suffix:
        raise ConfigError(f"output: expected a name that ends with {suffix}, found {output}")
    if source != STDIN and output.exists() and Path(source).exists() and output.samefile(source):
        raise ConfigError(f"output: {output} is what is read; name another file")
    return output


def _beside(numbers: Sequence[int], marks: Marks, rater: str) -> dict[str, Any]:
    """Return what is written beside a record: a rating for each of its exchanges, or null."""
    ratings = [float(marks.ratings[number]) for number in numbers]
    more = [dict(marks.more[number]) for number in numbers]
    return {
        "ratings": [None if np.isnan(one) else round(one, DIGITS) for one in ratings],
        **({"more": more} if any(more) else {}),
        "rater": rater,
    }


def problems(rated: Rated) -> Counter[str]:
    """Return why samples have no rating, counted."""
    found = [str(one["problem"]) for one in rated.marks.more if "problem" in one]
    return Counter(problem.partition(", found")[0] for problem in found)
