"""What `minimix mixture build` calls where no model writes: tasks out of rows and articles."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from minimix.columns import Columns
from minimix.errors import ConfigError, DataError
from minimix.mixture.lengths import token_counter
from minimix.mixture.readme import describe, write_readme, write_tasks
from minimix.mixture.rule.clusters import FEWEST_NEIGHBOUR, MOST_WORDS, from_articles, from_samples
from minimix.mixture.split import apart
from minimix.mixture.statistics import table
from minimix.mixture.tasks import Example
from minimix.mixture.text.articles import read_any
from minimix.mixture.text.wording import words
from minimix.pool import read_pool
from minimix.progress import Progress, silent
from minimix.rating import open_rater
from minimix.records import Embed, Kind, Sample

BAD, OTHER, LOW = "not to be read as samples", "of another kind than qa", "rated too low"
PASSAGE, UNFIT, USED = "about a passage", "of unfit length", "used"
NONE = "no task came of them: one sentence, broken off, like no other, or a fact lost in typing"


@dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """How training data are built.

    `per_row` clusters of variants are made of each good row; `per_kind` is how many tasks of a
    kind to take at most, none named means all; rows rated below `least_rating` (0..5) take no
    part; `held_out` is the share kept apart.
    """

    per_row: int = 1
    per_kind: Mapping[Kind, int] = field(default_factory=dict)
    least_rating: float = 2.0
    columns: Columns = field(default_factory=Columns)
    held_out: float = 0.05
    seed: int = 42

    def __post_init__(self) -> None:
        """Raise ConfigError for a setting out of range."""
        if self.per_row < 1:
            raise ConfigError(f"per_row: expected at least 1, found {self.per_row}")
        if not 0 <= self.held_out < 1:
            raise ConfigError(f"held_out: expected 0 up to 1, found {self.held_out}")


@dataclass(frozen=True)
class Built:
    """What a folder of tasks holds, and how many were left out so that nothing leaks.

    `rows` counts the samples that were read, by what became of them.
    """

    train: Sequence[Example]
    held_out: Sequence[Example]
    left_out: int
    rows: Mapping[str, int]


def build_folder(
    rows: Sequence[str],
    articles: Sequence[Path],
    output: Path,
    config: BuildConfig,
    *,
    embed: Embed,
    progress: Progress = silent,
) -> str:
    """Build tasks without a model into `output`, and return what is in them, as text."""
    built = build_tasks(rows, articles, output, config, embed=embed, progress=progress)
    notes = [
        f"left out so that nothing leaks: {built.left_out:,} tasks",
        *([_reading(built.rows)] if built.rows else []),
    ]
    body = describe(built.train, built.held_out, notes=notes, count_tokens=token_counter())
    facts = {
        "by": "minimix mixture build, without a model",
        "rows": ", ".join(Path(row).name for row in rows) or "none",
        "articles": ", ".join(path.name for path in articles) or "none",
        "rows rated at least": config.least_rating,
        "clusters of each row": config.per_row,
        "seed": config.seed,
    }
    write_readme(output, facts, body)
    return f"{body}\n\nwritten {output}"


def build_tasks(
    rows: Sequence[str],
    articles: Sequence[Path],
    output: Path,
    config: BuildConfig,
    *,
    embed: Embed,
    progress: Progress = silent,
) -> Built:
    """Build tasks from rated rows and from articles, and write them as `output`'s two files.

    Rows without ratings are rated first. Raises DataError where nothing can be made of them.
    """
    rng = np.random.default_rng([config.seed, 4])
    read = [read_good(source, config, progress) for source in rows]
    samples = [sample for good, _ in read for sample in good]
    found = [article for path in articles for article in read_any(path)]
    made = [
        *from_samples(samples, per_row=config.per_row, embed=embed, rng=rng),
        *from_articles(found, rng=rng),
    ]
    fates = sum((others for _, others in read), fates_of(samples, made))
    if not made:
        why = ", ".join(f"{count:,} {fate}" for fate, count in fates.items()) or "no rows"
        raise DataError(f"no task can be made of these rows and articles: too few or short ({why})")
    train, held_out, left_out = apart(
        limited(made, config.per_kind, rng), share=config.held_out, rng=rng
    )
    write_tasks(output, train, held_out)
    return Built(train, held_out, left_out, fates)


def fates_of(samples: Sequence[Sample], made: Sequence[Example]) -> Counter[str]:
    """Return of how many good samples a task was made, and why of the others none was."""
    used = {place for example in made for place in example.sources}
    fates = Counter[str]()
    for sample in samples:
        fits = FEWEST_NEIGHBOUR <= words(sample.response) <= MOST_WORDS
        unused = PASSAGE if sample.input else NONE if fits else UNFIT
        fates[USED if used.issuperset(sample.sources) else unused] += 1
    return fates


def read_good(
    source: str, config: BuildConfig, progress: Progress = silent
) -> tuple[list[Sample], Counter[str]]:
    """Return a source's question-answer samples that are good enough to learn from.

    With them, how many others there are, by reason.
    """
    pool = read_pool(source, columns=config.columns, progress=progress)
    own = [sample for sample in pool.samples if sample.kind == "qa"]
    unrated = [sample for sample in own if sample.rating is None]
    rated = dict(zip(unrated, open_rater().rate(unrated), strict=True)) if unrated else {}
    ratings = [rated[s] if s.rating is None else s.rating for s in own]
    good = [s for s, r in zip(own, ratings, strict=True) if r >= config.least_rating]
    others = {
        BAD: len(pool.dropped),
        OTHER: len(pool.samples) - len(own),
        LOW: len(own) - len(good),
    }
    return good, Counter(others)


def limited(
    examples: Sequence[Example], per_kind: Mapping[Kind, int], rng: np.random.Generator
) -> list[Example]:
    """Return examples in random order, so many of each kind, as even as can be among sorts."""
    groups: dict[tuple[Kind, str], list[Example]] = defaultdict(list)
    for number in rng.permutation(len(examples)):
        example = examples[number]
        groups[example.task.kind, example.made].append(example)
    taken: list[Example] = []
    for kind in dict.fromkeys(kind for kind, _ in groups):
        own = sorted((group for key, group in groups.items() if key[0] == kind), key=len)
        room = per_kind.get(kind, len(examples) if not per_kind else 0)
        for number, group in enumerate(own):
            count = min(len(group), room // (len(own) - number))
            taken += group[:count]
            room -= count
    return [taken[number] for number in rng.permutation(len(taken))]


def _reading(rows: Mapping[str, int]) -> str:
    """Return how many samples of the rows were read, and what became of them, as a table."""
    fates = [("read", sum(rows.values())), *((fate, count) for fate, count in rows.items())]
    return table(("samples of the rows", "number"), [(fate, f"{n:,}") for fate, n in fates if n])
