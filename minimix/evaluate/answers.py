"""What a model writes for held-out tasks, in cohorts as `distill` does, and remembered on disk.

A cohort begins from a clean context, so its answers follow from its tasks and the settings alone:
an evaluation that was stopped goes on, and one that is only scored anew writes nothing.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from minimix import prompt
from minimix.config import DistillConfig, EngineConfig
from minimix.disk import record_sha256
from minimix.engines.bundled import cache_folder
from minimix.engines.sampling import top_k
from minimix.errors import ModelError
from minimix.evaluate.scores import UNWRITTEN
from minimix.grammar import grammar
from minimix.kept import answer_of
from minimix.progress import Progress, silent
from minimix.prompt import to_messages, tokens_of
from minimix.recall import append, lines_of
from minimix.records import KINDS, Answer, Engine, Messages, Task

COHORT, SEQUENCES = DistillConfig().cohort, 48
"""Tasks of a cohort of `distill`, and the answers that these make there."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """The candidates of each task in their order, and what it took to write them.

    `seconds` and `cpu_seconds` are of this machine and process, the reading of prompts included;
    `tokens` those of the answers, None where only a server could count them.
    """

    answers: tuple[tuple[Answer, ...], ...]
    seconds: float
    cpu_seconds: float
    tokens: int | None

    def speed(self) -> dict[str, float | None]:
        """Return what it took, with tokens of answers a second: by the clock, and of computing."""
        return {
            "seconds": round(self.seconds, 1),
            "cpu_seconds": round(self.cpu_seconds, 1),
            "tokens": self.tokens,
            "tokens_per_second": _rate(self.tokens, self.seconds),
            "tokens_per_cpu_second": _rate(self.tokens, self.cpu_seconds),
        }

    @property
    def unwritten(self) -> int:
        """How many candidates were refused or failed; they count as empty answers."""
        return sum(answer.finish in UNWRITTEN for own in self.answers for answer in own)


def tasks_together(candidates: int) -> int:
    """Return how many tasks to write together: as `distill`, and more where one answer each.

    The last answers of a cohort leave the machine half idle.
    """
    return max(COHORT, SEQUENCES // candidates)


def write(
    tasks: Sequence[Task],
    engine: Engine,
    *,
    memory: Path | None = None,
    cohort: int = COHORT,
    progress: Progress = silent,
) -> Written:
    """Return what `engine` writes for `tasks`, `cohort` of them together.

    Cohorts that the file `memory` holds are taken from it, others added to it. Raises ModelError
    where a whole cohort got no answer, OutputError where the file cannot be written.
    """
    known = _read(memory)
    cohorts = [tasks[start : start + cohort] for start in range(0, len(tasks), cohort)]
    answers: list[tuple[Answer, ...]] = []
    seconds, cpu_seconds, tokens = 0.0, 0.0, 0
    for own in progress(cohorts, "Writing (cohorts)", len(cohorts)):
        chats = [to_messages(task) for task in own]
        key = record_sha256(chats)
        line = known.get(key) or _write(chats, key, engine, memory)
        seconds += line["seconds"]
        cpu_seconds += line["cpu_seconds"]
        tokens += line["tokens"] or 0
        given = line["answers"]
        for position in range(len(own)):
            mine = tuple(one for one in given if one.task == position)
            answers.append(mine or (Answer(position, 0, "", "failed", "the engine gave none"),))
    return Written(
        answers=tuple(answers),
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        tokens=tokens if engine.count else None,
    )


def memory_file(engine: Engine, *, config: DistillConfig, greedy_first: bool = True) -> Path | None:
    """Return where answers of these settings are kept, in the cache; None for a server's.

    The name follows from all that they follow from, but for the tasks: weights, adapter, drawing,
    machine settings, prompt and the version of llama.cpp.
    """
    if engine.sha256 is None:
        return None
    own = config.engine
    drawn: list[Any] = [config.candidates, greedy_first, config.seed]
    drawn += [own.temperature, own.top_p, own.max_new_tokens]
    if top_k(own.top_p) is None:
        drawn.append(0)  # kept apart from answers that were drawn of a cut vocabulary
    drawn += _unusual(own)
    shown = [prompt.VERSION, prompt.STOPS, version("llama-cpp-python")]
    key = json.dumps([engine.sha256, dict(engine.settings), drawn, shown], sort_keys=True)
    name = hashlib.sha256(key.encode()).hexdigest()[:24]
    return cache_folder() / "answers" / f"{name}.jsonl"


def _unusual(config: EngineConfig) -> list[dict[str, Any]]:
    """Return what else answers follow from, where it is not as usual: older files keep their name.

    A grammar is one for all kinds; what it says counts, not only that there is one.
    """
    usual = EngineConfig()
    found: dict[str, Any] = {}
    for name in ("min_p", "repetition_penalty"):
        if getattr(config, name) != getattr(usual, name):
            found[name] = float(getattr(config, name))
    if config.grammar:
        found["grammar"] = record_sha256([grammar(kind, think=True) for kind in KINDS])
    return [found] if found else []


def _write(
    chats: Sequence[Messages], key: str, engine: Engine, memory: Path | None
) -> dict[str, Any]:
    start, cpu_start = time.monotonic(), time.process_time()
    answers = sorted(engine.generate(chats), key=lambda answer: (answer.task, answer.candidate))
    seconds, cpu_seconds = time.monotonic() - start, time.process_time() - cpu_start
    if all(answer.finish == "failed" for answer in answers):
        note = answers[0].note if answers else "it gave none"
        raise ModelError(f"{engine.name}: a whole cohort got no answer ({note})")
    tokens = None
    if engine.count:
        tokens = sum(tokens_of(engine.count, chats[answer.task], answer.text) for answer in answers)
    line = {
        "cohort": key,
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu_seconds, 3),
        "tokens": tokens,
    }
    if memory:
        append(memory, {**line, "answers": [asdict(answer) for answer in answers]})
    return {**line, "answers": answers}


def _rate(tokens: int | None, seconds: float) -> float | None:
    return None if tokens is None or not seconds else round(tokens / seconds, 1)


def _read(path: Path | None) -> dict[str, dict[str, Any]]:
    """Return the cohorts on disk by their keys; a line cut short or damaged is written anew."""
    known = {}
    for line in lines_of(path) if path else ():
        try:
            spent = [line["seconds"], line["cpu_seconds"], line["tokens"] or 0]
            if not all(isinstance(one, int | float) for one in spent):
                continue
            known[str(line["cohort"])] = {**line, "answers": [*map(answer_of, line["answers"])]}
        except (ValueError, KeyError, TypeError):
            continue
    return known
