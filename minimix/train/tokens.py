"""Examples as token ids, through the same function as generation (`minimix.prompt.token_ids`).

Trainers are given ids, never text: their own tokenising would read "<|im_end|>" inside a sample
as the end of a turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minimix.errors import ModelError
from minimix.mixture.tasks import Example, target
from minimix.prompt import Tokenize, to_messages, token_ids
from minimix.records import Message, Messages, Task


@dataclass(frozen=True, slots=True)
class Encoded:
    """An example as ids: the prompt as a model sees it, and the answer with its end of turn."""

    prompt: list[int]
    answer: list[int]

    def __len__(self) -> int:
        """Return the tokens of both."""
        return len(self.prompt) + len(self.answer)


def tokenize_with(tokenizer: Any) -> Tokenize:
    """Return a transformers tokenizer as the function that `token_ids` takes.

    Control tokens are recognised only where asked, which slow tokenizers cannot do: ModelError.
    """
    if not tokenizer.is_fast:
        raise ModelError(f"{tokenizer.name_or_path}: expected a fast tokenizer, found a slow one")

    def tokenize(text: str, control: bool) -> list[int]:  # noqa: FBT001 - prompt.Tokenize
        readable = text.encode("utf-8", "replace").decode("utf-8")  # as llama.cpp is given it
        found = tokenizer(
            readable, add_special_tokens=False, split_special_tokens=not control, verbose=False
        )
        return list(found["input_ids"])

    return tokenize


def chat_ids(tokenizer: Any, messages: Messages) -> list[int]:
    """Return the ids of a chat up to where the model speaks, as llama.cpp makes them."""
    ids = token_ids(messages, _template(tokenizer), _special(tokenizer), tokenize_with(tokenizer))
    first = tokenizer("", add_special_tokens=True)["input_ids"][:1]
    begins = first == [tokenizer.bos_token_id] and ids[:1] != first
    return [*first, *ids] if begins else ids


def prompt_ids(tokenizer: Any, task: Task) -> list[int]:
    """Return the ids that ask for `task`."""
    return chat_ids(tokenizer, to_messages(task))


def end_of_turn(tokenizer: Any) -> int:
    """Return the token with which the assistant's turn ends in the model's own template.

    Raises ModelError where the template ends it with none.
    """
    controls: list[str] = []

    def listen(text: str, control: bool) -> list[int]:  # noqa: FBT001 - prompt.Tokenize
        controls.extend([text] if control else [])
        return []

    chat: list[Message] = [
        {"role": "user", "content": "a question"},
        {"role": "assistant", "content": "an answer"},
    ]
    token_ids(chat, _template(tokenizer), _special(tokenizer), listen)
    after = tokenize_with(tokenizer)(controls[-1], True)
    if after[:1] and after[0] in tokenizer.all_special_ids:
        return after[0]
    raise ModelError(
        f"{tokenizer.name_or_path}: its chat template ends no turn with a control token; "
        "use an instruct model"
    )


def encode(
    examples: Sequence[Example], tokenizer: Any, *, max_length: int
) -> tuple[list[Encoded], int]:
    """Return the examples of at most `max_length` tokens, in order, and how many were longer.

    A longer one is left out whole: cut, it would teach answers without an end.
    """
    end, tokenize = end_of_turn(tokenizer), tokenize_with(tokenizer)
    made = [
        Encoded(prompt_ids(tokenizer, one.task), [*tokenize(target(one), False), end])
        for one in examples
    ]
    fitting = [one for one in made if len(one) <= max_length]
    return fitting, len(made) - len(fitting)


def _template(tokenizer: Any) -> str:
    template = tokenizer.chat_template
    if not isinstance(template, str):
        raise ModelError(f"{tokenizer.name_or_path}: has no chat template; use an instruct model")
    return template


def _special(tokenizer: Any) -> tuple[str, str]:
    return tokenizer.bos_token or "", tokenizer.eos_token or ""
