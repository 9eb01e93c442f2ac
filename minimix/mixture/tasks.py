"""Tasks with known good fusions on disk: what training and evaluation read, however it was made."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from minimix.disk import atomic
from minimix.errors import FormatError
from minimix.files import read_records
from minimix.parse import parse
from minimix.records import KINDS, Place, Sample, Task

SEVERAL = re.compile(r"\n[^\S\n]*\n(?=Q(?:uestion)?:)", re.IGNORECASE)
"""Between two question-answer pairs in one text."""
TRAIN, HELD_OUT = "train.jsonl", "held_out.jsonl"
"""The two files of a folder of tasks."""


@dataclass(frozen=True, slots=True)
class Example:
    """A task with its reference, and where both come from.

    `made` says how: "variants" of one sample, "neighbours" that ask different things, "MIXTURE",
    or a writer's name. `thought` is what the target says between the `<think>` tags, where the
    task asks for them.
    """

    task: Task
    made: str
    sources: tuple[Place, ...]
    thought: str = ""

    @property
    def reference(self) -> str:
        """The text inside `<answer>` of the target."""
        return self.task.reference or ""


def target(example: Example) -> str:
    """Return what a model should write, tags and all, in the form that `parse` reads."""
    answer = f"<answer>{example.reference}</answer>"
    return f"<think>{example.thought}</think>\n{answer}" if example.task.think else answer


def to_sources(task: Task) -> tuple[Sample, ...]:
    """Return what a task is made of as samples, for the audit.

    A question-answer part that holds several, as MIXTURE's rows do, gives several; text without a
    question is an answer alone.
    """
    pieces = [
        piece
        for part in task.parts
        for piece in (SEVERAL.split(part) if task.kind == "qa" else [part])
    ]
    return tuple(_to_sample(task, piece, number) for number, piece in enumerate(pieces))


def write_examples(path: Path, examples: Iterable[Example]) -> None:
    """Write examples as JSON lines that appear whole or not at all."""
    with atomic(path) as file:
        for example in examples:
            task = example.task
            row: dict[str, Any] = {
                "kind": task.kind,
                "parts": task.parts,
                "reference": task.reference,
            }
            row |= {"think": True, "thought": example.thought} if task.think else {}
            row |= {"made": example.made, "sources": [asdict(place) for place in example.sources]}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_examples(path: Path) -> tuple[Example, ...]:
    """Return the examples of a file in its order.

    Raises FormatError, with the line, for a row that is none.
    """
    examples = []
    for record in read_records(str(path)):
        try:
            examples.append(_example(record.row or {}))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            expected = "expected a task with kind, parts and reference"
            raise FormatError(f"{record.place}: {expected}, found {error!r}") from error
    return tuple(examples)


def _example(row: Mapping[str, Any]) -> Example:
    kind, parts, reference = row["kind"], tuple(row["parts"]), row["reference"]
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r}")
    if not parts or not all(isinstance(text, str) and text for text in (*parts, reference)):
        raise ValueError("a part or reference without text")
    think = bool(row.get("think", False))
    sources = tuple(Place(**place) for place in row.get("sources", ()))
    thought = str(row.get("thought", ""))
    return Example(Task(kind, parts, reference, think), str(row.get("made", "")), sources, thought)


def _to_sample(task: Task, part: str, number: int) -> Sample:
    place = (Place("", 0, number, ""),)
    if task.kind != "qa":
        return Sample("", part, place, kind=task.kind)
    draft = parse(Task("qa", ()), f"<answer>{part}</answer>")
    return Sample(draft.prompt, draft.response, place)
