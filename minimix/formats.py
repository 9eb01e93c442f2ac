"""Row shapes: how one record becomes samples, and how a sample becomes a row again.

Each shape is detected by its fields, row by row, so a file may mix them; nothing is guessed.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from minimix.errors import FormatError
from minimix.records import KINDS, Dropped, Kind, Place, Sample

Row = Mapping[str, Any]
Turn = tuple[str, str | None]

ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "model", "bot"), "assistant"),
}
ANSWER_TAG = re.compile(r"\s*<answer>(.*)</answer>\s*", re.DOTALL)
REFERS_BACK = re.compile(
    r"^\W*(and|but|also|then|now|so|or|ok|okay|yes|no|thanks|thank you|please continue|continue|"
    r"what about|how about|why not|that|another|more|its|your)\b"
    r"|\b(it|this|these|those|they|them|their|he|she|him|his|hers?|above|previous|previously|"
    r"earlier|again|instead|you said|your (?:last |previous )?(?:answer|response|list|code))\b"
    r"|\bthat\W*$",
    re.IGNORECASE,
)
FEWEST_WORDS = 4
KNOWN = "instruction + output, messages, conversations, prompt + completion or question + answer"
SHAPELESS: dict[tuple[str, ...], str] = {
    ("user",): "a question without an answer",
    ("assistant",): "an answer without a question",
}


@dataclass(frozen=True, slots=True)
class Parsed:
    """What one record gave: the name of its shape, its samples, and what was left of it."""

    shape: str
    samples: tuple[Sample, ...]
    dropped: tuple[Dropped, ...] = ()


@dataclass(frozen=True, slots=True)
class Shape:
    """A row shape: `fits` tells it, `read` makes samples of a row, `write` a row of a sample."""

    name: str
    fits: Callable[[Row], bool]
    read: Callable[[Row, Place], tuple[list[Sample], list[Dropped]]]
    write: Callable[[Sample], dict[str, Any]]


def read_row(row: Row, place: Place) -> Parsed:
    """Return the samples of one record.

    Raises FormatError, without the place, where the row fits no shape or lacks its text.
    """
    named = {name: "" if value is None else value for name, value in row.items()}
    fitting = (shape for given in (row, named) for shape in SHAPES.values() if shape.fits(given))
    if shape := next(fitting, None):
        samples, dropped = shape.read(row, place)
        return Parsed(shape.name, tuple(samples), tuple(dropped))
    raise FormatError(f"expected {KNOWN}, found {_fields(row)}")


def write_row(sample: Sample, shape: str) -> dict[str, Any]:
    """Return `sample` as a row of the shape so named."""
    return SHAPES[shape].write(sample)


def _fields(row: Row) -> str:
    """Return the names of a row's fields on one short line, whatever is in them."""
    return ", ".join(sorted(map(ascii, row)))[:120] or "no fields"


def _text(row: Row, field: str, *, required: bool = True) -> str:
    value = row.get(field)
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        raise FormatError(f"'{field}': expected text, found {type(value).__name__}")
    if required and not value.strip():
        raise FormatError(f"'{field}' is empty")
    return value


def _flat(name: str, instruction: str, context: str, response: str) -> Shape:
    """Return a shape of two or three text fields; `context` is "" where it has none."""

    def fits(row: Row) -> bool:  # a table with rows of several shapes has columns of null
        filled = row.get(instruction) is not None and row.get(response) is not None
        return filled and (not context or context in row)

    def read(row: Row, place: Place) -> tuple[list[Sample], list[Dropped]]:
        given = _text(row, context, required=False) if context else ""
        system = _text(row, "system", required=False)
        sample = Sample(
            instruction=_text(row, instruction),
            response=_text(row, response),
            sources=(place,),
            input=given if given.strip() else "",
            system=system,
        )
        return [sample], []

    def write(sample: Sample) -> dict[str, Any]:
        row = {"system": sample.system} if sample.system else {}
        if not context:
            return {**row, instruction: sample.prompt, response: sample.response}
        fields = {instruction: sample.instruction, context: sample.input}
        return {**row, **fields, response: sample.response}

    return Shape(name, fits, read, write)


def _chat(name: str, turns: str, role: str, content: str, names: Mapping[str, str]) -> Shape:
    """Return a shape with a list of turns; `names` are the roles as this shape writes them."""

    def fits(row: Row) -> bool:
        value = row.get(turns)
        first = value[0] if isinstance(value, Sequence) and value else None
        return isinstance(first, Mapping) and role in first

    def read(row: Row, place: Place) -> tuple[list[Sample], list[Dropped]]:
        return _exchanges([_turn(turn, role, content) for turn in row[turns]], place)

    def write(sample: Sample) -> dict[str, Any]:
        pairs = [("user", sample.prompt), ("assistant", sample.response)]
        if sample.system:
            pairs.insert(0, ("system", sample.system))
        return {turns: [{role: names[who], content: text} for who, text in pairs]}

    return Shape(name, fits, read, write)


