"""Held-out tasks of five kinds for benchmarks/distiller.py, made of rows that nothing shipped saw.

    python benchmarks/held_out.py FOLDER OUTPUT

FOLDER holds the public data (dolly_rated_00.jsonl to 03, text/, self_instruct/).
OUTPUT gets held_out.jsonl: variants of Dolly rows by a degrader that is frozen here, whatever
becomes of the one that makes training data; variants of samples of four kinds out of articles;
answers of five weak models to one instruction, whose reference a person wrote; and neighbours,
rows and statements about one subject that ask different things, whose reference is made by rule.
The last line says what was made, with its hash: the tasks themselves are too large, and of too many
licences, to lie here.
"""

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from minimix.disk import file_sha256, record_sha256
from minimix.embed import load_embedder
from minimix.mixture.likeness import alike, index
from minimix.mixture.rule.clusters import from_articles, from_samples
from minimix.mixture.tasks import HELD_OUT, Example, target, write_examples
from minimix.mixture.text.articles import Article, read_articles, read_squad
from minimix.mixture.text.passages import build
from minimix.mixture.worse.degrade import variants
from minimix.parse import parse
from minimix.prompt import part_text
from minimix.records import Kind, Place, Sample, Task

SEED = 0
FROZEN, PREDICTED = "variants by the frozen degrader", "self_instruct"
NEIGHBOURS = "neighbours"
QA_TASKS, EACH_KIND, PREDICTED_TASKS = 200, 75, 150
MOST_NEIGHBOURS: dict[Kind, int] = {"qa": 75, "mcq": 10, "tfq": 15, "cs": 20, "para": 20}
DOLLY = ("dolly_rated_02.jsonl", "dolly_rated_03.jsonl")
TRAINED_ON = ("dolly_rated_00.jsonl", "dolly_rated_01.jsonl")
LEAST_CLASS, FEWEST_WORDS, MOST_WORDS, FEWEST_SENTENCES = 3, 30, 110, 3
SMALL, POINTLESS, SWAPPED, LOST, NOISY_QUESTION = 0.5, 0.3, 0.04, 0.02, 0.5
"""Chances: of a text to be in small letters and to lose its points, of a word to have two letters
swapped and to be lost, of a question to be touched at all."""
FROM_ARTICLE = 20
"""Plain articles up to here may be trained on."""
OTHER_KINDS: tuple[Kind, ...] = ("mcq", "tfq", "cs", "para")
WEAK = (
    "davinci",
    "davinci-t0-ft",
    "davinci-superni-ft",
    "davinci-self-instruct",
    "davinci-self-instruct-and-superni-ft",
)
FEWEST_PREDICTIONS, MOST_PREDICTED, MOST_ASKED, FEWEST_TARGET = 3, 150, 100, 5
"""Predictions a task; words of one, of an instruction with its input, of a reference."""
MOST_WORDS_IN_ALL = 500
"""Of a task's parts: all systems have room for them."""


def frozen(folder: Path) -> list[Example]:
    """Return Dolly rows as tasks, their parts partial and careless versions of the row.

    Rows whose answer is nearly that of one that may be trained on are left out.
    """
    made = []
    known = index([row["output"] for _, row in _rows(folder, TRAINED_ON)])
    for place, row in _rows(folder, DOLLY):
        rng = random.Random(row["id"])
        parts = degraded(row, rng) if _is_fit(row) and not alike(row["output"], known) else []
        if len(parts) > 1:
            reference = f"Q: {row['instruction']}\nA: {row['output']}"
            made.append(Example(Task("qa", tuple(parts), reference), FROZEN, (place,)))
    whole = [example for example in made if _is_whole(example)]
    picked = random.Random(SEED).sample(range(len(whole)), min(QA_TASKS, len(whole)))
    return [whole[number] for number in sorted(picked)]


def degraded(row: dict[str, Any], rng: random.Random) -> list[str]:
    """Return two to four parts that each hold some of a row's sentences, none where it has few."""
    units = [unit for unit in re.split(r"(?<=[.!?])\s+|\n+", row["output"]) if unit.strip()]
    if len(units) < FEWEST_SENTENCES:
        return []
    count = rng.randint(2, 4)
    held: list[list[int]] = [[] for _ in range(count)]
    for number in range(len(units)):
        for holder in rng.sample(range(count), k=rng.randint(1, max(1, count - 1))):
            held[holder].append(number)
    parts = []
    for own in filter(None, held):
        question = row["instruction"]
        if rng.random() < NOISY_QUESTION:
            question = noisy(question, rng)
        parts.append(f"Q: {question}\nA: {noisy(' '.join(units[n] for n in own), rng)}")
    return parts


def noisy(text: str, rng: random.Random) -> str:
    """Return a text as somebody types who looks at nothing."""
    if rng.random() < SMALL:
        text = text.lower()
    if rng.random() < POINTLESS:
        text = re.sub(r"[.,;:!?]", "", text)
    kept = []
    for word in text.split(" "):
        if len(word) > 4 and rng.random() < SWAPPED:
            at = rng.randrange(1, len(word) - 2)
            word = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        if rng.random() < LOST:
            continue
        kept.append(word)
    return " ".join(kept)


