"""How much of a reference a text says in the same words and order: ROUGE-L, defined once."""

import re

from rapidfuzz.distance import LCSseq

WORD = re.compile(r"\w+")


def rouge_l(text: str, reference: str) -> float:
    """Return ROUGE-L as an F1 over lower-case words, 0..1: 2·LCS / (words here + words there).

    LCS is the longest common subsequence of words; punctuation is no word. 0 where one is empty.
    """
    ours, theirs = WORD.findall(text.lower()), WORD.findall(reference.lower())
    if not ours or not theirs:
        return 0.0
    return 2 * float(LCSseq.similarity(ours, theirs)) / (len(ours) + len(theirs))
