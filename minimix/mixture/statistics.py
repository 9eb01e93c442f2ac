"""What is in a set of examples, as a table: how many of each kind, how long, how well-formed."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from minimix.mixture.tasks import Example, target
from minimix.parse import parse
from minimix.records import KINDS

QUANTILES = (50, 90, 100)
HEAD = ("kind", "examples", "made", "parts", "prompt", "answer", "longest", "ill-formed")
NOTE = "prompt and answer: tokens, median / 90 % / most; longest: prompt and answer together"


class Lengths(NamedTuple):
    """Tokens of an example: of its prompt as a model sees it, and of its target with its tags."""

    prompt: int
    answer: int


CountTokens = Callable[[Example], Lengths]


def statistics(examples: Sequence[Example], count_tokens: CountTokens) -> str:
    """Return a table in Markdown, one line for each kind that there is, one for all."""
    kinds = [kind for kind in KINDS if any(one.task.kind == kind for one in examples)]
    counted = [(one, count_tokens(one)) for one in examples]
    rows = [_row(kind, [pair for pair in counted if pair[0].task.kind == kind]) for kind in kinds]
    rows += [_row("all", counted)] if len(kinds) > 1 else []
    if not rows:
        return "no examples"
    return f"{table(HEAD, rows)}\n\n{NOTE}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table that reads well as plain text and as Markdown; columns of numbers are right.

    A column is one of numbers where every cell in it begins with a digit.
    """
    columns = [tuple(row[n] for row in rows) for n in range(len(head))]
    numbers = [all(cell[:1].isdigit() for cell in column) for column in columns]
    widths = [
        max(len(cell) for cell in (name, *own)) for name, own in zip(head, columns, strict=True)
    ]
    rule = [
        "-" * (width + 1) + (":" if number else "-")
        for width, number in zip(widths, numbers, strict=True)
    ]
    lines = [
        [
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, numbers, strict=True)
        ]
        for row in (head, *rows)
    ]
    first, *rest = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([first, f"|{'|'.join(rule)}|", *rest])


def _row(name: str, counted: Sequence[tuple[Example, Lengths]]) -> tuple[str, ...]:
    examples, lengths = zip(*counted, strict=True)
    made = Counter(one.made for one in examples)
    ill_formed = sum(bool(parse(one.task, target(one)).problems) for one in examples)
    return (
        name,
        f"{len(examples):,}",
        ", ".join(f"{way} {count:,}" for way, count in sorted(made.items())),
        f"{np.mean([len(one.task.parts) for one in examples]):.1f}",
        _quantiles([one.prompt for one in lengths]),
        _quantiles([one.answer for one in lengths]),
        f"{max(map(sum, lengths)):,}",
        f"{ill_formed:,}",
    )


def _quantiles(numbers: Sequence[int]) -> str:
    found = np.percentile(numbers, QUANTILES, method="inverted_cdf")
    return " / ".join(f"{int(number):,}" for number in found)
