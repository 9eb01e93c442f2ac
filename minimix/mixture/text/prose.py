"""Clean prose out of plain articles: what a text dump glued together, cut out or left empty.

A sentence that cannot be trusted is left out: there are more sentences than are needed.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from minimix.mixture.text.wording import is_balanced, sentences, words

EMPTY_ASIDE = re.compile(r"\s*\((?:[\s;,]|or)*\)")
EMPTY_START = re.compile(r"\([\s;,]+(?=\w)")
PARAGRAPH = re.compile(
    r"(?<=[a-z0-9)\]\"\u201d%][.!?])(?=[A-Z\"\u201c])|(?<=[.!?][\"\u201d)])(?=[A-Z])"
)
JOINT = re.compile(r"\b([\w'-]*[a-z\u00df-\u00ff)\d])[A-Z][a-z]+|([a-z]{3,})[A-Z]{2,}")
JOINED_NAMES = frozenset("mc mac de di du da la le van von o fitz ph fc b".split())
FAULTS = re.compile(
    r"\s{2,}|\s[.,;:)\]]|[(\[]\s|\(\)|[=\\{}|<>\u2192]|\w[.!?;,][A-Za-z]{3}"
    r"|\$ (?:today|in|at)\b|\bfollowing\.|\b(\w+) \1\b"
    r"|\bcitation needed\b|\w/\w+/|\bhttps?\b|^\W*see also\b|\bfollowing\b.{0,40}:$",
    re.IGNORECASE,
)
WHOLE = re.compile(r"[\"\u201c]?[A-Z\u00c0-\u00de].*[.!?][\"\u201d)]*", re.DOTALL)
FEWEST_WORDS, MOST_WORDS = 5, 60
HEADING_WORDS = 8
SMALL_WORDS = frozenset(
    """a an the of in at on to and or by for from with as is was were are be that which who his her
    its their this these it he she they but not into than""".split()
)
STARTERS = frozenset(
    """the in at a an before during while as on after with by for from since although when under
    there it he she they this these his her their its many most some several one according if both
    however despite to within between over until throughout because other another such each all
    early later today following among through around early where though""".split()
)
DEPENDENT = frozenset(
    """he she it they this these those that such his her its their him them however therefore thus
    also moreover furthermore additionally similarly likewise consequently hence then instead
    nevertheless nonetheless meanwhile otherwise another other others both and but or so yet here
    there further again finally still besides accordingly conversely indeed alternatively rather
    either neither each former latter subsequently afterwards later although while additionally
    elsewhere together most some many several one more first second third next yes no""".split()
)
LINKED = re.compile(
    r"\W*(?:As (?:a (?:result|consequence)|such)|For (?:example|instance)|By contrast|Of course"
    r"|In (?:addition|contrast|turn|response|fact|particular|other words|total)|To th(?:is|at) end"
    r"|On the other hand|At (?:first|the time|that time)|By (?:then|this|that))\b"
)
POINTERS = re.compile(
    r"\b(?:he|she|it|they|him|them|his|her|hers|its|their|theirs|this|these|those|former|latter"
    r"|aforementioned|above|below|following|such|i|we|you|our|my|your|here|another|as well as that"
    r"|all (?:two|three|four|five|six)|the (?:same|other|latter|others|two))\b",
    re.IGNORECASE,
)
NAME_PART = r"(?:(?:[A-Z]\.)+|[A-Z\u00c0-\u00de][\w-]*(?:['\u2019](?!s\b)\w+)*)"
NAME_RUN = rf"{NAME_PART}(?:(?: (?:of|the|in|for|and|de|von|van|to))* {NAME_PART})*"
NAME = re.compile(NAME_RUN)
SUBJECT = re.compile(
    r"(?:An? (?=[a-z]))?(?P<name>(?:\S+ ){0,6}?\S+?)"
    r"(?=,| \(| (?:or|primarily|is|are|was|were|refers|recognizes)\b)"
)
FIELD = re.compile(r"^In [\w ]{3,40}, (?=[A-Z])")
FEWEST_MENTIONS, WORDS_A_MENTION = 3, 400
NAMED = re.compile(r"(?<!^)(?<![.!?] )\b[A-Z][\w'\u2019-]+")


def paragraphs(line: str) -> Iterator[tuple[str, ...]]:
    """Yield runs of clean sentences that follow each other, one paragraph of `line` or less."""
    line = EMPTY_START.sub("(", EMPTY_ASIDE.sub("", line.replace("\u00a0", " ")))
    lower = frozenset(re.findall(r"(?<![.!?] )\b[a-z]{3,}\b", line))
    for first, paragraph in enumerate(PARAGRAPH.split(line)):
        run: list[str] = []
        for number, sentence in enumerate(sentences(paragraph)):
            glued = first > 0 and number == 0 and has_heading(sentence, lower)
            if is_clean(sentence) and not glued:
                run.append(sentence)
            elif run:
                yield tuple(run)
                run = []
        if run:
            yield tuple(run)


def has_heading(sentence: str, lower: frozenset[str]) -> bool:
    """Return whether a paragraph's first sentence seems to begin with a heading.

    `lower` are the words that the article writes small: one of them with a capital, after a word
    that names nothing, begins the sentence itself.
    """
    start = sentence.split()[: HEADING_WORDS + 1]
    for before, word in pairwise(start):
        if not word[:1].isupper() or not before[-1:].isalnum():
            continue
        starts = word.lower() in STARTERS
        common = word.lower() in lower and before.lower() not in SMALL_WORDS
        if starts or (common and (before is start[0] or before.islower())):
            return True
    return False


def is_clean(sentence: str) -> bool:
    """Return whether a sentence is whole: nothing glued, left open or lost from it."""
    joints = [found for found in JOINT.finditer(sentence) if not _is_name(found[1] or found[2])]
    return (
        FEWEST_WORDS <= words(sentence) <= MOST_WORDS
        and WHOLE.fullmatch(sentence) is not None
        and any(is_plain(word) for word in sentence.split())
        and is_balanced(sentence)
        and not joints
        and not FAULTS.search(sentence)
    )


def is_plain(word: str) -> bool:
    """Return whether a word is written small and means something: a title may have none."""
    return word[:1].islower() and word.strip(",.;:") not in SMALL_WORDS


def stands_alone(sentence: str) -> bool:
    """Return whether a sentence can be understood without the one before it, as far as words tell.

    It does not begin with a word that leans back, and names something before any pronoun.
    """
    first = re.match(r"\W*([\w'-]+)", sentence)
    if not first or first[1].lower() in DEPENDENT or LINKED.match(sentence):
        return False
    return not leans(sentence)


def leans(text: str) -> bool:
    """Return whether a text points at something that it has not named."""
    pointer = POINTERS.search(text)
    return pointer is not None and not NAMED.search(text[: pointer.start()])


def opening(run: Sequence[str]) -> int | None:
    """Return the position of the first sentence that stands alone, None for none."""
    return next((number for number, one in enumerate(run) if stands_alone(one)), None)


def topic(line: str) -> str:
    """Return what an article without a title is about: what its first sentence begins with.

    Where the article hardly says it again, the name of that sentence which it says most.
    """
    first = next(iter(sentences(EMPTY_ASIDE.sub("", line))), "")
    first = FIELD.sub("", first)
    subject = SUBJECT.match(first)
    name = subject["name"] if subject and subject["name"].lower() not in DEPENDENT else ""
    mentions = min(FEWEST_MENTIONS, words(line) // WORDS_A_MENTION)
    if name and line.lower().count(name.lower()) > mentions:
        return name[0].upper() + name[1:]
    names = [found for found in NAME.findall(first) if " " in found]
    return max(names, key=line.count, default=name or "General")


def _is_name(left: str) -> bool:
    return left.lower() in JOINED_NAMES or left.endswith("'")
