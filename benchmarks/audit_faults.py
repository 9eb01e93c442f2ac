"""One planted fault in a faithful fusion, for benchmarks/audit.py; no code of the audit's."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from audit_cases import Case, draft, sentences

MONTH = "January February March April May June July August September October November December"
MONTHS = MONTH.split()
DATE = re.compile(
    rf"(?:\d{{1,2}}(?:st|nd|rd|th)? )?(?:{'|'.join(MONTHS)})"
    r"(?: \d{1,2}(?:st|nd|rd|th)?\b)?(?:,? \d{4})?"
    r"|\b(?:1[0-9]|20)\d\d\b(?!s)"
)
SPELT = "two three four five six seven eight nine ten eleven twelve fifteen twenty thirty".split()
NUMBER = re.compile(
    rf"(?<![\w.,/:-])\d+(?:,\d{{3}})*(?:\.\d+)?(?![\w/:-]|[.,]\d)|\b(?:{'|'.join(SPELT)})\b(?!-)"
)
MARK = re.compile(r"^\W*\d{1,2}[.):]?\s|^\W*\d{1,2}[.)]", re.MULTILINE)
NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z][\w'\u2019]*(?: [A-Z][\w'\u2019]+)*")
NO_NAMES = {
    *MONTHS,
    *"The They She He It We You This These In For And But As A An".split(),
    *"Our My Their His Her If When What Why How Since Whether".split(),
    *"Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
    "I",
}
HELPERS = (
    "is|are|was|were|do|does|did|has|have|had|can|could|should|would|will|may|might|must|be|but|and"
)
SHORTENED = "do|does|did|is|are|was|were|has|have|should|would|could"
REMOVED = (
    (re.compile(r"\bcannot\b"), "can"), (re.compile(r"\b(ca)n['\u2019]t\b"), "can"),
    (re.compile(rf"\b({SHORTENED})n['\u2019]t\b"), r"\1"),
    (re.compile(rf"\b({HELPERS}) not (?!only|just|necessarily)"), r"\1 "),
    (re.compile(r"\bnever "), ""), (re.compile(r"\bwithout\b"), "with"),
)  # fmt: skip
INSERTED = re.compile(
    r"\b(is|are|was|were|can|could|should|will|would|has been|have been|must)\b"
    r"(?! not\b|n['\u2019]t)"
)
NEGATED = re.compile(r"\b(?:not|never|no|without|cannot|nor|neither|none|\w+n['\u2019]t)\b", re.I)
CLAUSE = re.compile(
    r"(?:,|;) (?:and|but|which|who|where|while|as|so|although|because|including|with) "
    r"[^,.;:!?()\n]{20,}(?=[.;\n]|$)"
)
FIGURE = re.compile(
    r",? (?:in|on|of|about|around|by|with|for|at|from|since|until|over|within|after) "
    r"(?:\w+ ){0,2}\d[\d,]*(?:\.\d+)?%?(?: [a-z]+)?(?=[ ,.;])"
)
SMALL = frozenset(
    """a an the of in on at to and or by for from with as is was were are be been it its this that
    these those he she they his her their which who not can will would has have had you your i we
    our also but if than then so such more most other some any all one into about""".split()
)


@dataclass(frozen=True)
class Fault:
    """A case with one fault in its draft. `words` are what was there and what came instead."""

    case: Case
    sort: str
    swapped: bool
    words: tuple[str, str]
    restated: bool = False


def plant(case: Case, sort: str, names: Sequence[str], rng: random.Random) -> Fault | None:
    """Return the case with one fault of a sort, None where its draft gives no room for it."""
    return PLANTERS[sort](case, names, rng)


def names_in(text: str) -> list[str]:
    """Return the names within the sentences of `text`."""
    return [found for found in NAME.findall(text) if not NO_NAMES & set(found.split())]


def _number(case: Case, _names: Sequence[str], rng: random.Random) -> Fault | None:
    text = case.draft.response
    taken = [found.span() for found in (*MARK.finditer(text), *DATE.finditer(text))]
    spots = [
        m for m in NUMBER.finditer(text) if not any(a < m.end() and m.start() < b for a, b in taken)
    ]
    others = [
        m[0]
        for s in case.sources
        for m in NUMBER.finditer(DATE.sub(" ", MARK.sub(" ", s.response)))
    ]
    return _change(case, "number", spots, (others, lambda old: _fresh_number(old, rng)), rng)


def _date(case: Case, _names: Sequence[str], rng: random.Random) -> Fault | None:
    spots = list(DATE.finditer(case.draft.response))
    others = [m[0] for s in case.sources for m in DATE.finditer(s.response)]
    return _change(case, "date", spots, (others, lambda old: _fresh_date(old, rng)), rng)


def _name(case: Case, names: Sequence[str], rng: random.Random) -> Fault | None:
    text = case.draft.response
    spots = [m for m in NAME.finditer(text) if not NO_NAMES & set(m[0].split())]
    others = [name for s in case.sources for name in names_in(s.response)]

    def fresh(old: str) -> str:
        like = [name for name in rng.sample(names, 200) if len(name.split()) == len(old.split())]
        return like[0] if like else rng.choice(names)

    return _change(case, "name", spots, (others, fresh), rng)


def _change(
    case: Case,
    sort: str,
    spots: Sequence[re.Match[str]],
    offers: tuple[Sequence[str], Callable[[str], str]],
    rng: random.Random,
) -> Fault | None:
    """Change what stands at one of the spots: by one of the sources' in every third case."""
    if not spots:
        return None
    spot, (others, fresh) = rng.choice(list(spots)), offers
    old, text = spot[0], case.draft.response
    if rng.random() < 1 / 3:
        far = [m for m in spots if _apart(text, spot, m)]
        likely = [one for one in others if _other(one, old) and _same_shape(one, old)]
        if far and rng.random() < 0.5:
            return _exchange(case, sort, spot, rng.choice(far))
        if likely:
            new = rng.choice(likely)
            return _at(case, sort, spot.span(), new, swapped=True)
    all_sources = " ".join(s.text for s in case.sources).lower() + " " + case.draft.answer.lower()
    for _ in range(20):
        new = fresh(old)
        if not any(re.search(rf"\b{re.escape(w)}\b", all_sources) for w in new.lower().split()) or (
            sort == "date" and new.lower() not in all_sources
        ):
            return _at(case, sort, spot.span(), new, swapped=False)
    return None


