"""How many tokens an example costs, counted as they are trained on."""

from pathlib import Path

from minimix.config import BUNDLED
from minimix.engines import find_model
from minimix.engines.bundled import packaged_model
from minimix.engines.model import LlamaModel
from minimix.mixture.statistics import CountTokens, Lengths
from minimix.mixture.tasks import Example, target
from minimix.prompt import to_messages
from minimix.records import Message, Task

END = 1
"""The token that ends a turn."""
BLANK = "x"


def token_counter(model: str = BUNDLED) -> CountTokens:
    """Return what counts with the vocabulary and chat template of a GGUF file or hub id.

    Raises ModelError where there is no such file, or it has no chat template.
    """
    path: Path = packaged_model() if model == BUNDLED else find_model(model)
    opened = LlamaModel(path, gpu_layers=0, repack=False)
    chat = to_messages(Task("qa", (BLANK,)))
    blank: list[Message] = [{"role": turn["role"], "content": BLANK} for turn in chat]

    def size(text: str) -> int:
        return len(opened.tokenize(text, False))

    # texts are tokenised apart from the template: what it adds is the same for every chat
    frame = len(opened.prompt_ids(blank)) - len(blank) * size(BLANK)

    def count(example: Example) -> Lengths:
        prompt = sum(size(turn["content"]) for turn in to_messages(example.task))
        return Lengths(frame + prompt, size(target(example)) + END)

    return count
