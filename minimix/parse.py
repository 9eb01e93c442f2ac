"""Model text to a draft, tolerant in what it reads and exact in what it calls well-formed.

An untrained model forgets its tags and a trained one must not: both give a draft, and each
departure is a named problem, which costs format reward (PAPER, Training the distiller).
"""

import re
from collections.abc import Callable
from dataclasses import replace

from minimix.records import Draft, Kind, Task

THINK = re.compile(r"\s*<think>(.*?)</think>\s*", re.DOTALL)
OPEN = "<answer>"
CLOSE = "</answer>"
UNCLOSED = f"no {CLOSE}"
"""The problem of an answer that does not end, most often because it was cut."""
TAGS = re.compile(r"</?(?:answer|think)>")
LABEL_Q = re.compile(r"^\s*Q(?:uestion)?:\s*", re.IGNORECASE)
BLANK = r"[^\S\n]*"
"""White space within a line: what may run over lines is tried from each of them, and takes hours
on a text of nothing else."""
LABEL_A = re.compile(rf"\n{BLANK}A(?:nswer)?:\s*", re.IGNORECASE)
SECOND = re.compile(rf"\n{BLANK}Q(?:uestion)?:", re.IGNORECASE)
OPTIONS = [re.compile(r"\s*Q:"), *(re.compile(rf"\n{BLANK}{letter}\)") for letter in "ABCD")]
"""Each is looked for behind the one before."""
VERDICT = re.compile(rf"(?:^|\n){BLANK}Answer:\s*", re.IGNORECASE)
CATEGORY, STATEMENT = re.compile(r"\s*C:\s*"), re.compile(rf"\n{BLANK}S:\s*")

Halves = tuple[str, str, tuple[str, ...]]


def parse(task: Task, text: str) -> Draft:
    """Return what `text` answers to `task`; `problems` says how it departs from what was asked."""
    thought, rest, problems = _thought(text, wanted=task.think)
    answer, tagged = _answer(rest)
    prompt, response, inner = INNER[task.kind](answer)
    return Draft(answer, prompt, response, thought, (*problems, *tagged, *inner))


def as_read(draft: Draft, kind: Kind) -> Draft:
    """Return a draft as samples of its kind are read: but for qa, the response holds all of it."""
    return draft if kind == "qa" else replace(draft, prompt="", response=draft.answer)


def _thought(text: str, *, wanted: bool) -> tuple[str, str, tuple[str, ...]]:
    found = THINK.match(text)
    if found and wanted:
        return found[1].strip(), text[found.end() :], ()
    if found:
        return found[1].strip(), text[found.end() :], ("<think> was not asked for",)
    return "", text, ("no <think>",) if wanted else ()


def _answer(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the text of the answer, and what is wrong with its tags."""
    problems = []
    before, opened, rest = text.partition(OPEN)
    if not opened:
        problems.append("no <answer>")
        rest = text
    elif before.strip():
        problems.append("text before <answer>")
    inside, closed, after = rest.partition(CLOSE)
    if not closed:
        problems.append(UNCLOSED)
    elif after.strip():
        problems.append("text after </answer>")
    return TAGS.sub("", inside).strip(), tuple(problems)


def _qa(answer: str) -> Halves:
    label = LABEL_Q.match(answer)
    body = answer[label.end() :] if label else answer
    problems = [] if label else ["no Q:"]
    cut = SECOND.search(body)
    if cut:
        problems.append("a second Q:")
        body = body[: cut.start()]
    found = LABEL_A.search(body)
    if not found:
        return "", body.strip(), (*problems, "no A:")
    prompt, response = body[: found.start()].strip(), body[found.end() :].strip()
    if not prompt or not response:
        problems.append("an empty half")
    return prompt, response, tuple(problems)


def _mcq(answer: str) -> Halves:
    verdict = max(VERDICT.finditer(answer), key=re.Match.start, default=None)
    if not verdict or not _has_options(answer[: verdict.start()]):
        return "", answer, ("not in the form Q: A) B) C) D) Answer:",)
    prompt = LABEL_Q.sub("", answer[: verdict.start()], count=1)
    return prompt.strip(), answer[verdict.end() :].strip(), ()


def _has_options(text: str) -> bool:
    first, *others = OPTIONS
    found = first.match(text)
    for option in others:
        found = found and option.search(text, found.end())
    return bool(found)


def _tfq(answer: str) -> Halves:
    verdict = VERDICT.search(answer)
    if not verdict:
        return "", answer, ("no Answer:",)
    return answer[: verdict.start()].strip(), answer[verdict.end() :].strip(), ()


def _cs(answer: str) -> Halves:
    label = CATEGORY.match(answer)
    found = STATEMENT.search(answer, label.end() + 1) if label else None
    if not label or not found or not answer[found.end() :]:
        return "", answer, ("not in the form C: S:",)
    return answer[label.end() : found.start()].strip(), answer[found.end() :].strip(), ()


def _para(answer: str) -> Halves:
    return "", answer, () if answer else ("an empty answer",)


INNER: dict[str, Callable[[str], Halves]] = {
    "qa": _qa,
    "mcq": _mcq,
    "tfq": _tfq,
    "cs": _cs,
    "para": _para,
}
