"""What `minimix evaluate` calls: held-out tasks through any engine, scored beside the baselines."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from minimix.config import DistillConfig
from minimix.disk import atomic, file_sha256, read_arrays, write_bytes
from minimix.embed import Embedder, load_embedder
from minimix.engines import open_engine
from minimix.errors import ConfigError, DataError, OutputError
from minimix.evaluate.answers import Written, memory_file, tasks_together, write
from minimix.evaluate.baselines import BASELINES, answer
from minimix.evaluate.scores import Judges, Scores, choose, score
from minimix.evaluate.table import RIVALS, Groups, Table, against, groups, markdown, plain, table
from minimix.mend import mended
from minimix.mixture.tasks import HELD_OUT, Example, read_examples
from minimix.output import versions
from minimix.progress import Progress, silent
from minimix.rating import KNN_BAYES, open_rater
from minimix.records import KINDS, Embed, Vectors

FIRST = "first candidate alone"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What an engine's answers are worth beside the baselines'.

    `found` goes from system to group to figure, the engine first; `compared` is the engine minus
    each baseline.
    """

    groups: Groups
    engine: str
    written: Written
    found: Table
    compared: Table
    settings: Mapping[str, Any]


def evaluate_file(
    tasks: Path,
    config: DistillConfig,
    *,
    output: Path,
    limit_per_kind: int | None = None,
    greedy_first: bool = True,
    progress: Progress = silent,
) -> Evaluation:
    """Put held-out tasks to the engine of `config`, and write the figures as JSON and Markdown.

    `tasks` is a folder with held_out.jsonl or a file of tasks. Answers are remembered in the cache.
    Raises ConfigError unless `output` ends with .json.
    """
    if output.suffix != ".json":
        raise ConfigError(f"output: expected a name that ends with .json, found {output}")
    path, examples = held_out(tasks, limit_per_kind)
    engine = open_engine(
        config.engine, candidates=config.candidates, seed=config.seed, greedy_first=greedy_first
    )
    memory = memory_file(engine, config=config, greedy_first=greedy_first)
    asked = [example.task for example in examples]
    together = tasks_together(config.candidates)
    written = write(asked, engine, memory=memory, cohort=together, progress=progress)
    settings = {**config.flat(), **engine.settings, "greedy_first": greedy_first}
    judges = open_judges(config.rater)
    found = evaluate(examples, written, judges=judges, name=engine.name, settings=settings)
    write_files(found, output, tasks=path)
    return found


def evaluate(
    examples: Sequence[Example],
    written: Written,
    *,
    judges: Judges,
    name: str,
    settings: Mapping[str, Any],
) -> Evaluation:
    """Return what was written, under the engine's `name`, beside the baselines.

    `settings` hold the candidates that count, the seed of the intervals, and what else is to be
    told of the run.
    """
    candidates, seed = settings["candidates"], settings["seed"]
    ours = name if candidates == 1 else f"best of {candidates} candidates"
    systems = {ours: chosen(examples, written, candidates, judges)}
    if candidates > 1:
        systems[FIRST] = chosen(examples, written, 1, judges)
    systems |= baselines(examples, judges)
    by = groups(examples)
    rivals = {rival: systems[rival] for rival in RIVALS}
    return Evaluation(
        groups=by,
        engine=name,
        written=written,
        found=table(systems, by, seed=seed),
        compared=against(systems[ours], rivals, by, seed=seed),
        settings=settings,
    )


