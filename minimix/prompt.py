"""The only prompt text, and the one way from a chat to token ids.

Training, generation and evaluation all come through here, so a model is used as it was trained.
Control tokens come from the chat template alone: a sample's text is tokenised as plain text.
"""

from collections.abc import Callable, Sequence

from minimix.errors import ModelError
from minimix.records import Kind, Messages, Sample, Task
from minimix.template import rendered

VERSION = "1"
STOPS = ("</answer>", "\n\nQ:")
"""An answer ends here: at its tag, or where a model begins a second sample."""
SYSTEM = (
    "You merge samples about one topic into a single better sample that keeps every fact and "
    "adds none."
)
FORMS: dict[Kind, str] = {
    "qa": "one question and one complete answer, in the form\n<answer>Q: ...\nA: ...</answer>",
    "mcq": (
        "one multiple-choice question, in the form\n"
        "<answer>Q: ...\nA) ...\nB) ...\nC) ...\nD) ...\nAnswer: ...</answer>"
    ),
    "tfq": "one true-or-false statement, in the form\n<answer>...\nAnswer: True or False</answer>",
    "cs": "one category and one statement, in the form\n<answer>C: ...\nS: ...</answer>",
    "para": "one paragraph, in the form\n<answer>...</answer>",
}
THINK = " First say how you merge them, between <think> and </think>."

Tokenize = Callable[[str, bool], list[int]]
"""Text to ids; the flag says whether control tokens may be recognised."""


def part_text(sample: Sample) -> str:
    """Return a sample as one part of a task."""
    if sample.kind == "qa":
        return f"Q: {sample.prompt}\nA: {sample.response}"
    return sample.response


def tokens_of(count: Callable[[Messages], int], chat: Messages, text: str) -> int:
    """Return how many tokens a text adds to a chat, by what counts those of a chat."""
    longer: Messages = [*chat[:-1], {"role": "user", "content": f"{chat[-1]['content']}\n{text}"}]
    return count(longer) - count(chat)


def to_messages(task: Task) -> Messages:
    """Return the chat that asks for `task`; its parts come last, so that prompts share a start."""
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": _ask(task.kind, think=task.think) + "\n\n".join(task.parts)},
    ]


def asked_of(messages: Messages) -> tuple[Kind, bool] | None:
    """Return the kind that a chat of `to_messages` asks for, and whether it asks to think.

    None for any other chat.
    """
    if len(messages) != 2 or messages[0]["content"] != SYSTEM:
        return None
    asks = ((kind, think) for kind in FORMS for think in (False, True))
    begins = messages[1]["content"].startswith
    return next((one for one in asks if begins(_ask(one[0], think=one[1]))), None)


def _ask(kind: Kind, *, think: bool) -> str:
    """Return what stands before the parts: the same for all tasks of a kind."""
    return f"Merge these samples into {FORMS[kind]}{THINK if think else ''}\n\n"


def parts_of(messages: Messages) -> tuple[str, ...]:
    """Return the parts in a chat of `to_messages`, split where a part of a sample begins.

    For engines that merge without a model; a part that itself holds a blank line and "Q:" counts
    as two.
    """
    _, _, body = messages[-1]["content"].partition("</answer>")[2].partition("\n\n")
    head, *rest = body.split("\n\nQ: ")
    return (head, *(f"Q: {part}" for part in rest))


def token_ids(
    messages: Messages, template: str, special: Sequence[str], tokenize: Tokenize
) -> list[int]:
    """Return the ids of a chat up to where the assistant speaks, segment by segment.

    `template` is the model's own Jinja template, run in a sandbox with bounds; `special` its bos
    and eos text.
    Raises ModelError where the template fails or loses a message.
    """
    marks = [f"\x02{number}\x03" for number in range(len(messages))]
    marked = [
        {"role": message["role"], "content": mark}
        for message, mark in zip(messages, marks, strict=True)
    ]
    rest = rendered(marked, template, special)
    ids: list[int] = []
    for message, mark in zip(messages, marks, strict=True):
        control, found, rest = rest.partition(mark)
        if not found:
            raise ModelError(f"the chat template drops the {message['role']} message")
        ids += tokenize(control, True) + tokenize(message["content"], False)
    return ids + tokenize(rest, True)
