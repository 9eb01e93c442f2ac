"""Any OpenAI-compatible server as an engine: llama-server, vLLM, or a hosted one.

A server tokenises by itself, so control tokens in the data are broken up here, where the
embedded engine never makes them in the first place.
"""

import os
import random
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

from minimix.engines.sampling import Sampling, candidate_seed
from minimix.errors import ModelError
from minimix.extras import need
from minimix.records import Answer, Engine, Message, Messages

KEY = "OPENAI_API_KEY"
TIMEOUT_S = 300.0
TRIES = 5
WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
BUSY = (408, 429)
CONTROL = re.compile(r"<(?=[|\uff5c]|/?s>)|\[(?=/?INST\])")


@dataclass(frozen=True)
class Server:
    """Where to ask, for which model, and how."""

    client: Any
    model: str
    sampling: Sampling
    new: int
    parallel: int

    def generate(self, chats: Sequence[Messages]) -> Iterator[Answer]:
        """Yield every candidate of every chat as its request ends.

        A request that fails for good yields an answer marked "failed". Raises ModelError where the
        server refuses what is asked (4xx).
        """
        with ThreadPoolExecutor(self.parallel) as pool:
            asked = [
                pool.submit(self._ask, task, chat, candidate)
                for task, chat in enumerate(chats)
                for candidate in range(self.sampling.candidates)
            ]
            try:
                for future in as_completed(asked):
                    yield future.result()
            finally:
                for future in asked:
                    future.cancel()

    def _ask(self, task: int, chat: Messages, candidate: int) -> Answer:
        body = {
            "model": self.model,
            "messages": [escaped(message) for message in chat],
            "max_tokens": self.new,
            "temperature": self.sampling.temperature if candidate else 0.0,
            "top_p": self.sampling.top_p if candidate else 1.0,
            "seed": candidate_seed(self.sampling.seed, repr(chat).encode(), candidate),
        }
        for attempt in range(TRIES):
            problem, wait, reply = self._post(body)
            if reply is not None:
                return _read(task, candidate, reply)
            if attempt + 1 < TRIES:
                pause = wait or WAIT_S * 2**attempt
                time.sleep(min(pause, LONGEST_WAIT_S) * random.uniform(0.8, 1.2))  # noqa: S311
        return Answer(task, candidate, "", "failed", f"{TRIES} tries: {problem}")

    def _post(self, body: dict[str, Any]) -> tuple[str, float, Any]:
        """Return what went wrong and how long to wait, or the reply."""
        httpx = need("httpx")
        try:
            response = self.client.post("chat/completions", json=body)
        except httpx.TransportError as error:
            return type(error).__name__, 0.0, None
        if response.status_code in BUSY or response.status_code >= 500:
            return f"status {response.status_code}", _retry_after(response), None
        if response.status_code != 200:
            raise ModelError(
                f"{self.client.base_url}: status {response.status_code}: "
                f"{' '.join(response.text.split())[:200]}"
            )
        try:
            return "", 0.0, response.json()
        except ValueError:
            return "a reply that is not JSON", 0.0, None


def connect(base_url: str, model: str, *, sampling: Sampling, new: int, parallel: int) -> Engine:
    """Return the engine behind `base_url`; without a `model` name the server's first is taken.

    The key, where one is needed, comes from $OPENAI_API_KEY and goes nowhere else. Raises
    ModelError where nobody answers there.
    """
    httpx = need("httpx")
    key = os.environ.get(KEY)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url = base_url.rstrip("/") + "/"
    client = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_S)
    if not model:
        try:
            reply = client.get("models")
            reply.raise_for_status()
            model = str(reply.json()["data"][0]["id"])
        except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
            raise ModelError(
                f"{base_url}: no list of models ({type(error).__name__}: {error}); "
                "is the server up, and does the address end in /v1?"
            ) from error
    server = Server(client, model, sampling, new, parallel)
    settings = {"parallel": parallel, "model": model}
    return Engine(server.generate, name=f"{model} at {base_url}", sha256=None, settings=settings)


def escaped(message: Message) -> Message:
    """Return a message whose text holds nothing a server would read as a control token."""
    return {"role": message["role"], "content": CONTROL.sub(r"\g<0> ", message["content"])}


def _read(task: int, candidate: int, reply: Any) -> Answer:
    try:
        choice = reply["choices"][0]
        text = choice["message"]["content"] or ""
        finish = "length" if choice.get("finish_reason") == "length" else "stop"
    except (LookupError, TypeError, AttributeError):
        return Answer(task, candidate, "", "failed", "a reply without choices")
    if not isinstance(text, str):
        return Answer(task, candidate, "", "failed", "a reply without text")
    return Answer(task, candidate, text, "length" if finish == "length" else "stop")


def _retry_after(response: Any) -> float:
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdigit() else 0.0
