"""Models that are plain functions, for tests of the arrow."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from minimix.prompt import parts_of
from minimix.records import Answer, Engine, Messages, Models, Place, Sample, Vectors

WIDTH = 64
Write = Callable[[Sequence[str]], str]


def embed(texts: Sequence[str]) -> Vectors:
    """Return bags of hashed words as unit rows: texts that share words are near."""
    vectors = np.full((len(texts), WIDTH), 1e-3, dtype=np.float32)
    for row, text in enumerate(texts):
        for word in re.findall(r"\w+", text.lower()):
            vectors[row, hashlib.sha256(word.encode()).digest()[0] % WIDTH] += 1
    norms: Vectors = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / norms


def by_words(samples: Sequence[Sample], _embeddings: Vectors) -> Vectors:
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
    return Models(embed=embed, embedder="words", rate=by_words, rater="words", engine=made)


def sample(prompt: str, response: str, line: int = 1, rating: float | None = None) -> Sample:
    """Return a sample that stands at a line of file "f"."""
    return Sample(prompt, response, (Place("f", line, 0, f"{line:064x}"),), rating=rating)
