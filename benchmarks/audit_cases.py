"""Faithful fusions for benchmarks/audit.py: hand-written paraphrases, and fusions made by rule."""

import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from minimix.mixture.worse.degrade import variants
from minimix.records import Draft, Place, Sample

HERE = Path(__file__).parent
PLACE = (Place("", 1, 0, ""),)
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])|\n+")
FEWEST, MOST = 12, 160


@dataclass(frozen=True)
class Case:
    """Sources and a fusion that is faithful to them; `sort` says how it was made."""

    name: str
    sort: str
    sources: tuple[Sample, ...]
    draft: Draft


def rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def draft(prompt: str, response: str) -> Draft:
    """Return a well-formed draft."""
    return Draft(f"Q: {prompt}\nA: {response}", prompt, response)


def sentences(text: str) -> list[str]:
    """Return the sentences and lines of `text`."""
    return [part.strip() for part in SENTENCE.split(text) if part.strip()]


def paraphrases(folder: Path, split: str) -> list[Case]:
    """Return the hand-written fusions of one split ("dev" or "test")."""
    files = {"dev": ("02",), "test": ("03",)}[split]
    known = {row["id"]: row for f in files for row in rows(folder / f"dolly_rated_{f}.jsonl")}
    found = []
    for number, row in enumerate(rows(HERE / f"paraphrases_{split}.jsonl")):
        if all(one in known for one in row["rows"]):
            sources = tuple(_sample(known[one]) for one in row["rows"])
            name = f"paraphrase {number} {row['strength']}"
            fusion = draft(row["instruction"], row["output"])
            found.append(Case(name, "paraphrase", sources, fusion))
    return found


def made_by_rule(folder: Path, split: str, count: int) -> list[Case]:
    """Return `count` fusions of which half are rows behind their variants, half joined answers."""
    texts = [list(rows_of) for rows_of in _texts(folder, split)]
    found: list[Case] = []
    for number in range(count):
        rng = random.Random(f"{split} {number}")
        text = texts[number % len(texts)]
        made = None
        while made is None:
            at = rng.randrange(len(text) - 3)
            made = _variants(text[at], rng) if number // len(texts) % 2 else _join(text, at, rng)
        found.append(Case(f"rule {number}", *made))
    return found


def _texts(folder: Path, split: str) -> Iterator[list[Sample]]:
    """Yield the samples of each origin; what `split` "dev" holds, "test" does not."""
    dev = split == "dev"
    yield [_sample(row) for row in rows(folder / f"dolly_rated_{'02' if dev else '03'}.jsonl")]
    yield _instructions(folder, dev=dev)
    articles = json.loads((folder / "text" / "xquad.en.json").read_text())["data"]
    half = len(articles) // 2
    yield [
        _about(article["title"].replace("_", " "), part["context"])
        for article in (articles[:half] if dev else articles[half:])
        for part in article["paragraphs"]
    ]
    lines = (folder / "text" / "wiki_demo.txt").read_text(encoding="utf-8").splitlines()
    yield [
        _about(" ".join(line.split()[:2]), " ".join(piece))
        for line in (lines[:20] if dev else lines[20:30])
        for piece in _pieces(sentences(line))
    ]


def _instructions(folder: Path, *, dev: bool) -> list[Sample]:
    base = folder / "self_instruct"
    if dev:
        tasks = rows(base / "seed_tasks.jsonl")
        return [
            Sample(task["instruction"], task["instances"][0]["output"], PLACE) for task in tasks
        ]
    predicted = rows(base / "predictions" / "text-davinci-003.jsonl")
    return [Sample(row["instruction"], str(row["target"]), PLACE) for row in predicted]


def _pieces(lines: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(lines) - 4, 4):
        yield lines[start : start + 4]


def _about(title: str, text: str) -> Sample:
    return Sample(f"Tell me about {title}.", text, PLACE)


def _sample(row: dict[str, Any]) -> Sample:
    return Sample(row["instruction"], row["output"], PLACE, input=row["input"])


def _join(text: Sequence[Sample], at: int, rng: random.Random) -> tuple[Any, ...] | None:
    """Return neighbouring rows, with all their answers under one question."""
    sources = tuple(text[at : at + rng.randint(2, 3)])
    if not all(5 <= len(one.response.split()) <= MOST for one in sources):
        return None
    prompt = " Also, ".join(one.instruction for one in sources)
    joint = "\n\n" if rng.random() < 0.3 else " "
    response = joint.join(_ended(one.response) for one in sources)
    return "join", sources, draft(prompt, response)


def _ended(text: str) -> str:
    text = text.strip()
    return text if text[-1] in ".!?:;)\"'" else text + "."


def _variants(row: Sample, rng: random.Random) -> tuple[Any, ...] | None:
    """Return partial, noisy variants of a row, which is their fusion."""
    if not FEWEST <= len(row.response.split()) <= MOST:
        return None
    chance = np.random.default_rng(rng.randrange(2**32))
    sources = variants(replace(row, input=""), count=rng.randint(2, 4), rng=chance)
    sources = tuple(replace(one, input=row.input) for one in sources)
    return "variants", sources, draft(row.prompt, row.response)
