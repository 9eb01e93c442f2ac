"""A Modelfile, with which `ollama create` takes a GGUF.

Ollama does not run the chat template in the file: it takes one of its own that is spelt almost the
same, and where there is none it sends the text bare. So the usual form is written out in Ollama's
own language.
"""

from minimix.errors import ModelError
from minimix.prompt import token_ids
from minimix.records import Messages

CHAT: Messages = [
    {"role": "system", "content": "s"},
    {"role": "user", "content": "u"},
    {"role": "assistant", "content": "a"},
    {"role": "user", "content": "v"},
]
CHATML = "".join(f"<|im_start|>{turn['role']}\n\0<|im_end|>\n" for turn in CHAT)
CHATML += "<|im_start|>assistant\n"
"""What a ChatML template makes of `CHAT`, the texts left out."""
TEMPLATE = '''TEMPLATE """{{ if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}{{ range .Messages }}{{ if ne .Role "system" }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}{{ end }}<|im_start|>assistant
"""'''
NO_TEMPLATE = """\
# The chat template in the GGUF is not ChatML, and none is written here. Ollama takes one of its
# own that is spelt nearly the same, if there is one; look at: ollama show --modelfile NAME"""


def modelfile(gguf: str, *, template: str, end: str, temperature: float, context: int) -> str:
    """Return the text of a Modelfile that stands beside the file `gguf`.

    `template` is the model's Jinja template, `end` the token with which it ends a turn, `context`
    in tokens for prompt and answer together.
    """
    lines = [
        f"FROM ./{gguf}",
        TEMPLATE if is_chatml(template) else NO_TEMPLATE,
        f'PARAMETER stop "{end}"',
        f"PARAMETER temperature {temperature:g}",
        f"PARAMETER num_ctx {context}",
    ]
    return "\n".join(lines) + "\n"


def is_chatml(template: str) -> bool:
    """Whether a Jinja template renders a chat with a system message just as ChatML does."""
    controls: list[str] = []

    def listen(text: str, control: bool) -> list[int]:  # noqa: FBT001 - prompt.Tokenize
        controls.append(text if control else "\0")
        return []

    try:
        token_ids(CHAT, template, ("", ""), listen)
    except ModelError:  # it refuses such a chat, and so is none
        return False
    return "".join(controls) == CHATML
