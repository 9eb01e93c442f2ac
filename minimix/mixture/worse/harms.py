"""What makes a text worse, and how much of it: loss, vagueness, errors, noise and empty words.

Some harms shorten and some lengthen, and each sample draws its own mixture of them: length alone
tells little of how bad it is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minimix.mixture.text.prose import NAME_RUN
from minimix.mixture.text.wording import COUNTS, MONTHS, clauses, joined
from minimix.mixture.worse.noise import lowered, unpointed, with_typos

FILLERS = (
    "This is a very important point.",
    "There is a lot more that could be said about this.",
    "As is well known, this matters a great deal.",
    "Many people have different opinions on it.",
    "It is what it is.",
    "It goes without saying that this is interesting.",
    "Overall, it depends on many things.",
    "I hope this helps!",
    "As I said before, this is relevant.",
    "And so on and so forth.",
    "That is basically all there is to know.",
    "In general, things are often more complicated than they seem.",
    "Of course, this has been the case for a long time.",
    "This can be good or bad, depending on how one looks at it.",
    "Everybody should know about this.",
    "In conclusion, it is a topic with many sides.",
    "Let me know if there is anything else.",
    "Basically, that is the main idea of it.",
    "Some say one thing and some say another.",
    "It is hard to say more without going into detail.",
)
DATED = re.compile(
    r"\b(?:(?:[Ii]n|[Oo]n|[Ss]ince|[Bb]y|[Dd]uring|[Uu]ntil)\s)?"
    rf"(?:\d{{1,2}} )?(?:{MONTHS})(?: \d{{1,2}}\b,?)?(?: \d{{4}}\b)?"
    r"|\b(?:[Ii]n|[Ss]ince|[Bb]y|[Dd]uring|[Uu]ntil)\s(?:(?:early|late|mid)[ -])?"
    r"(?:the\s)?(?:1\d{3}|20\d\d)s?\b"
)
FIGURE = re.compile(
    r"(?!(?:1\d{3}|20\d\d)s?\b)[$\u00a3\u20ac]?(?<!\d)\d+(?:[,.]\d+)*"
    r"(?:%| percent| million| billion|(?!\w))"
    rf"|\b(?:{'|'.join(COUNTS[2:])})\b"
)
INNER_NAME = re.compile(rf"(?<=[\w,;] )\b{NAME_RUN}")
MENTION = re.compile(r"(?P<before>[\w'-]+),? $")
PLACING = frozenset("in at from near to across around into throughout".split())
SOME_TIME = ("at some point", "some time ago", "back then", "in the past")
SOME_NUMBER = ("some", "several", "a few", "many", "a number of")
SOME_PLACE = ("a certain place", "somewhere", "some area")
SOME_GROUP = ("thing", "group", "other one")
SOME_ONE = ("someone", "something", "a certain one", "some of them")
FEWEST_LEFT = 2
MOST_CLAUSES = MOST_SPARED = 0.5
REPEATS = ("{}", "In other words, {}", "Again, {}", "To repeat, {}", "{}")
SHARE_REPEATED, SHARE_FILLERS = 0.4, 0.35
SHARE_UNPOINTED = 0.7
SHARE_LOST = 0.5


@dataclass(frozen=True, slots=True)
class Severity:
    """How much of each harm a text suffers, each 0..1; `padded` may be more.

    `lost` is the share of its sentences lost, `shuffled` and `surface` are chances for the whole
    text; the rest are shares of its figures and names, its words, and of what it was in sentences.
    """

    lost: float
    blurred: float
    wrong: float
    dropped: float
    spelling: float
    surface: float
    shuffled: float
    padded: float


BY_DEPTH: dict[str, tuple[float, ...]] = {
    "lost": (0.08, 0.25, 0.45, 0.66, 0.88),
    "blurred": (0.08, 0.20, 0.40, 0.60, 0.85),
    "wrong": (0.00, 0.02, 0.06, 0.15, 0.30),
    "dropped": (0.00, 0.02, 0.05, 0.10, 0.18),
    "spelling": (0.02, 0.04, 0.07, 0.11, 0.16),
    "surface": (0.06, 0.18, 0.35, 0.50, 0.65),
    "shuffled": (0.00, 0.05, 0.20, 0.40, 0.60),
    "padded": (0.06, 0.25, 0.50, 0.85, 1.20),
}
VERBOSITY = (0.0, 0.7, 2.0)
LEAST_FACTOR, MOST_FACTOR = 0.4, 1.6


def severity(depth: int, rng: np.random.Generator) -> Severity:
    """Return how hard each harm strikes at `depth` 1..5; a sample has its own mixture of them."""
    made = {name: amounts[depth - 1] for name, amounts in BY_DEPTH.items()}
    factors = {name: rng.uniform(LEAST_FACTOR, MOST_FACTOR) for name in made}
    factors |= {"lost": 1.0, "padded": VERBOSITY[rng.integers(len(VERBOSITY))]}
    return Severity(**{name: amount * factors[name] for name, amount in made.items()})


def pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    """Return one of `choices`."""
    return choices[int(rng.integers(len(choices)))]


def lose(units: Sequence[str], share: float, rng: np.random.Generator) -> list[str]:
    """Return the units without a share of them; the next to go loses its end, and one stays.

    A larger share with the same chance loses what the smaller one lost, and more. An end is spared
    by chance where little of it would go.
    """
    order, spared = rng.permutation(len(units)), rng.uniform(0, MOST_SPARED)
    amount = share * len(units)
    gone = min(int(amount), len(units) - 1)
    over = min(amount - gone, 1.0)
    cut = {int(order[gone]): cut_short(units[order[gone]], over)} if over > spared else {}
    kept = sorted(int(number) for number in order[gone:])
    return [cut.get(number, units[number]) for number in kept]


def cut_short(text: str, share: float) -> str:
    """Return a text without about a share of its words at its end, at least two of them left.

    A small loss goes as whole clauses where the text has some, a large one ends in mid-sentence.
    """
    whole = clauses(text)
    if share < MOST_CLAUSES and len(whole) > 1:
        return joined(whole[:-1]).rstrip(",;") + "."
    said = text.split()
    left = max(FEWEST_LEFT, round((1 - share) * len(said)))
    return text if left >= len(said) else " ".join(said[:left]).rstrip(",;:.")


def blur(text: str, share: float, rng: np.random.Generator) -> str:
    """Return a text with vague words for a share of its dates, figures and names."""

    def some(choices: Sequence[str], found: re.Match[str]) -> str:
        return pick(choices, rng) if rng.random() < share else found[0]

    text = DATED.sub(lambda found: some(SOME_TIME, found), text)
    text = FIGURE.sub(lambda found: some(SOME_NUMBER, found), text)
    return INNER_NAME.sub(lambda found: some(_vague(found), found), text)


def put_wrong_figures(text: str, share: float, rng: np.random.Generator) -> str:
    """Return a text with another last digit in a share of its numbers."""

    def other(found: re.Match[str]) -> str:
        if rng.random() >= share:
            return found[0]
        return found[0][:-1] + str((int(found[0][-1]) + int(rng.integers(1, 10))) % 10)

    return re.sub(r"\d+", other, text)


def drop_words(text: str, share: float, rng: np.random.Generator) -> str:
    """Return a text with a share of its words lost or put after the next."""
    said = text.split(" ")
    if len(said) <= FEWEST_LEFT:
        return text
    strikes = rng.random(len(said)) < share
    losses = rng.random(len(said)) < SHARE_LOST
    lost = strikes & losses
    kept = [word for word, gone in zip(said, lost, strict=True) if not gone]
    for number in np.flatnonzero((strikes & ~losses)[: max(0, len(kept) - 1)]):
        kept[number], kept[number + 1] = kept[number + 1], kept[number]
    return " ".join(kept) or text


def pad(
    units: Sequence[str], count: int, strange: Sequence[str], rng: np.random.Generator
) -> list[str]:
    """Return the units with `count` sentences after them or among them that add nothing.

    A unit once more, a filler, or one of `strange`, which is about something else.
    """
    made = list(units)
    empty = _shuffled(FILLERS, count, rng)
    foreign = _shuffled(strange, count, rng)
    for number, chance in enumerate(rng.random(count)):
        extra = empty[number]
        if units and chance < SHARE_REPEATED:
            extra = _again(pick(units, rng), rng)
        elif foreign and chance > SHARE_REPEATED + SHARE_FILLERS:
            extra = foreign[number]
        made.insert(int(rng.integers(min(1, len(made)), len(made) + 1)), extra)
    return made


def surface(units: Sequence[str], harm: Severity, rng: np.random.Generator) -> list[str]:
    """Return the units with typos, and perhaps all without capitals or points."""
    small, loose = rng.random(2) < (harm.surface, harm.surface * SHARE_UNPOINTED)
    made = []
    for unit in units:
        count = int(harm.spelling * len(unit.split()) + rng.random())
        text = with_typos(unit, count, rng, careful=False)
        text = lowered(text) if small else text
        made.append(unpointed(text) if loose else text)
    return made


def _shuffled(texts: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    """Return `count` of the texts in random order, each again only when all were; none of none."""
    order = [texts[number] for number in rng.permutation(len(texts))]
    return (order * (count // max(1, len(order)) + 1))[:count]


def _again(unit: str, rng: np.random.Generator) -> str:
    """Return a unit as one would repeat it."""
    form = pick(REPEATS, rng)
    text = unit.strip()
    return form.format(text if form == "{}" else text[:1].lower() + text[1:])


def _vague(found: re.Match[str]) -> Sequence[str]:
    """Return vague words that fit where a name stands."""
    before = MENTION.search(found.string[: found.start()])
    word = before["before"].lower() if before else ""
    if word in PLACING:
        return SOME_PLACE
    return SOME_GROUP if word in {"the", "a", "an", "this"} else SOME_ONE
