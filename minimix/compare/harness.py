"""Students in EleutherAI's lm-evaluation-harness: its tasks, or some that a local folder defines.

Everything it needs lies in the extra `eval`. Data sets are those that a task names: on the hub, or
files of one's own where there is no hub.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from minimix.disk import atomic
from minimix.errors import DataError, brief
from minimix.extras import need
from minimix.train import backends
from minimix.train.base import base_folder

RESULT = "harness.json"
BATCH = 8
UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError, IndexError, AttributeError)
"""What the harness raises on tasks and data that it cannot read."""


@dataclass(frozen=True, slots=True)
class Scores:
    """A student on one task: the measure, and its value for each question, in one order."""

    measure: str
    values: tuple[float, ...]


def harness(
    base: str,
    adapter: Path,
    tasks: Sequence[str],
    folder: Path,
    *,
    definitions: str = "",
    limit: int = 0,
) -> dict[str, Scores]:
    """Return what the harness gives a base with an adapter on each of `tasks`; kept in `folder`.

    Tasks that `folder` holds the scores of are not run again. `definitions` is a folder of task
    files; `limit` questions of each, 0 for all. Raises DataError where the harness cannot run one.
    """
    path = folder / RESULT
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known = dict(kept.get(f"{definitions} {limit}", {}))
    missing = [task for task in tasks if task not in known]
    if missing:
        made = _run(base, adapter, missing, definitions=definitions, limit=limit)
        known |= {task: asdict(scores(made, task)) for task in missing}
        with atomic(path) as file:
            json.dump({**kept, f"{definitions} {limit}": known}, file)
    return {task: Scores(known[task]["measure"], tuple(known[task]["values"])) for task in tasks}


def scores(made: Mapping[str, Any], task: str) -> Scores:
    """Return the first measure of each question of a task, or of all tasks of a group.

    Raises DataError where it is no number question by question, as of some rankings.
    """
    found: dict[tuple[str, int], float] = {}
    measure = ""
    for name in made.get("group_subtasks", {}).get(task) or [task]:
        for sample in made["samples"][name]:
            measure = measure or sample["metrics"][0]
            value = sample.get(measure)
            if not isinstance(value, int | float):
                raise DataError(f"lm-eval {task}: expected a number for {measure}, found {value!r}")
            found.setdefault((name, sample["doc_id"]), float(value))  # of several filters the first
    return Scores(measure, tuple(found[key] for key in sorted(found)))


def _run(
    base: str, adapter: Path, tasks: Sequence[str], *, definitions: str, limit: int
) -> Mapping[str, Any]:
    evaluator = need("lm_eval.evaluator", extra="eval")
    managers = need("lm_eval.tasks", extra="eval")
    given = {
        "pretrained": base_folder(base),
        "peft": str(adapter),
        "dtype": backends.precision(),
        "trust_remote_code": False,
    }
    try:
        made: Mapping[str, Any] = evaluator.simple_evaluate(
            model="hf",
            model_args=given,
            tasks=list(tasks),
            task_manager=managers.TaskManager(include_path=definitions or None),
            device="cuda" if backends.has_gpu() else "cpu",
            batch_size=BATCH,
            limit=limit or None,
            bootstrap_iters=0,  # intervals are ours, over questions and students
        )
    except UNREADABLE as error:
        raise DataError(f"lm-eval {', '.join(tasks)}: cannot be run ({brief(error)})") from error
    return made
