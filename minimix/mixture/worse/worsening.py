"""How a sample of each kind is made worse: what it says, and what makes it one of its kind."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from minimix.mixture.text.wording import clauses
from minimix.mixture.worse import harms
from minimix.mixture.worse.content import Content
from minimix.mixture.worse.harms import Severity
from minimix.records import Kind

EMPTY_OPTIONS = ("none", "all of them", "not sure", "something else", "-", "other")
BROAD = ("Things", "General", "Topic", "Facts", "Information")
"""Categories that say nothing."""
SPOILT = (0.15, 0.40, 0.65, 0.85, 1.0)
"""Share of the distractors that are spoilt, by depth."""
UNEXPLAINED = (0.05, 0.20, 0.45, 0.65, 0.80)
MUTE = (0.05, 0.12, 0.25, 0.35, 0.35)
"""Chance that the answer says less than it should, or nothing."""
FALSE = (0.0, 0.0, 0.04, 0.15, 0.60)
"""Chance that the answer is the wrong one."""
MISFILED = (0.02, 0.08, 0.2, 0.4, 0.7)
MISSING = (0.05, 0.10, 0.15, 0.20, 0.25)
"""Chance of a spoilt distractor to be gone; most stay, so that few are ill-formed for it."""
BROKEN, CUT = (0.0, 0.03, 0.12, 0.25, 0.45), 0.5
"""Chance of a question to break off, and the share of it that is lost then."""
HEAD = 0.4
"""A question suffers this much of what its answer suffers."""


@dataclass(frozen=True)
class Worsening:
    """What one sample is made worse with: `strange` are sentences, `heads` heads of others."""

    depth: int
    harm: Severity
    rng: np.random.Generator
    strange: Sequence[str]
    heads: Sequence[str]

    def strikes(self, chances: Sequence[float]) -> bool:
        """Return whether something that has a chance by depth happens."""
        return bool(self.rng.random() < chances[self.depth - 1])

    def one_of(self, choices: Sequence[str]) -> str:
        """Return one of `choices`."""
        return harms.pick(choices, self.rng)


def _plain(content: Content, by: Worsening) -> Content:
    return replace(content, sentences=_body(content.sentences, by))


def _qa(content: Content, by: Worsening) -> Content:
    return replace(content, head=_head(content.head, by), sentences=_body(content.sentences, by))


def _cs(content: Content, by: Worsening) -> Content:
    head = content.head
    if by.strikes(MISFILED):
        others = [other for other in by.heads if other != head]
        head = by.one_of(others if others and by.rng.random() < HEAD else BROAD)
    return replace(content, head=head, sentences=_body(content.sentences, by))


def _tfq(content: Content, by: Worsening) -> Content:
    verdict = content.verdict
    if by.strikes(FALSE):
        verdict = "False" if verdict == "True" else "True"
    elif by.strikes(MUTE):
        verdict = ""
    sentences = () if by.strikes(UNEXPLAINED) else content.sentences
    return replace(
        content, head=_head(content.head, by), verdict=verdict, sentences=_body(sentences, by)
    )


def _mcq(content: Content, by: Worsening) -> Content:
    right, verdict = content.right, content.verdict
    options = _options(content.options, right, by)
    wrong = [f"{letter}) {text}" for letter, text in options if letter != right]
    if by.strikes(FALSE) and wrong:
        verdict = by.one_of(wrong)
    elif by.strikes(MUTE):
        verdict = right if by.rng.random() < 1 - HEAD else ""
    return replace(
        content,
        head=_head(content.head, by),
        options=options,
        verdict=verdict,
        sentences=_body(content.sentences, by),
    )


def _options(
    options: Sequence[tuple[str, str]], right: str, by: Worsening
) -> tuple[tuple[str, str], ...]:
    """Return the options, distractors among them lost, empty or said twice."""
    texts = [text for _, text in options]
    wrong = [letter for letter, _ in options if letter != right]
    count = int(SPOILT[by.depth - 1] * len(wrong) + by.rng.random())
    spoilt = [wrong[number] for number in by.rng.permutation(len(wrong))[:count]]
    made = []
    for letter, text in options:
        if letter not in spoilt:
            made.append((letter, harms.surface([text], by.harm, by.rng)[0]))
        elif not by.strikes(MISSING):
            made.append((letter, by.one_of([*EMPTY_OPTIONS, *texts])))
    return tuple(made)


def _head(head: str, by: Worsening) -> str:
    """Return a question or statement that suffers less than what answers it."""
    milder = {field.name: HEAD * getattr(by.harm, field.name) for field in fields(by.harm)}
    text = harms.blur(head, milder["blurred"], by.rng)
    text = harms.drop_words(text, milder["dropped"], by.rng)
    text = harms.cut_short(text, CUT) if by.strikes(BROKEN) else text
    return harms.surface([text], Severity(**milder), by.rng)[0]


def _body(sentences: Sequence[str], by: Worsening) -> tuple[str, ...]:
    """Return sentences fewer, vaguer and noisier; a lone one loses clauses."""
    harm, rng = by.harm, by.rng
    units = clauses(sentences[0]) if len(sentences) == 1 else tuple(sentences)
    made = harms.lose(units, harm.lost, rng) if units else []
    if rng.random() < harm.shuffled:
        made = [made[number] for number in rng.permutation(len(made))]
    made = [harms.blur(unit, harm.blurred, rng) for unit in made]
    made = [harms.put_wrong_figures(unit, harm.wrong, rng) for unit in made]
    made = [harms.drop_words(unit, harm.dropped, rng) for unit in made]
    count = int(harm.padded * max(1, len(units)) + rng.random())
    return tuple(harms.surface(harms.pad(made, count, by.strange, rng), harm, rng))


WORSE: dict[Kind, Callable[[Content, Worsening], Content]] = {
    "qa": _qa,
    "mcq": _mcq,
    "tfq": _tfq,
    "cs": _cs,
    "para": _plain,
}
