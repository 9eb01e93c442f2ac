"""What needs no model: an engine that does not beat these has learnt nothing worth its time."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from minimix.engines import extract
from minimix.mixture.tasks import Example, target, to_sources
from minimix.overlap import rouge_l
from minimix.records import Answer, Task
from minimix.scoring import read

BEST_SOURCE = "best source, with hindsight"
CONCATENATION = "concatenation"
EXTRACTIVE = "extractive"
REFERENCE = "the reference itself"


def answer_half(task: Task, text: str) -> str:
    """Return what ROUGE-L and length look at: the response half for qa, else the whole answer.

    `text` is what stands inside `<answer>`.
    """
    return read(task, f"<answer>{text}</answer>").response


def best_source(example: Example) -> str:
    """Return the part nearest to the reference by ROUGE-L; ties go to the first."""
    task = example.task
    wanted = answer_half(task, example.reference)
    return max(task.parts, key=lambda part: rouge_l(answer_half(task, part), wanted))


def concatenation(example: Example) -> str:
    """Return the first question with all responses in a row; but for qa, all parts in lines."""
    if example.task.kind != "qa":
        return "\n".join(example.task.parts)
    sources = to_sources(example.task)
    return f"Q: {sources[0].prompt}\nA: {' '.join(source.response for source in sources)}"


def extractive(example: Example) -> str:
    """Return what the engine without a model writes: the longest part and all new sentences."""
    return extract.fuse(example.task.parts).removeprefix("<answer>").removesuffix("</answer>")


BASELINES: Mapping[str, Callable[[Example], str]] = {
    BEST_SOURCE: best_source,
    CONCATENATION: concatenation,
    EXTRACTIVE: extractive,
    REFERENCE: lambda example: example.reference,
}
"""Ways to answer a task; the reference is no rival, but shows what a perfect answer scores."""


def answer(example: Example, text: str) -> Answer:
    """Return `text` as a finished answer in all the tags that the task asks for."""
    task = replace(example.task, reference=text)
    return Answer(0, 0, target(replace(example, task=task)), "stop")
