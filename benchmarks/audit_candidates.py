"""Candidates to choose among, for benchmarks/audit.py: written once, kept in the user's cache.

    python benchmarks/audit_candidates.py FOLDER [--tasks 300]

Each task is the variants of one Dolly row, the row its reference. Answers are written task by task
into a file whose name follows from all they depend on, so a run that was stopped goes on.
"""

import argparse
import hashlib
import json
import random
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from audit_cases import PLACE, rows

from minimix import prompt
from minimix.config import EngineConfig
from minimix.engines import open_engine
from minimix.mixture.worse.degrade import variants
from minimix.prompt import part_text, to_messages
from minimix.records import Answer, Engine, Sample, Task

CACHE = Path.home() / ".cache" / "minimix" / "benchmarks"
EACH, SEED, COHORT = 5, 0, 4
FEWEST, MOST = 25, 110
ALL_TASKS = 300


@dataclass(frozen=True)
class Choice:
    """A cluster with its reference answer, and the candidates written for it."""

    sources: tuple[Sample, ...]
    reference: str
    answers: tuple[Answer, ...]


def tasks(folder: Path, count: int) -> list[tuple[tuple[Sample, ...], str]]:
    """Return clusters of variants, each with the row they were made of."""
    fit = [
        row
        for row in rows(folder / "dolly_rated_03.jsonl")
        if not row["input"] and FEWEST <= len(row["output"].split()) <= MOST
    ]
    made = []
    for row in random.Random(SEED).sample(fit, ALL_TASKS)[:count]:
        sample = Sample(row["instruction"], row["output"], PLACE)
        number = int(hashlib.sha256(row["id"].encode()).hexdigest()[:8], 16)
        rng = np.random.default_rng(number)
        sources = variants(sample, count=int(rng.integers(2, 5)), rng=rng)
        made.append((sources, row["output"]))
    return made


def choices(folder: Path, count: int, *, threads: int = 1) -> list[Choice]:
    """Return `count` tasks with their candidates; those not in the cache are written now."""
    wanted = tasks(folder, count)
    config = EngineConfig(threads=threads)
    engine = open_engine(config, candidates=EACH, seed=SEED)
    path = CACHE / f"audit_{_key(engine)}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {row["task"]: row["answers"] for row in rows(path)} if path.exists() else {}
    todo = [task for task in wanted if _name(task[0]) not in known]
    for start in range(0, len(todo), COHORT):
        cohort = [sources for sources, _ in todo[start : start + COHORT]]
        chats = [to_messages(Task("qa", tuple(map(part_text, sources)))) for sources in cohort]
        answers = list(engine.generate(chats))
        with path.open("a", encoding="utf-8") as file:
            for number, sources in enumerate(cohort):
                own = sorted((a for a in answers if a.task == number), key=lambda a: a.candidate)
                known[_name(sources)] = [asdict(answer) for answer in own]
                line = {"task": _name(sources), "answers": known[_name(sources)]}
                file.write(json.dumps(line) + "\n")
        print(f"{start + len(cohort)} of {len(todo)} tasks written", file=sys.stderr, flush=True)
    return [
        Choice(sources, reference, tuple(Answer(**a) for a in known[_name(sources)]))
        for sources, reference in wanted
    ]


def _name(sources: tuple[Sample, ...]) -> str:
    text = "\0".join(part_text(sample) for sample in sources)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _key(engine: Engine) -> str:
    """Return a hash of all that answers follow from, but for the tasks."""
    parts = [engine.name, engine.sha256, dict(engine.settings), EACH, SEED, prompt.VERSION]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def main() -> None:
    """Write what is missing."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("folder", type=Path)
    options.add_argument("--tasks", type=int, default=ALL_TASKS)
    given = options.parse_args()
    print(f"{len(choices(given.folder, given.tasks))} tasks ready")


if __name__ == "__main__":
    main()