def _other(one: str, old: str) -> bool:
    return not set(one.lower().split()) & set(old.lower().split())


def _same_shape(one: str, old: str) -> bool:
    return one[0].isdigit() == old[0].isdigit() and ("," in one) == ("," in old)


def _apart(text: str, one: re.Match[str], other: re.Match[str]) -> bool:
    """Return whether two facts may be exchanged: differing, and no neighbours in a list."""
    if not (_other(one[0], other[0]) and _same_shape(one[0], other[0])):
        return False
    first, second = sorted([one.span(), other.span()])
    between = [w for w in re.findall(r"[a-z]{3,}", text[first[1] : second[0]]) if w not in SMALL]
    return len(between) >= 2


def _exchange(case: Case, sort: str, one: re.Match[str], other: re.Match[str]) -> Fault:
    first, second = sorted([one, other], key=re.Match.start)
    text = case.draft.response
    new = (
        text[: first.start()] + second[0] + text[first.end() : second.start()] + first[0]
        + text[second.end() :]
    )  # fmt: skip
    return Fault(_with(case, new), sort, True, (first[0], second[0]))


def _at(case: Case, sort: str, span: tuple[int, int], new: str, *, swapped: bool) -> Fault:
    text = case.draft.response
    changed = text[: span[0]] + new + text[span[1] :]
    return Fault(_with(case, changed), sort, swapped, (text[span[0] : span[1]], new))


