"""What `minimix mixture build` calls where a model writes: tasks out of articles, in a folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from minimix.audit import audit
from minimix.config import EngineConfig
from minimix.engines import open_engine
from minimix.errors import DataError
from minimix.judge import LEAST_SUPPORTED
from minimix.mixture.lengths import token_counter
from minimix.mixture.readme import describe, write_readme, write_tasks
from minimix.mixture.split import apart
from minimix.mixture.tasks import Example, target, to_sources
from minimix.mixture.text.articles import read_any
from minimix.mixture.worse.degrade import restyled
from minimix.mixture.writer import prompts
from minimix.mixture.writer.memory import Memory
from minimix.mixture.writer.samples import Writer, good_samples, merged_samples, worse_versions
from minimix.mixture.writer.segments import Segment, segments
from minimix.mixture.writer.tally import GOOD, Tally, outcomes, worst
from minimix.parse import as_read, parse
from minimix.progress import Progress, silent
from minimix.prompt import part_text
from minimix.rating import llm
from minimix.records import Embed, Engine, Kind, Sample, Task

ANSWERS = "answers.jsonl"
RATING_TOKENS = 96
FEWEST, MOST = 2, 5
"""Parts of a task."""
SHARE_NOISY = 0.5
"""Of the parts that are typed carelessly besides."""


@dataclass(frozen=True, kw_only=True)
class WriteConfig:
    """How many good samples of each kind are wanted, and the share (0..1) of tasks held out."""

    counts: Mapping[Kind, int]
    held_out: float = 0.05
    seed: int = 42


def write_folder(
    articles: Sequence[Path],
    output: Path,
    config: WriteConfig,
    *,
    engine: EngineConfig,
    embed: Embed,
    progress: Progress = silent,
) -> str:
    """Have a model write tasks about articles into `output`, and return what came of it, as text.

    Every answer is kept in `output`, so a run that was stopped goes on. Raises DataError where the
    model got nothing right, with how often it failed at what.
    """
    pieces = segments([article for path in articles for article in read_any(path)])
    if not pieces:
        raise DataError("the articles hold no 60 words of clean prose in a row to write about")
    writer = open_writer(engine, output / ANSWERS, seed=config.seed)
    made, tally = write_tasks_about(pieces, config, writer, embed=embed, progress=progress)
    if not made:
        raise DataError(f"{writer.name} got no task right: {worst(tally)}")
    rng = np.random.default_rng([config.seed, 3])
    train, held_out, lost = apart(made, share=config.held_out, rng=rng)
    notes = [
        f"What the writer got right\n\n{outcomes(tally)}",
        f"{lost:,} tasks were left out between the two parts",
    ]
    body = describe(train, held_out, notes=notes, count_tokens=token_counter())
    facts = {
        "by": "minimix mixture build",
        "articles": ", ".join(path.name for path in articles),
        "segments": f"{len(pieces):,}",
        "writer and rater": writer.name,
        "prompts": f"writer {prompts.VERSION}, rater {llm.VERSION}",
        "seed": config.seed,
    }
    write_tasks(output, train, held_out)
    write_readme(output, facts, body)
    return f"{body}\n\nwritten {output}"


def open_writer(config: EngineConfig, answers: Path, *, seed: int) -> Writer:
    """Return the model of the settings as a writer and, held to the rater's form, as a rater.

    Both are greedy, and remember their answers in the file `answers`.
    """
    writing = replace(config, temperature=0.0)
    rating = replace(writing, max_new_tokens=RATING_TOKENS)
    write = open_engine(writing, candidates=1, seed=seed, adapted=False)
    rate = open_engine(rating, candidates=1, seed=seed, adapted=False, schema=llm.SCHEMA)
    return Writer(
        write=Memory(write, answers, asked=f"{writing.max_new_tokens} tokens").generate,
        rate=Memory(rate, answers, asked=f"{RATING_TOKENS} tokens of the rating form").generate,
        name=_name(write),
    )


def write_tasks_about(
    pieces: Sequence[Segment],
    config: WriteConfig,
    writer: Writer,
    *,
    embed: Embed,
    progress: Progress = silent,
) -> tuple[list[Example], Tally]:
    """Return tasks: worse versions of one sample, and of two that were made one.

    Half of the parts are noisy besides. A task whose target says what none of its parts does is
    counted, and left out.
    """
    rngs = [np.random.default_rng([config.seed, stage]) for stage in range(3)]
    good, tally = good_samples(pieces, config.counts, writer, rng=rngs[0], progress=progress)
    versions, counted = worse_versions(good, writer, rng=rngs[1], progress=progress)
    merged, others = merged_samples(good, writer, embed=embed, progress=progress)
    tally += counted + others
    made, half = list[Example](), MOST // 2
    tasks = [("written", one, own) for one, own in zip(good, versions, strict=True)]
    tasks += [
        ("merged", whole, (*versions[one][:half], *versions[other][:half]))
        for one, other, whole in merged
    ]
    for way, whole, parts in tasks:
        example = _example(f"{way} by {writer.name}", whole, parts, rngs[2])
        tally["task", whole.kind, example if isinstance(example, str) else GOOD] += 1
        made += [example] if isinstance(example, Example) else []
    return made, tally


def _example(
    made: str, whole: Sample, parts: Sequence[Sample], rng: np.random.Generator
) -> Example | str:
    """Return the task whose fusion is `whole`, or why there is none."""
    if len(parts) < FEWEST:
        return "fewer than two worse versions"
    noisy = rng.random(len(parts)) < SHARE_NOISY
    typed = [restyled(one, rng=rng) if bad else one for one, bad in zip(parts, noisy, strict=True)]
    texts = tuple(part_text(typed[n]) for n in rng.permutation(len(typed)))
    task = Task(whole.kind, texts, part_text(whole))
    example = Example(task, made, whole.sources)
    draft = as_read(parse(task, target(example)), whole.kind)
    found = audit(draft, to_sources(task))
    if found.unsupported or found.supported < LEAST_SUPPORTED:
        return "says what no worse version says"
    return example


def _name(engine: Engine) -> str:
    """Return the writer's name without its address."""
    return str(engine.settings.get("model") or engine.name)