def _turn(turn: Any, role: str, content: str) -> Turn:
    """Return a turn's role and text; the text is None where it is a tool's, a picture, or none."""
    if not isinstance(turn, Mapping) or not isinstance(turn.get(role), str):
        found = _fields(turn) if isinstance(turn, Mapping) else type(turn).__name__
        raise FormatError(f"expected turns with '{role}', found {found}")
    name, value = " ".join(turn[role].lower().split())[:20], turn.get(content)
    if isinstance(value, Sequence) and not isinstance(value, str):
        texts = [text for text in map(_part_text, value) if text is not None]
        value = "".join(texts) if len(texts) == len(value) else None
    text = value if isinstance(value, str) and value.strip() else None
    calls = turn.get("tool_calls") or turn.get("function_call")
    return ROLES.get(name, name), None if calls else text


def _part_text(part: Any) -> str | None:
    """Return the text of one part of a content list, None for a picture and the like."""
    plain = isinstance(part, Mapping) and part.get("type", "text") == "text"
    text = part.get("text") if plain else None
    return text if isinstance(text, str) else None


def _exchanges(turns: Sequence[Turn], place: Place) -> tuple[list[Sample], list[Dropped]]:
    """Split a chat at its user turns; keep what stands on its own, name why the rest does not."""
    system = "\n".join(text for role, text in turns if role == "system" and text)
    samples: list[Sample] = []
    dropped: list[Dropped] = []
    for part, exchange in enumerate(_split(turns)):
        here = replace(place, part=part)
        problem = _problem(exchange, first=part == 0)
        if problem:
            dropped.append(Dropped(here, "read", problem))
        else:
            (_, prompt), (_, answer) = exchange
            samples.append(Sample(prompt or "", answer or "", (here,), system=system))
    if not samples and not dropped:
        raise FormatError("the chat has no turns")
    return samples, dropped


def _split(turns: Sequence[Turn]) -> Iterator[list[Turn]]:
    exchange: list[Turn] = []
    for turn in (turn for turn in turns if turn[0] != "system"):
        if turn[0] == "user" and exchange:
            yield exchange
            exchange = []
        exchange.append(turn)
    if exchange:
        yield exchange


def _problem(exchange: Sequence[Turn], *, first: bool) -> str:
    """Return why an exchange cannot be a sample of its own, "" where it can."""
    roles = [role for role, _ in exchange]
    if roles != ["user", "assistant"]:
        several = f"expected one answer, found {', '.join(roles)[:120]}"
        return SHAPELESS.get(tuple(roles[:2]), several)
    prompt, answer = exchange[0][1], exchange[1][1]
    if prompt is None or answer is None:
        return "a turn without text"
    back = None if first else REFERS_BACK.search(prompt)
    if back:
        return f"leans on an earlier turn ('{back.group().strip().lower()}')"
    short = not first and len(prompt.split()) < FEWEST_WORDS
    return "a later turn too short to stand on its own" if short else ""


_ALPACA = _flat("alpaca", "instruction", "input", "output")


def _mixture_kind(row: Row) -> Kind | None:
    values = (row.get("task_type"), row.get("source"))
    names = [value.removesuffix("_mixup") for value in values if isinstance(value, str)]
    return next((kind for name in names for kind in KINDS if kind == name), None)


def _fits_mixture(row: Row) -> bool:
    return _ALPACA.fits(row) and ("cot" in row or _mixture_kind(row) is not None)


def _read_mixture(row: Row, place: Place) -> tuple[list[Sample], list[Dropped]]:
    samples, dropped = _ALPACA.read(row, place)
    tagged = ANSWER_TAG.fullmatch(samples[0].response)
    answer = tagged.group(1).strip() if tagged else samples[0].response
    response = _text({"output": answer}, "output")
    return [replace(samples[0], response=response, kind=_mixture_kind(row) or "qa")], dropped


def _write_mixture(sample: Sample) -> dict[str, Any]:
    return {**_ALPACA.write(sample), "task_type": sample.kind}


_PLAIN = {name: name for name in ("system", "user", "assistant")}
_SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt"}

_ALL = (
    _chat("messages", "messages", "role", "content", _PLAIN),
    _chat("sharegpt", "conversations", "from", "value", _SHAREGPT),
    _chat("conversations", "conversations", "role", "content", _PLAIN),
    Shape("mixture", _fits_mixture, _read_mixture, _write_mixture),
    _ALPACA,
    _flat("alpaca-no-input", "instruction", "", "output"),
    _flat("dolly", "instruction", "context", "response"),
    _flat("instruction-input-response", "instruction", "input", "response"),
    _flat("instruction-response", "instruction", "", "response"),
    _flat("prompt-completion", "prompt", "", "completion"),
    _flat("prompt-response", "prompt", "", "response"),
    _flat("question-answer", "question", "", "answer"),
)
SHAPES: dict[str, Shape] = {shape.name: shape for shape in _ALL}
"""Every shape by name, in the order in which they are tried."""
