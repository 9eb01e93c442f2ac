"""As many rows as wanted, made of real ones: for the benchmarks of large pools.

    python benchmarks/pool_rows.py FOLDER ROWS OUT.jsonl

The rows of Dolly come first, as they are. After them, one row in ten is a near copy of a real one
(a word in fifty is another); the others are an instruction with some words of others, answered by
some sentences of its own answer and some of another one's. What they say is nonsense, but they
are as long, as varied and as near to each other as rows of a real pool, or nearer.
"""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

SEED = 7
SENTENCE = re.compile(r"(?<=[.!?])\s+")
FIELDS = ("instruction", "input", "output")

Row = dict[str, str]


def real(folder: Path) -> list[Row]:
    """Return the rows of Dolly in `folder`, without their ratings."""
    lines = [
        line
        for path in sorted(folder.glob("dolly_rated_*.jsonl"))
        for line in path.read_text("utf-8").splitlines()
    ]
    return [{name: row.get(name, "") for name in FIELDS} for row in map(json.loads, lines)]


def many(rows: Sequence[Row], count: int) -> Iterator[Row]:
    """Yield `count` rows, the real ones first; the same for the same `rows`."""
    rng = np.random.default_rng(SEED)
    found = (word for row in rows for word in row["output"].split()[:30])
    words = [word for word in found if word.isalpha() and len(word) > 4]
    yield from rows[:count]
    for _ in range(len(rows), count):
        one, other = (rows[number] for number in rng.integers(len(rows), size=2))
        if rng.random() < 0.1:
            yield {**one, "output": _reworded(one["output"], words, 0.02, rng)}
        else:
            own = _some(one["output"], 0.6, rng) or one["output"]
            more = _some(other["output"], rng.choice([0.15, 0.5]), rng)
            instruction = _reworded(one["instruction"], words, 0.25, rng)
            yield {**one, "instruction": instruction, "output": f"{own} {more}".strip()}


def _reworded(text: str, words: Sequence[str], share: float, rng: np.random.Generator) -> str:
    """Return a text with a `share` of its words exchanged for others."""
    own = text.split(" ")
    for place in np.flatnonzero(rng.random(len(own)) < share):
        own[place] = words[rng.integers(len(words))]
    return " ".join(own)


def _some(text: str, share: float, rng: np.random.Generator) -> str:
    """Return a `share` of the sentences of a text, in their order."""
    return " ".join(one for one in SENTENCE.split(text) if rng.random() < share)


def write(folder: Path, count: int, target: Path) -> None:
    """Write `count` rows as JSON lines."""
    with target.open("w", encoding="utf-8") as file:
        for row in many(real(folder), count):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
