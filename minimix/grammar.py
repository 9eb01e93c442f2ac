"""The forms that the prompt asks for as grammars, so that a model can write nothing else.

A form is what `minimix.prompt.FORMS` shows the model: texts between labels. The grammar is made of
those very words, and its texts hold nothing that `minimix.parse` would trip over: no tag, no second
question, no label that is still to come. It is stricter than `parse`, which forgives other
spellings and white space.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from minimix.prompt import FORMS
from minimix.records import Kind

CLOSE = "</answer>"
TAGS = ("<answer>", "</answer>", "<think>", "</think>")
QUESTION = ("\nq:", "\nquestion:")
"""A line that begins a second sample. Lines are refused in any case, so they are small here."""
SPELLINGS = {"\na:": ("\na:", "\nanswer:")}
"""Labels that `parse` knows by two names."""
VERDICT = "True or False"
SLOTS = re.compile(rf"(\.\.\.|{VERDICT})")
SPACE = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
)
"""What `str.strip` takes for white space, and a regular expression too."""
SMALL = {"\u017f": "s", "\u0130": "i", "\u0131": "i"}
"""Letters that a regular expression which ignores case takes for others."""


@lru_cache(maxsize=16)
def grammar(kind: Kind, *, think: bool = False) -> str:
    """Return the form of a kind in GBNF, from `<answer>`, or `<think>`, to `</answer>`.

    A text in it begins with no white space. It is one line where a label follows, but for that of
    a question, which may hold a passage.
    """
    before, *pairs = SLOTS.split(FORMS[kind].partition("<answer>")[2].removesuffix(CLOSE))
    root, rules = [_quoted("<answer>" + before)], list[str]()
    if think:
        root = [_quoted("<think>"), '"\\n"? thought', _quoted("</think>"), '"\\n"?', *root]
        rules += _text("thought", QUESTION)
    for number, (slot, after) in enumerate(zip(pairs[::2], pairs[1::2], strict=True)):
        name = f"text{number}"
        text = f'( "True" | "False" ) [.,:;]? ( " " {name} )?' if slot == VERDICT else name
        root += [text, _quoted(after)]
        one_line = bool(after) and before != "Q: "
        rules += _text(name, _refused(after), start="" if before else "\n", one_line=one_line)
        before = after
    return "\n".join([f"root ::= {' '.join(root)} {_quoted(CLOSE)}", *rules, ""])


def _refused(label: str) -> tuple[str, ...]:
    """Return how no line of the text before `label` may begin."""
    begin = label.rstrip().lower()
    return (*QUESTION, *(SPELLINGS.get(begin, (begin,)) if begin else ()))


def _text(
    name: str, refused: tuple[str, ...], *, start: str = "", one_line: bool = False
) -> Iterator[str]:
    r"""Yield the rules of a text without tags and without lines that begin as `refused`.

    There is a rule for every part of these that may have been seen last: "" for none of them,
    "\n" for the beginning of a line, "</an" for a tag. `start` is what stands before the text.
    """
    patterns = (*TAGS, *refused)
    yield f"{name} ::= {_moves(name, start, patterns, dead=SPACE)}"
    dead = "\n" if one_line else ""
    for seen in dict.fromkeys(pattern[:n] for pattern in patterns for n in range(len(pattern))):
        yield f'{_rule(name, seen)} ::= {_moves(name, seen, patterns, dead=dead)} | ""'


def _moves(name: str, seen: str, patterns: tuple[str, ...], *, dead: str) -> str:
    """Return the signs that may follow what was `seen`, each with the rule for the rest."""
    letters = "".join(patterns)
    moves: dict[str | None, str] = {}
    for sign in dict.fromkeys(letters + letters.upper() + "".join(SMALL) + SPACE):
        after = None if sign in dead else _after(seen, sign, patterns)
        if after != "":
            moves[after] = moves.get(after, "") + sign
    usual = f"[^{_escaped(''.join(moves.values()))}] {_rule(name, '')}"
    moves.pop(None, None)
    return " | ".join(
        [usual, *(f"[{_escaped(moves[to])}] {_rule(name, to)}" for to in moves if to)]
    )


def _after(seen: str, sign: str, patterns: tuple[str, ...]) -> str | None:
    """Return what has been seen of the patterns once `sign` follows; None where one is whole."""
    if seen == "\n" and sign in SPACE:
        return seen
    grown = seen + (SMALL.get(sign, sign.lower()) if seen.startswith("\n") else sign)
    if grown in patterns:
        return None
    if any(pattern.startswith(grown) for pattern in patterns):
        return grown
    return sign if sign in "<\n" else ""


def _rule(name: str, seen: str) -> str:
    return f"{name}-{seen.encode().hex()}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\n", "\\n") + '"'


def _escaped(signs: str) -> str:
    return "".join(f"\\u{ord(sign):04X}" for sign in signs)
