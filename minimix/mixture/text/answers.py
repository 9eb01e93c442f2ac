"""What sort of thing an answer is, so that a wrong one can be of the same sort.

A reader tells a number from a name at a glance: a distractor of another sort gives the right
answer away.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minimix.mixture.text.figures import figures_like, shape_of
from minimix.mixture.text.wording import COUNTS, DATE, YEAR

ARTICLE = re.compile(r"^(?:a|an|the|its|their|his|her)\s+", re.IGNORECASE)
NAME_WORD = re.compile(r"[^\W\d_][\w'\u2019.-]*")
LINKS = frozenset("of the and de von van for in la le du a an on to".split())
PERSONS = frozenset(
    """king queen emperor president leader player author philosopher scientist actor inventor
    composer artist director coach quarterback writer person people man woman ruler engineer father
    singer poet pope general minister explorer chemist mathematician economist historian friend
    professor teacher student architect astronaut producer wife son daughter brother""".split()
)
PLACES = frozenset(
    """city country state region river town province continent nation area county place island lake
    location territory capital neighborhood suburb""".split()
)
GROUPS = frozenset(
    """team company network university organization party church school group college agency court
    institution museum league union dynasty tribe""".split()
)
ASKING = re.compile(r"\b(who|whom|whose|when|where|why|how|what|which)\b\s*(.*)", re.IGNORECASE)
LEADING = re.compile(r"^(?:(?:is|was|are|were|the|a|an|one|another|other|kind|type|sort)\s+)+")
NAMING = re.compile(r"^(?:name|names|term|title|word|example|types?|kinds?)\s+(?:of|for)\s+")
PHRASE_END = re.compile(
    r"\s(?:of|in|that|which|who|for|to|at|on|by|with|from|as|is|was|are|were|did|does|do|has|have|had"
    r"|can|could|would|will|used|called|named)\b|\?"
)
OPENERS = frozenset("to because by for in on at as from when with through be one".split())
ENDINGS = {
    "ing": "ing",
    "ly": "ly",
    "ed": "ed",
    "ss": "",
    "us": "",
    "is": "",
    "s": "s",
} | dict.fromkeys(("ic", "al", "ous", "ive", "ar", "able", "ary", "less", "ful"), "adjective")
LENGTHS = (1, 3, 6)
VOWELS = frozenset("aeiou")


@dataclass(frozen=True, slots=True)
class Asked:
    """An answer with the question it answers, "" where it is a gap to fill.

    `sentence` counts the passage's sentences from 0; `at` is where in it the answer begins.
    """

    question: str
    answer: str
    sentence: int = 0
    at: int = 0


def sort_of(asked: Asked, text: str) -> tuple[str, ...]:
    """Return what sort of thing answers a question: equal for two answers of one sort.

    Figures go by their shape ("# million", "#%"), names by what was asked for (a person, a river)
    and by whether `text` puts "the" before them, other words by their form and length.
    """
    answer = bare(asked.answer)
    if YEAR.fullmatch(answer):
        return ("year",)
    shape = shape_of(answer)
    if DATE.search(answer):
        return ("date", shape_of(DATE.sub("5", answer)))
    if shape and not shape.startswith("# of"):
        return ("figure", shape)
    if _is_name(answer):
        has_article = re.search(rf"\b[Tt]he {re.escape(answer)}", text) is not None
        return ("name", str(has_article), *_wanted(asked.question))
    size = sum(len(answer.split()) > length for length in LENGTHS)
    return ("words", str(size), _form(answer), _asking(asked.question)[0])


def distractors(
    asked: Asked, others: Sequence[Asked], text: str, rng: np.random.Generator
) -> tuple[str, ...]:
    """Return wrong answers to a question, of the sort of the right one, the likest first.

    They answer `others`, in random order; then, for a figure, come those of `text` in the right
    one's shape. None holds, or is held by, the right one or another, or stands in the question.
    """
    sort = sort_of(asked, text)
    same = [_like(asked.answer, one.answer) for one in others if sort_of(one, text) == sort]
    found = [same[number] for number in rng.permutation(len(same))]
    if sort[0] in {"year", "date", "figure"}:
        found = list(figures_like(bare(asked.answer), found, text, rng))
    chosen: list[str] = []
    for one in found:
        apart = not any(_overlap(one, other) for other in (asked.answer, *chosen))
        if apart and f" {plain(one)} " not in f" {plain(asked.question)} ":
            chosen.append(one)
    return tuple(chosen)


def tidy(answer: str) -> str:
    """Return an answer without the point after it."""
    return answer.strip().rstrip(".,;: ")


def bare(answer: str) -> str:
    """Return an answer without its article and the point after it."""
    return ARTICLE.sub("", tidy(answer))


def plain(text: str) -> str:
    """Return the words of a text in lower case, without its article."""
    return " ".join(re.findall(r"\w+", ARTICLE.sub("", text.lower().strip())))


def _asking(question: str) -> tuple[str, str]:
    """Return the asking word ("what" for "which" too), and what follows it."""
    found = ASKING.search(question)
    word = found[1].lower() if found else ""
    return "what" if word == "which" else word, found[2] if found else ""


def _wanted(question: str) -> tuple[str, str]:
    """Return what a question asks for: a person, a place, a group, else its noun."""
    word, rest = _asking(question)
    if word in {"who", "whom"}:
        return ("a", "person")
    if word == "where":
        return ("a", "place")
    noun = PHRASE_END.split(NAMING.sub("", LEADING.sub("", rest.lower())))[0].split()[-1:]
    last = noun[0].removesuffix("s") if noun else ""
    last = last.replace("citie", "city").replace("countrie", "country")
    classes = {"person": PERSONS, "place": PLACES, "group": GROUPS}
    return ("a", next((name for name, nouns in classes.items() if last in nouns), last))


def _is_name(text: str) -> bool:
    words = [word for word in NAME_WORD.findall(text) if word not in LINKS]
    return bool(words) and all(word[0].isupper() for word in words)


def _form(phrase: str) -> str:
    """Return how a phrase ends or begins, where that tells its part of speech."""
    first, last = phrase.split()[0].lower(), phrase.split()[-1].lower()
    if first in OPENERS:
        return first
    return next((form for ending, form in ENDINGS.items() if last.endswith(ending)), "")


def _overlap(one: str, other: str) -> bool:
    """Return whether one text is in the other, word by word."""
    first, second = f" {plain(one)} ", f" {plain(other)} "
    return first in second or second in first or not first.strip()


def _like(answer: str, other: str) -> str:
    """Return `other` with an article and a capital where `answer` has them."""
    found, text = ARTICLE.match(answer.strip()), bare(other)
    article = found[0].strip().lower() if found else ""
    if article in {"a", "an"}:
        article = "an" if text[:1].lower() in VOWELS else "a"
    if text.split(" ")[0].lower() in COUNTS:
        text = text[:1].lower() + text[1:]
    text = f"{article} {text}".strip()
    return text[:1].upper() + text[1:] if answer[:1].isupper() else text
