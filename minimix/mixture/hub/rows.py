"""A row of MIXTURE as an example: its cluster is one text already, its columns vary a little.

A target in another form than its kind's is not mended but left out; only the labels of a well-made
one may stand on lines of their own here that shared a line there.
"""

import re
from collections.abc import Mapping
from typing import Any

from minimix.kinds import Record
from minimix.mixture.tasks import Example, target
from minimix.parse import parse
from minimix.records import Draft, Kind, Task

MADE = "MIXTURE"
KIND_NAMES: Mapping[str, Kind] = {
    "qa": "qa",
    "mcq": "mcq",
    "tfq": "tfq",
    "tf": "tfq",
    "cs": "cs",
    "para": "para",
    "paragraph": "para",
}
KIND_COLUMNS = ("task_type", "source", "type", "kind", "task")
ASKS: Mapping[Kind, re.Pattern[str]] = {
    "mcq": re.compile(r"multiple[- ]choice|\bmcqs?\b", re.IGNORECASE),
    "tfq": re.compile(r"true[ -]?(?:/|or|-)[ -]?false", re.IGNORECASE),
    "cs": re.compile(r"categor", re.IGNORECASE),
    "qa": re.compile(r"question", re.IGNORECASE),
    "para": re.compile(r"paragraph", re.IGNORECASE),
}
"""How the instructions of each kind can be told; a multiple-choice question is a question, too."""
TAG = re.compile(r"<\s*+(/?)\s*+(answer|think)\s*+>", re.IGNORECASE)
BLANKS = r"(?<![^\S\n])[^\S\n]++"
"""All of them at once: from each in turn, a line of nothing else would take hours."""
SHARED_LINE: Mapping[Kind, tuple[re.Pattern[str], int]] = {
    "qa": (re.compile(rf"{BLANKS}(?=A:)"), 1),
    "mcq": (re.compile(rf"{BLANKS}(?=[A-D]\) |Answer:)"), 0),
    "tfq": (re.compile(rf"{BLANKS}(?=Answer:)"), 1),
    "cs": (re.compile(rf"{BLANKS}(?=S:)"), 1),
}
"""What stands before a label that begins no line, and how many of them may (0: all)."""
NO_KIND, NO_INPUT, NO_OUTPUT = "no kind", "no input", "no output"
UNREAD = "unreadable"


def kind_of(record: Record) -> Kind | None:
    """Return the kind that a row says it is of, or that its instruction asks for; None for none."""
    row = _fields(record)
    for column in KIND_COLUMNS:
        name = _text(row, column).lower().removesuffix("_mixup")
        if name in KIND_NAMES:
            return KIND_NAMES[name]
    asked = _text(row, "instruction")
    return next((kind for kind, pattern in ASKS.items() if pattern.search(asked)), None)


def to_example(record: Record, kind: Kind | None, *, think: bool = True) -> Example | str:
    """Return a row as an example of its kind, or why it is none.

    The target's tags may be there or not, in any case. Reasoning comes from `cot` or from the
    target, and asks for `<think>`, unless not `think`.
    """
    row = _fields(record)
    if kind is None:
        return UNREAD if record.row is None else NO_KIND
    given, output = _text(row, "input"), _text(row, "output")
    if not given or not output:
        return UNREAD if record.row is None else NO_INPUT if not given else NO_OUTPUT
    draft = _draft(kind, output)
    thought = (TAG.sub("", _text(row, "cot")).strip() or draft.thought) if think else ""
    problems: tuple[str, ...] = ()
    for answer in (draft.answer, _on_lines(kind, draft.answer)):
        task = Task(kind, (given,), answer, think=bool(thought))
        example = Example(task, MADE, (record.place,), thought)
        found = parse(task, target(example)).problems
        if not found:
            return example
        problems = problems or found
    return f"ill-formed: {problems[0]}"


def _draft(kind: Kind, output: str) -> Draft:
    """Return a target's two parts, whatever its tags look like."""
    text = TAG.sub(lambda tag: f"<{tag[1]}{tag[2].lower()}>", output)
    if "<answer>" not in text:
        before, closed, after = text.rpartition("</think>")
        text = f"{before}{closed}<answer>{after}</answer>"
    return parse(Task(kind, (), think=True), text)


def _on_lines(kind: Kind, answer: str) -> str:
    """Return a target with every label of its kind at the start of a line."""
    if kind not in SHARED_LINE:
        return answer
    pattern, count = SHARED_LINE[kind]
    return pattern.sub("\n", answer, count=count)


def _fields(record: Record) -> dict[str, Any]:
    return {str(name).strip().lower(): value for name, value in (record.row or {}).items()}


def _text(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    return value.strip() if isinstance(value, str) else ""
