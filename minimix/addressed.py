"""What in a text speaks to a model, and not to a reader: a sample may hold it, a fusion must not.

By rule, and so no proof: who knows the rules can word an order that they do not know. Measured by
benchmarks/injection.py (docs/injection.md).
"""

import re
from collections import Counter

CONTROL = re.compile(
    r"<(?=[|\uff5c]|/?s>|</?SYS>>|(?:start|end)_of_\w+>|/?tool_\w+>|extra_id_\d+>"
    r"|(?:bos|eos|pad|unk|mask|sep|cls)>)"
    r"|\[(?=/?(?:INST|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT|gMASK)\])"
)
"""Where a control token of a common vocabulary begins: <|im_start|>, </s>, [INST], <eos>."""
# Every repetition has an end: who writes the data must not be able to make a rule slow.
_GAP = r"\W{1,9}"
_BETWEEN = r"(?:\W{1,9}\w{1,30})"
_WHAT = r"(?:above|previous|prior|earlier|preceding|foregoing|all (?:the )?(?:other|previous)|your)"
_TEXTS = r"(?:instructions?|rules?|prompts?|orders|directions|messages?|samples?|texts?)"
ANYWHERE = {
    "a control token": CONTROL,
    "a tag of the prompt": re.compile(r"<\s*/?\s*(?:answer|think)\s*>", re.IGNORECASE),
    "an order to disregard": re.compile(
        rf"\b(?:ignore|disregard|forget|override|bypass)\b{_BETWEEN}{{0,3}}?{_GAP}{_WHAT}\b"
        rf"(?:{_BETWEEN}{{0,2}}?{_GAP}{_TEXTS}\b|{_GAP}(?:and|then|text)\b|\s{{0,9}}[.:!])"
        rf"|\b(?:ignorier\w{{0,4}}|vergiss|vergesst){_BETWEEN}{{0,3}}{_GAP}(?:anweisung|vorherig)"
        rf"|\b(?:ignore[zr]|oublie[zr]|ignora|olvida){_BETWEEN}{{0,3}}{_GAP}instruc",
        re.IGNORECASE,
    ),
    "a word on the prompt": re.compile(
        r"\b(?:your|the) (?:system|initial|hidden) prompt\b|\bsystem override\b"
        r"|\byou are now in \w+ mode\b|\b(?:print|reveal|show)\s+(?:\w+\s+)?api keys?\b",
        re.IGNORECASE,
    ),
    "a word to the judge": re.compile(
        r"[\"']?overall_compressed|\brating[\"']?\s*:\s*[45](?:\.\d)?\s*(?:/\s*5\b|[,}])"
        r"|\brate (?:it|this) (?:a )?(?:5|10|five|ten)\b|\b(?:to|dear) (?:the )?grader\b",
        re.IGNORECASE,
    ),
    "a script": re.compile(
        r"<\s*(?:script|iframe)\b|\bjavascript:|<[a-z]+\b[^<>]{0,200}\son\w{1,30}\s{0,9}="
        r"|!\[[^\]]{0,200}\]\(\s{0,9}https?:[^)]{0,200}\?",
        re.IGNORECASE,
    ),
    "hidden characters": re.compile("[\u202d\u202e\U000e0000-\U000e007f]"),
    "encoded text": re.compile(
        r"(?<![\w/.:-])(?=[A-Za-z+/]{0,99}\d)(?=[a-z0-9+/]{0,99}[A-Z])(?=[A-Za-z0-9+/]{40})"
        r"(?:[A-Za-z0-9+]{10,}/?)+={0,2}"
    ),
}
ANSWERS = {
    "an order to say one thing alone": re.compile(
        r"\b(?:answer|reply|respond|output|write|print)\s+(?:me |us |with )?"
        r"(?:only|solely|nothing but)\b"
        r"|\byour (?:only|sole|entire) (?:output|answer|reply|response)\b"
        r"|\b(?:write|say|answer) .{1,40} and nothing (?:else|more)\b",
        re.IGNORECASE,
    ),
}
"""What a question may well ask of a model, and an answer may not."""
_SPEAK = (
    r"(?:say|write|tell|print|repeat|recite|speak|answer|reply|respond|output|decode|reveal"
    r"|ignore|accept|rate|approve)"
)
ORDER = re.compile(
    rf"^\W{{0,9}}(?:(?:please|just|now|then|so|and|do not|don't|always|never)\W{{1,9}})*{_SPEAK}\b"
    rf"|[,;:.]\W{{1,9}}(?:and |then |just |please )*{_SPEAK}\b"
    rf"|\b(?:must|shall|should|will|to|and|then)\s+(?:\w+ly\s+)?{_SPEAK}\b"
    r"|\byou (?:are|were) (?:an?|now|given|told)\b",
    re.IGNORECASE,
)
"""An order to speak: one that shares no word with the rest of its sample is meant for a model."""
_SENTENCE = re.compile(r"(?<=[.!?:])\s+|\n+")
_WORD = re.compile(r"[^\W\d_]{3,}")
_SMALL = frozenset(
    "the and for from with was were are been its this that these those you they not but then here "
    "there which who what when where how why can could will would should may does did has have had "
    "just also some any all our one your".split()
)
_STEM = 6
INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))
"""What parts words for a rule and not for a model: taken out before any rule looks."""
SHOWN = 40


def addressed(prompt: str, response: str) -> str:
    """Return what speaks to a model, its kind and how it begins; "" for nothing."""
    answer = response.translate(INVISIBLE)
    both = f"{prompt.translate(INVISIBLE)}\n{answer}"
    for rules, text in ((ANYWHERE, both), (ANSWERS, answer)):
        for name, rule in rules.items():
            found = rule.search(text)
            if found:
                piece = " ".join(text[found.start() : found.start() + SHOWN].split())
                return f"{name}: {piece!r}"
    stray = _stray(prompt, answer)
    return f"an order without a bearing on the rest: {stray[:SHOWN]!r}" if stray else ""


def _stray(prompt: str, response: str) -> str:
    """Return the first order to speak that shares no word with the rest of its sample, or ""."""
    sentences = _SENTENCE.split(response)
    words = [_words(sentence) for sentence in sentences]
    spread = Counter(word for own in [_words(prompt), *words] for word in own)
    return next(
        (
            sentence
            for sentence, own in zip(sentences, words, strict=True)
            if len(own) > 1 and ORDER.search(sentence) and all(spread[word] == 1 for word in own)
        ),
        "",
    )


def _words(text: str) -> set[str]:
    """Return the stems of the words that carry a topic."""
    found = {word.lower() for word in _WORD.findall(text)}
    return {word[:_STEM] for word in found - _SMALL}
