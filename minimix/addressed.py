"""What in a text speaks to a model, and not to a reader: a sample may hold it, a fusion must not.

By rule, and so no proof: who knows the rules can word an order that they do not know. Measured by
benchmarks/injection.py (docs/injection.md).
"""

import re

CONTROL = re.compile(
    r"<(?=[|\uff5c]|/?s>|</?SYS>>|(?:start|end)_of_\w+>|/?tool_\w+>|extra_id_\d+>"
    r"|(?:bos|eos|pad|unk|mask|sep|cls)>)"
    r"|\[(?=/?(?:INST|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT|gMASK)\])"
)
"""Where a control token of a common vocabulary begins: <|im_start|>, </s>, [INST], <eos>."""
_WHAT = r"(?:above|previous|prior|earlier|preceding|foregoing|all (?:the )?(?:other|previous)|your)"
_TEXTS = r"(?:instructions?|rules?|prompts?|orders|directions|messages?|samples?|texts?)"
ANYWHERE = {
    "a control token": CONTROL,
    "a tag of the prompt": re.compile(r"<\s*/?\s*(?:answer|think)\s*>", re.IGNORECASE),
    "an order to disregard": re.compile(
        rf"\b(?:ignore|disregard|forget|override|bypass)\b(?:\W+\w+){{0,3}}?\W+{_WHAT}\b"
        rf"(?:(?:\W+\w+){{0,2}}?\W+{_TEXTS}\b|\W+(?:and|then|text)\b|\s*[.:!])"
        r"|\b(?:ignorier\w*|vergiss|vergesst)\W+(?:\w+\W+){0,3}(?:anweisung\w*|vorherig\w*)"
        r"|\b(?:ignore[zr]|oublie[zr]|ignora|olvida)\W+(?:\w+\W+){0,3}instruc\w+",
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
        r"<\s*(?:script|iframe)\b|\bjavascript:|<[a-z]+\b[^<>]*\son\w+\s*="
        r"|!\[[^\]]*\]\(\s*https?:[^)]*\?",
        re.IGNORECASE,
    ),
    "hidden characters": re.compile("[\u202d\u202e\U000e0000-\U000e007f]"),
    "encoded text": re.compile(
        r"(?<![\w/.:-])(?=[A-Za-z+/]*\d)(?=[a-z0-9+/]*[A-Z])(?=[A-Za-z0-9+/]{40})"
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
    return ""
