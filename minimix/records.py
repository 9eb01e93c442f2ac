"""The values that travel along the arrow, and the types of the functions that carry them.

Everything here is frozen: a stage returns new values and changes none.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

import numpy as np
import numpy.typing as npt

Kind = Literal["qa", "mcq", "tfq", "cs", "para"]
Origin = Literal["original", "fusion", "best_source"]
Finish = Literal["stop", "length", "refused", "failed"]
Stage = Literal["read", "copy", "near copy", "rate", "cluster", "plan", "write", "judge",
                "contamination", "select"]  # fmt: skip

KINDS: tuple[Kind, ...] = ("qa", "mcq", "tfq", "cs", "para")
Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]


class Message(TypedDict):
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


Messages = list[Message]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands in the input, and the hash that proves it.

    `line` is its number in the file, from 1; `part` the exchange within a chat, from 0; `sha256`
    its hash as canonical JSON (`minimix.files.record_sha256`), or of bytes that cannot be read.
    """

    file: str
    line: int
    part: int
    sha256: str

    def __str__(self) -> str:
        """Return file:line, with the part where it is not the first."""
        return f"{self.file}:{self.line}" + (f" part {self.part}" if self.part else "")


@dataclass(frozen=True, slots=True)
class Sample:
    """One instruction-response pair: an original with one source, or a fusion with several.

    `rating` is 0..5 on the paper's compressed scale where the data say it, else None; `source` the
    name of its data set, where a mixed pool says it.
    """

    instruction: str
    response: str
    sources: tuple[Place, ...]
    input: str = ""
    system: str = ""
    kind: Kind = "qa"
    rating: float | None = None
    source: str = ""

    @property
    def place(self) -> Place:
        """Where the (first) source stands."""
        return self.sources[0]

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits of a hash over the text and its sources."""
        places = [f"{p.file}\0{p.line}\0{p.part}" for p in self.sources]
        text = "\0".join([self.instruction, self.input, self.response, self.system, *places])
        return hashlib.sha256(text.encode("utf-8")).hexdigest()[:12]

    @property
    def prompt(self) -> str:
        """The instruction, followed by its input where it has one."""
        return f"{self.instruction}\n\n{self.input}" if self.input else self.instruction

    @property
    def text(self) -> str:
        """Prompt and response as one text: what is embedded (PAPER: "prompt\\nanswer")."""
        return f"{self.prompt}\n{self.response}"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A sample, or a record that gave none, which is in no output row."""

    place: Place
    stage: Stage
    reason: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """Rows of 2..5 similar low samples; `similarity` is the mean cosine over their pairs."""

    rows: tuple[int, ...]
    similarity: float


@dataclass(frozen=True, slots=True)
class Task:
    """What the distiller is asked: fuse `parts` into one sample of `kind`.

    `reference` is the known good fusion, where there is one (training and evaluation);
    `think` asks for `<think>` before `<answer>` (the paper's form).
    """

    kind: Kind
    parts: tuple[str, ...]
    reference: str | None = None
    think: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model wrote for one candidate of one task.

    `finish` is "stop" (by itself), "length" (cut at the limit), "refused" (the prompt does not fit)
    or "failed" (the server gave none); `note` says more about the last two.
    """

    task: int
    candidate: int
    text: str
    finish: Finish
    note: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """One candidate answer, parsed: `answer` in the tag, its two halves, and the `problems`."""

    answer: str
    prompt: str
    response: str
    thought: str = ""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reward:
    """The three parts of the paper's reward, each 0..1; alignment is None without a reference."""

    quality: float
    alignment: float | None
    format: float


@dataclass(frozen=True, slots=True)
class Audit:
    """What a draft did with its sources' facts: shares 0..1, findings in words (docs/metrics.md).

    `lost`: sources' facts that it lacks; `unsupported`: its own; `changed`: those told otherwise.
    """

    kept: float
    supported: float
    asked: float
    distinct: float
    copied: float
    each: float = 1.0
    pasted: float = 0.0
    redundant: float = 0.0
    fluent: float = 1.0
    lost: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fusion:
    """An accepted draft, `mended` where a rule put it right: a sample of cluster `cluster`."""

    cluster: int
    sample: Sample
    rating: float
    reward: Reward
    audit: Audit
    mended: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the final set with what is known of it; rarity is in 0..1, 1 the rarest."""

    sample: Sample
    origin: Origin
    rating: float
    rarity: float
    fusion: Fusion | None = None


Embed = Callable[[Sequence[str]], Vectors]
Rate = Callable[[Sequence[Sample]], Vectors]
"""Samples in, ratings 0..5 out: (n,), NaN where the rater gave none."""
Generate = Callable[[Sequence[Messages]], Iterator[Answer]]
"""Chats in, answers out as each finishes, in any order; `Answer.task` is the chat's position."""


@dataclass(frozen=True)
class Rater:
    """Something that rates, with the name the ledgers call it by.

    `trust` says in words, for each kind it knows, how far it agreed with ratings it had not seen.
    """

    rate: Rate
    name: str
    trust: Mapping[Kind, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Engine:
    """Something that generates, with what the ledgers say of it.

    `count` returns the tokens of a chat's prompt, or is None where only a server knows; `escapes`
    how many control tokens in one are broken up, None where none is ever read. `settings` can
    change its output; `cohorts` writes several, each from a clean context, and yields the answers
    of each in turn; None: `generate` does, one by one.
    """

    generate: Generate
    name: str
    sha256: str | None
    count: Callable[[Messages], int] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    cohorts: Callable[[Sequence[Sequence[Messages]]], Iterator[Iterable[Answer]]] | None = None
    escapes: Callable[[Messages], int] | None = None


@dataclass(frozen=True, kw_only=True)
class Models:
    """The three models of a run, each a function, with the names the ledgers call them by."""

    embed: Embed
    embedder: str
    rater: Rater
    engine: Engine
