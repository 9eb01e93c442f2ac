"""A sample taken apart by its kind, and put together again.

What can be lost of a sample depends on its kind: a sentence of an answer, a distractor, the word
that says true or false.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from minimix.mixture.text.wording import joined, sentences
from minimix.parse import parse
from minimix.records import Draft, Kind, Sample, Task

OPTION = re.compile(r"\n\s*([A-D])\)\s*")
LETTERED = re.compile(r"([A-D])(?:[).:]|$)")
VERDICT = re.compile(r"(true|false)\b[.:,;]?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Content:
    """What a sample holds.

    `head` is its question, statement or category; `options` are (letter, text); `verdict` is the
    right option or True or False; `sentences` are those of its answer, explanation or paragraph.
    `form` is its kind, or "para" where it is not well-formed: all of it is sentences then.
    """

    form: Kind
    head: str = ""
    options: tuple[tuple[str, str], ...] = ()
    verdict: str = ""
    sentences: tuple[str, ...] = ()

    @property
    def right(self) -> str:
        """The letter of the right option, "" where the verdict names none."""
        lettered = LETTERED.match(self.verdict)
        if lettered:
            return lettered[1]
        return next((letter for letter, text in self.options if text == self.verdict), "")


def take_apart(sample: Sample) -> Content:
    """Return what a sample holds, by its kind."""
    if sample.kind == "qa":
        return Content("qa", sample.instruction, sentences=sentences(sample.response))
    draft = parse(Task(sample.kind, ()), f"<answer>{sample.response}</answer>")
    if sample.kind == "para" or draft.problems:
        return Content("para", sentences=sentences(sample.response))
    return APART[sample.kind](draft)


def put_together(sample: Sample, content: Content) -> Sample:
    """Return the sample with `content` in place of its own."""
    if content.form == "qa":
        return replace(sample, instruction=content.head, response=joined(content.sentences))
    return replace(sample, response=TOGETHER[content.form](content))


def _mcq(draft: Draft) -> Content:
    question, *pieces = OPTION.split(draft.prompt)
    options = tuple(zip(pieces[::2], map(str.strip, pieces[1::2]), strict=True))
    verdict, _, rest = draft.response.partition("\n")
    return Content("mcq", question.strip(), options, verdict.strip(), sentences(rest))


def _tfq(draft: Draft) -> Content:
    found = VERDICT.match(draft.response)
    verdict, rest = (found[1], draft.response[found.end() :]) if found else ("", draft.response)
    return Content("tfq", draft.prompt, verdict=verdict.capitalize(), sentences=sentences(rest))


def _cs(draft: Draft) -> Content:
    return Content("cs", draft.prompt, sentences=sentences(draft.response))


def _mcq_text(content: Content) -> str:
    lines = [f"Q: {content.head}", *(f"{letter}) {text}" for letter, text in content.options)]
    lines += [f"Answer: {content.verdict}"] if content.verdict else []
    return "\n".join([*lines, joined(content.sentences)]).strip()


def _tfq_text(content: Content) -> str:
    verdict = f"Answer: {content.verdict}." if content.verdict else ""
    return f"{content.head}\n{verdict} {joined(content.sentences)}".replace("\n ", "\n").strip()


def _cs_text(content: Content) -> str:
    category = f"C: {content.head}\n" if content.head else ""
    return f"{category}S: {joined(content.sentences)}"


def _para_text(content: Content) -> str:
    return joined(content.sentences)


APART: dict[Kind, Callable[[Draft], Content]] = {"mcq": _mcq, "tfq": _tfq, "cs": _cs}
TOGETHER: dict[Kind, Callable[[Content], str]] = {
    "mcq": _mcq_text,
    "tfq": _tfq_text,
    "cs": _cs_text,
    "para": _para_text,
}