def held_out(tasks: Path, limit_per_kind: int | None = None) -> tuple[Path, tuple[Example, ...]]:
    """Return the file of tasks and its examples, at most so many of a kind, evenly spread.

    Raises DataError where a folder has no held_out.jsonl, FormatError for what is no task.
    """
    path = tasks / HELD_OUT if tasks.is_dir() else tasks
    if tasks.is_dir() and not path.exists():
        raise DataError(f"{tasks}: expected {HELD_OUT} in it, as minimix mixture build writes it")
    examples = read_examples(path)
    if limit_per_kind is None:
        return path, examples
    kept = set()
    for kind in KINDS:
        own = [n for n, example in enumerate(examples) if example.task.kind == kind]
        many = min(limit_per_kind, len(own))
        kept |= {own[position * len(own) // many] for position in range(many)}
    return path, tuple(examples[n] for n in sorted(kept))


def open_judges(rater: str, *, memory: Path | None = None) -> Judges:
    """Return the bundled embedder, the rater of that name, and the paper's own.

    Vectors are taken from a file in the folder `memory`, and kept there.
    """
    embedder = load_embedder()
    return Judges(
        embed=remembering(embedder.embed, memory and vectors_file(embedder, memory)),
        rate=open_rater(rater).rate,
        rate_as_paper=open_rater(KNN_BAYES).rate,
    )


def vectors_file(embedder: Embedder, folder: Path) -> Path:
    """Return the file of an embedder's vectors: another name or other weights have another."""
    key = hashlib.sha256(f"{embedder.name}\0{embedder.sha256}".encode()).hexdigest()
    return folder / f"vectors-{Path(embedder.name).name}-{key[:12]}.npz"


def remembering(embed: Embed, memory: Path | None = None) -> Embed:
    """Return an embedder that embeds a text once: all systems share their references.

    What it knows at first is in the file `memory`, which gets what it learns; a file that cannot
    be read is made anew.
    """
    known: dict[str, Any] = {}
    if memory:
        with suppress(DataError, KeyError, ValueError):
            saved = read_arrays(memory)
            known = dict(zip(saved["keys"].tolist(), saved["vectors"], strict=True))

    def recall(texts: Sequence[str]) -> Vectors:
        keys = [hashlib.sha256(text.encode("utf-8")).hexdigest()[:32] for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if new:
            known.update(zip(new, embed(list(new.values())), strict=True))
        if new and memory:
            data = io.BytesIO()
            np.savez(data, keys=np.array(list(known)), vectors=np.stack(list(known.values())))
            with suppress(OutputError):  # another process writes it too: that costs time alone
                write_bytes(memory, data.getvalue())
        return np.stack([known[key] for key in keys])

    return recall


def chosen(
    examples: Sequence[Example], written: Written, candidates: int, judges: Judges
) -> tuple[Scores, ...]:
    """Return the scores of what counts among the first `candidates` answers of each task.

    They are mended, as `distill` has them.
    """
    first = [
        [replace(one, text=mended(example.task, one.text)) for one in own[:candidates]]
        for example, own in zip(examples, written.answers, strict=True)
    ]
    best = [
        own[choose(example, own, rate=judges.rate) if candidates > 1 else 0]
        for example, own in zip(examples, first, strict=True)
    ]
    return score(examples, best, judges=judges)


def baselines(examples: Sequence[Example], judges: Judges) -> dict[str, tuple[Scores, ...]]:
    """Return the scores of the baselines, and of the references themselves."""
    return {
        name: score(examples, [answer(one, make(one)) for one in examples], judges=judges)
        for name, make in BASELINES.items()
    }


def write_files(evaluation: Evaluation, output: Path, *, tasks: Path) -> None:
    """Write the figures as JSON, and beside it as Markdown; `tasks` is the file they are of."""
    written = evaluation.written
    facts = {
        "tasks": {
            "file": tasks.name,
            "sha256": file_sha256(tasks),
            "used": {group: len(own) for group, own in evaluation.groups.items()},
        },
        "engine": evaluation.engine,
        **written.speed(),
        "unwritten": written.unwritten,
        "systems": plain(evaluation.found),
        "against": plain(evaluation.compared),
        "settings": dict(evaluation.settings),
        "versions": versions(),
    }
    with atomic(output) as file:
        json.dump(facts, file, indent=1, ensure_ascii=False)
        file.write("\n")
    used = f"{len(written.answers)} tasks of {tasks.name}"
    notes = [f"{evaluation.engine}; {used}. 95 % intervals in brackets."]
    with atomic(output.with_suffix(".md")) as file:
        file.write(markdown(evaluation.found, evaluation.compared, title="Evaluation", notes=notes))
