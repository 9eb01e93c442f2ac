"""`python -m minimix.template`: a model's chat template, rendered in a child process with bounds.

Jinja's sandbox keeps a template from everything but its own text, and not from asking for endless
loops or all memory: the system keeps this process from that.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from minimix.errors import ModelError, brief
from minimix.extras import need

SECONDS, MOST_BYTES = 5, 2**30
"""Computing and memory that a template may take; those of models need 0.2 s and 50 MB."""
PATIENCE_S = 120
"""For a machine so busy that those seconds take longer."""
LONGEST = 2**20
"""Characters of a rendered chat whose messages are marks: no template says so much itself."""
FAILS = (
    TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RuntimeError,
    MemoryError, SyntaxError, AssertionError, NameError,
)  # fmt: skip
"""What the expressions of a template may raise beside Jinja's own errors: it writes Python, in
which -1e999 is a name, and a hundred brackets are too many."""

Messages = Sequence[Mapping[str, str]]


def rendered(messages: Messages, template: str, special: Sequence[str]) -> str:
    """Return a chat as a template writes it, up to where the assistant speaks.

    `special` are the model's bos and eos text. Raises ModelError where the template fails, or takes
    more time or memory than it may.
    """
    asked = {"messages": list(messages), "template": template, "special": list(special)}
    return _in_child(json.dumps(asked))


@lru_cache(maxsize=64)
def _in_child(asked: str) -> str:
    """Return the answer of a child process; a chat's marks are its whole input, so it is kept."""
    safe = "-P"  # the working folder holds data: nothing in it is imported
    command = [sys.executable, safe, "-m", "minimix.template"]
    try:
        done = subprocess.run(
            command, input=asked.encode("ascii"), capture_output=True, timeout=PATIENCE_S
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"the chat template took more than {PATIENCE_S} s") from error
    if done.returncode < 0:
        bounds = f"{SECONDS} s or {MOST_BYTES >> 20:,} MB"
        raise ModelError(f"the chat template takes more than {bounds}; use another model's file")
    if done.returncode:
        raise ModelError(f"the chat template fails: {brief(Exception(done.stderr.decode()))}")
    answer: dict[str, str] = json.loads(done.stdout)
    if "error" in answer:
        raise ModelError(answer["error"])
    return answer["text"]


def render(messages: Messages, template: str, special: Sequence[str]) -> str:
    """Return what `rendered` does, in this process and without its bounds."""
    errors = need("jinja2.exceptions")
    try:
        text: str = _compiled(template).render(
            messages=messages,
            add_generation_prompt=True,
            bos_token=special[0],
            eos_token=special[1],
        )
    except (errors.TemplateError, *FAILS) as error:
        what = brief(error) or type(error).__name__
        raise ModelError(f"the chat template fails: {what}") from error
    if len(text) > LONGEST:
        raise ModelError(f"the chat template writes {len(text):,} characters")
    return text


def _compiled(template: str) -> Any:
    sandbox = need("jinja2.sandbox")
    environment = sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _refuse
    return environment.from_string(template)


def _refuse(reason: object) -> None:
    line = brief(Exception(reason))
    raise ModelError(f"the chat template refuses this chat: {line}")


def main() -> None:
    """Answer one question on stdin."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    asked = json.load(sys.stdin)
    try:
        answer = {"text": render(asked["messages"], asked["template"], asked["special"])}
    except ModelError as error:
        answer = {"error": str(error)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
