"""What a draft did with its sources' facts, without a model and without a reference.

Facts are numbers, names and content words; formulas stand in the docstrings. `VERSION` changes
with any of them, and provenance records it.
"""

import re
from collections.abc import Iterable, Sequence

from minimix.records import Audit, Draft, Sample

VERSION = "1"
NUMBER = re.compile(r"(?<![\w.])[-\u2212]?\d+(?:,\d{3})*(?:\.\d+)?(?!\w)|\d+(?:\.\d+)?")
WORD = re.compile(r"[^\W\d_][\w'\u2019-]*")
DOTTED = re.compile(r"\b(?:[^\W\d_]\.){2,}")
SENTENCE = re.compile(r"(?<=[.!?:])\s+|\n+")
SUFFIXES = ("ingly", "edly", "ing", "ied", "ies", "ed", "es", "ly", "s")
SHORTEST_STEM = 3
TRIGRAM = 3
LONGEST_LIST = 40
STOPWORDS = frozenset(
    """a about above after again all also am an and any are as at be because been before being
    below between both but by can could did do does doing down during each either else even every
    few for from further had has have having he her here hers him his how however i if in into is
    it its itself just let like many may me might more most much must my no nor not now of off on
    once one only or other our out over own per same she should so some such than that the their
    them then there these they this those through to too under until up upon us very was we were
    what when where which while who whom whose why will with within would yes yet you your
    """.split()
)


def facts(text: str) -> frozenset[str]:
    """Return the facts in `text`: numbers as "#93", names as "@federal", content words stemmed.

    A name is a word with a capital that does not begin a sentence, and counts as a word too; or
    letters with points between them, such as "U.S.A.".
    """
    found = {"#" + _number(number) for number in NUMBER.findall(text)}
    found |= {"@" + letters.replace(".", "").lower() for letters in DOTTED.findall(text)}
    for sentence in SENTENCE.split(text):
        for position, word in enumerate(WORD.findall(sentence)):
            lower = word.lower()
            if lower in STOPWORDS or len(lower) < SHORTEST_STEM:
                continue
            found.add(stem(lower))
            if position and word[0].isupper():
                found.add("@" + lower)
    return frozenset(found)


def stem(word: str) -> str:
    """Return a lower-case word without its commonest ending, never shorter than 3 letters."""
    word = word.replace("\u2019", "'").removesuffix("'s")
    for suffix in SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= SHORTEST_STEM:
            word = word.removesuffix(suffix)
            break
    return word[:-1] if word.endswith("e") and len(word) > SHORTEST_STEM else word


def audit(draft: Draft, sources: Sequence[Sample]) -> Audit:
    """Return what `draft` kept, lost and added, and how far it loops or copies.

    kept = |facts(answers of the sources) ∩ facts(draft)| / |facts(answers of the sources)|;
    supported = |facts(draft) ∩ facts(sources, prompts included)| / |facts(draft)|; a name also
    counts as found where its word is. Both are 0 for a draft without facts.
    asked = min over sources of |facts(source's prompt) ∩ facts(draft's prompt)| / |facts(source's
    prompt)|: an answer to what nobody asks teaches the wrong thing. 1 for a kind without prompts.
    """
    own = facts(f"{draft.prompt}\n{draft.response}")
    given = facts("\n".join(f"{sample.prompt}\n{sample.response}" for sample in sources))
    wanted = facts("\n".join(sample.response for sample in sources))
    lost = _missing(wanted, own)
    unsupported = _missing(own, given)
    return Audit(
        kept=1 - len(lost) / len(wanted) if wanted and own else 0.0,
        supported=1 - len(unsupported) / len(own) if own else 0.0,
        asked=min((_asked(draft.prompt, sample.prompt) for sample in sources), default=1.0),
        distinct=distinct_trigrams(draft.response),
        copied=max((_copied(draft.response, sample.response) for sample in sources), default=0.0),
        lost=tuple(sorted(lost)[:LONGEST_LIST]),
        unsupported=tuple(sorted(unsupported)[:LONGEST_LIST]),
    )


def _asked(prompt: str, source: str) -> float:
    """Return the share of a source's question that a draft's question asks too."""
    wanted = facts(source)
    if not prompt or not wanted:
        return 1.0
    return 1 - len(_missing(wanted, facts(prompt))) / len(wanted)


def distinct_trigrams(text: str) -> float:
    """Return the share of word trigrams that occur once only; 1 for a text too short to loop."""
    words = text.lower().split()
    trigrams = [tuple(words[start : start + TRIGRAM]) for start in range(len(words) - 2)]
    return len(set(trigrams)) / len(trigrams) if trigrams else 1.0


def _missing(wanted: Iterable[str], there: frozenset[str]) -> set[str]:
    """Return the facts not `there`; a name is there where its plain word is, and the reverse."""
    words = there | {stem(fact[1:]) for fact in there if fact[0] == "@"}
    return {fact for fact in wanted if fact not in words and not _named(fact, words)}


def _named(fact: str, words: frozenset[str]) -> bool:
    return fact[0] == "@" and stem(fact[1:]) in words


def _number(text: str) -> str:
    plain = text.replace(",", "").replace("\u2212", "-")
    return (plain.rstrip("0").rstrip(".") if "." in plain else plain) or "0"


def _copied(text: str, source: str) -> float:
    """Return the share of a text's word trigrams that stand in `source`; 0 for a short text."""
    words, other = text.lower().split(), source.lower().split()
    ours = [tuple(words[start : start + TRIGRAM]) for start in range(len(words) - 2)]
    theirs = {tuple(other[start : start + TRIGRAM]) for start in range(len(other) - 2)}
    return sum(trigram in theirs for trigram in ours) / len(ours) if ours else 0.0
