"""Models that are plain functions, for tests of the arrow."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from minimix.arrow import Distilled, distill
from minimix.config import DistillConfig
from minimix.journal import open_journal
from minimix.pool import Pool
from minimix.prompt import parts_of
from minimix.records import Answer, Engine, Messages, Models, Place, Rater, Sample, Vectors

WIDTH = 64
TOPICS = ("the moon is far", "bread needs yeast", "dogs like walks")
CONFIG = DistillConfig(budget="4", min_similarity=0.5, cohort=2)
Write = Callable[[Sequence[str]], str]


def embed(texts: Sequence[str]) -> Vectors:
    """Return bags of hashed words as unit rows: texts that share words are near."""
    vectors = np.full((len(texts), WIDTH), 1e-3, dtype=np.float32)
    for row, text in enumerate(texts):
        for word in re.findall(r"\w+", text.lower()):
            vectors[row, hashlib.sha256(word.encode()).digest()[0] % WIDTH] += 1
    norms: Vectors = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / norms


def by_words(samples: Sequence[Sample]) -> Vectors:
    """Rate a sample by its words: one tenth each, 5 at most."""
    return np.array([min(5, len(s.text.split()) / 10) for s in samples], dtype=np.float32)


def join(parts: Sequence[str]) -> str:
    """Answer the first question with all the answers, one after the other."""
    question = parts[0].partition("\nA: ")[0]
    answers = " ".join(part.partition("\nA: ")[2] for part in parts)
    return f"<answer>{question}\nA: {answers}</answer>"


def engine(write: Write = join, calls: list[int] | None = None) -> Engine:
    """Return an engine that answers with `write(parts)`, and counts the chats it was given."""

    def generate(chats: Sequence[Messages]) -> Iterator[Answer]:
        if calls is not None:
            calls.append(len(chats))
        for task, chat in enumerate(chats):
            yield Answer(task, 0, write(parts_of(chat)), "stop")

    return Engine(generate, name="a function", sha256=None)


def models(write: Write = join, calls: list[int] | None = None) -> Models:
    """Return models for the arrow."""
    made = engine(write, calls)
    return Models(embed=embed, embedder="words", rater=Rater(by_words, "words"), engine=made)


def sample(prompt: str, response: str, line: int = 1, rating: float | None = None) -> Sample:
    """Return a sample that stands at a line of file "f"."""
    return Sample(prompt, response, (Place("f", line, 0, f"{line:064x}"),), rating=rating)


def pool(*samples: Sample) -> Pool:
    """Return the pool of these samples."""
    return Pool(samples=samples, dropped=(), records=len(samples), shapes={"alpaca": len(samples)})


def near_rows(count: int = 9) -> list[Sample]:
    """Rows on three topics, each of which says one thing of its own."""
    words = "crater tides gravity flour oven crust leash park bone basalt rocket orbit".split()
    return [
        sample(
            f"Tell me about {TOPICS[n % 3]}",
            f"Think of {words[n % len(words)]} number {n}.",
            n + 1,
        )
        for n in range(count)
    ]


def run(
    folder: Path,
    samples: Sequence[Sample],
    config: DistillConfig = CONFIG,
    use: Models | None = None,
) -> Distilled:
    """Distil samples into `folder`/out."""
    with open_journal(folder / "out", restart=False) as journal:
        journal.begin({"settings": config.flat()})
        return distill(pool(*samples), config=config, models=use or models(), journal=journal)