def other_kinds(folder: Path) -> list[Example]:
    """Return tasks of the four other kinds out of articles that may not be trained on."""
    samples = build(_articles(folder), rng=np.random.default_rng(SEED))
    made: list[Example] = []
    for kind in OTHER_KINDS:
        own = [sample for sample in samples if sample.kind == kind]
        order = np.random.default_rng([SEED, OTHER_KINDS.index(kind)]).permutation(len(own))
        tasks = [_varied(own[number]) for number in order]
        made += [example for example in tasks if _is_whole(example)][:EACH_KIND]
    return made


def _articles(folder: Path) -> list[Article]:
    """Return the articles that may not be trained on."""
    plain = read_articles(folder / "text" / "wiki_demo.txt")[FROM_ARTICLE:]
    asked = read_squad(folder / "text" / "xquad.en.json")
    return [*asked[len(asked) // 2 :], *plain]


def neighbours(folder: Path) -> list[Example]:
    """Return clusters of rows, or of statements in one article, that ask different things."""
    known = index([row["output"] for _, row in _rows(folder, TRAINED_ON)])
    rows = [
        Sample(row["instruction"], row["output"], (place,))
        for place, row in _rows(folder, DOLLY)
        if row["score_aligned"] and row["score_gpt4o_mini"] >= LEAST_CLASS and not row["input"]
    ]
    unseen = [sample for sample in rows if not alike(sample.response, known)]
    embed, rng = load_embedder().embed, np.random.default_rng(SEED)
    made = [
        *from_samples(unseen, per_row=1, embed=embed, rng=rng),
        *from_articles(_articles(folder), rng=rng),
    ]
    kept: list[Example] = []
    for kind, most in MOST_NEIGHBOURS.items():
        own = [one for one in made if one.made == NEIGHBOURS and one.task.kind == kind]
        whole = [_by_name(example) for example in own if _is_whole(example)]
        picked = random.Random(SEED).sample(range(len(whole)), min(most, len(whole)))
        kept += [whole[number] for number in sorted(picked)]
    return kept


def _by_name(example: Example) -> Example:
    """Return an example whose places name files without their folders."""
    places = tuple(replace(place, file=Path(place.file).name) for place in example.sources)
    return replace(example, sources=places)


def _varied(sample: Sample) -> Example:
    """Return a sample's variants as a task; its chance follows from its text alone."""
    seed = int(record_sha256([sample.kind, sample.response])[:8], 16)
    rng = np.random.default_rng(seed)
    parts = variants(sample, count=int(rng.integers(2, 5)), rng=rng)
    task = Task(sample.kind, tuple(map(part_text, parts)), part_text(sample))
    return _by_name(Example(task, "variants", sample.sources))


def predicted(folder: Path) -> list[Example]:
    """Return what weak models answered to an instruction, with what a person answered."""
    names = [f"{name}.jsonl" for name in WEAK]
    by_model = [list(_rows(folder / "self_instruct" / "predictions", [name])) for name in names]
    made = []
    for found in zip(*by_model, strict=True):
        row = found[0][1]
        asked = "\n\n".join(filter(None, (row["instruction"].strip(), row["input"].strip())))
        own = {
            one["response"].strip(): place
            for place, one in found
            if 0 < len(one["response"].split()) <= MOST_PREDICTED
        }
        reference = row["target"].strip()
        fits = FEWEST_TARGET <= len(reference.split()) <= MOST_PREDICTED
        if fits and len(own) >= FEWEST_PREDICTIONS and len(asked.split()) <= MOST_ASKED:
            parts = tuple(f"Q: {asked}\nA: {response}" for response in own)
            task = Task("qa", parts, f"Q: {asked}\nA: {reference}")
            made.append(Example(task, PREDICTED, tuple(own.values())))
    whole = [example for example in made if _is_whole(example)]
    picked = random.Random(SEED).sample(range(len(whole)), min(PREDICTED_TASKS, len(whole)))
    return [whole[number] for number in sorted(picked)]


def _rows(folder: Path, names: Sequence[str]) -> Iterator[tuple[Place, dict[str, Any]]]:
    for name in names:
        with (folder / name).open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                row = json.loads(line)
                yield Place(name, number, 0, record_sha256(row)), row


def _is_fit(row: dict[str, Any]) -> bool:
    rated = row["score_aligned"] and row["score_gpt4o_mini"] >= LEAST_CLASS
    words = len(row["output"].split())
    return rated and not row["input"] and FEWEST_WORDS <= words <= MOST_WORDS


def _is_whole(example: Example) -> bool:
    """Whether the reference is well-formed, and no part empty or the reference itself."""
    parts = example.task.parts
    formed = not parse(example.task, target(example)).problems
    fits = len(" ".join(parts).split()) <= MOST_WORDS_IN_ALL
    told = all(part.strip() for part in parts) and example.reference not in parts
    return formed and fits and told


def main() -> None:
    """Make them and say what was made."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("folder", type=Path)
    options.add_argument("output", type=Path)
    given = options.parse_args()
    ways = (frozen, other_kinds, predicted, neighbours)
    made = [example for way in ways for example in way(given.folder)]
    path = given.output / HELD_OUT
    write_examples(path, made)
    counts = Counter(f"{example.task.kind}, {example.made}" for example in made)
    for name, count in counts.items():
        print(f"{count:5} {name}")
    print(f"{len(made):5} tasks in {path}, SHA-256 {file_sha256(path)}")


if __name__ == "__main__":
    main()