def _with(case: Case, response: str) -> Case:
    return replace(case, draft=draft(case.draft.prompt, response))


def _fresh_number(old: str, rng: random.Random) -> str:
    if old in SPELT:
        return rng.choice([word for word in SPELT if word != old])
    digits = [at for at, letter in enumerate(old) if letter.isdigit()]
    at = rng.choice(digits)
    new = rng.choice([d for d in "123456789" if d != old[at]])
    return old[:at] + new + old[at + 1 :]


def _fresh_date(old: str, rng: random.Random) -> str:
    parts = re.findall(r"\d{4}|\d{1,2}|[A-Z]\w+", old)
    part = rng.choice(parts)
    if part in MONTHS:
        new = rng.choice([month for month in MONTHS if month != part])
    elif len(part) == 4:
        new = str(int(part) + rng.choice([-30, -7, -2, -1, 1, 3, 8, 20]))
    else:
        new = str(rng.choice([day for day in range(1, 29) if str(day) != part]))
    return old.replace(part, new, 1)


def _negation(case: Case, _names: Sequence[str], rng: random.Random) -> Fault | None:
    text = case.draft.response
    removals = [
        (m.span(), m.expand(new)) for pattern, new in REMOVED for m in pattern.finditer(text)
    ]
    insertions = []
    for m in INSERTED.finditer(text):
        rest = re.split(r"[.!?\n;]", text[m.end() :])[0]
        start = max(text.rfind(mark, 0, m.start()) for mark in ".!?\n;")
        if len(rest.split()) > 1 and not NEGATED.search(text[start + 1 : m.start()] + rest):
            new = (
                "cannot"
                if m[0] == "can"
                else m[0].replace(" ", " not ")
                if " " in m[0]
                else f"{m[0]} not"
            )
            insertions.append((m.span(), new))
    chosen = removals if removals and (rng.random() < 0.6 or not insertions) else insertions
    if not chosen:
        return None
    span, new = rng.choice(chosen)
    sort = "negation"
    return replace(_at(case, sort, span, new, swapped=False), restated=chosen is removals)


def _removal(case: Case, _names: Sequence[str], rng: random.Random) -> Fault | None:
    text = case.draft.response
    spans = []
    for sentence in sentences(text):
        at = text.find(sentence)
        if len(sentence.split()) >= 5 and len(sentence) < 0.7 * len(text):
            spans.append((at, at + len(sentence)))
    spans += [m.span() for m in CLAUSE.finditer(text)]
    figures = [m.span() for m in FIGURE.finditer(text)]
    good = [s for s in spans if _is_only(text, s)]
    good_figures = [s for s in figures if _figure_only(text, s)]
    chosen = good_figures if good_figures and rng.random() < 0.25 else good
    if not chosen:
        return None
    span = rng.choice(chosen)
    return _at(case, "removal", span, "", swapped=False)


def _content(text: str) -> set[str]:
    return {w[:6] for w in re.findall(r"[a-z0-9]{3,}", text.lower()) if w not in SMALL}


def _is_only(text: str, span: tuple[int, int]) -> bool:
    """Return whether at least three content words, and half of them, stand nowhere else."""
    own = _content(text[span[0] : span[1]])
    rest = _content(text[: span[0]] + " " + text[span[1] :])
    return len(own - rest) >= 3 and 2 * len(own - rest) >= len(own)


def _figure_only(text: str, span: tuple[int, int]) -> bool:
    (figure, *_) = re.findall(r"\d[\d,.]*\d|\d", text[span[0] : span[1]])
    return text.count(figure) == 1


PLANTERS: dict[str, Callable[[Case, Sequence[str], random.Random], Fault | None]] = {
    "number": _number,
    "name": _name,
    "date": _date,
    "negation": _negation,
    "removal": _removal,
}
