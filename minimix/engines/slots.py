"""What the batcher keeps of a prompt and of a sequence; it alone changes them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from minimix.engines.picker import Picker


@dataclass
class Job:
    """A prompt with its candidates: how many are begun, and the logits at its end once read.

    `held` is the grammar that the candidates are held to, if any.
    """

    task: int
    ids: list[int]
    limit: int
    begun: int = 0
    logits: np.ndarray | None = None
    key: bytes = b""
    held: str | None = None


@dataclass
class Slot:
    """One sequence: what it has still to read, what it has written."""

    seq: int
    job: Job
    candidate: int
    todo: list[int] = field(default_factory=list)
    picker: Picker | None = None
    position: int = 0
    last: int = -1
    fresh: bool = False
    written: int = 0
    text: bytearray = field(default_factory=bytearray)


def shared_start(prompts: Sequence[list[int]]) -> int:
    """Return how many tokens all prompts begin with, leaving each at least one of its own."""
    first, last = min(prompts), max(prompts)
    most = min(map(len, prompts)) - 1
    pairs = zip(first[:most], last[:most], strict=True)
    return next((n for n, (one, two) in enumerate(pairs) if one != two), most)
