"""Any OpenAI-compatible server as an engine: llama-server, vLLM, or a hosted one.

A server tokenises by itself, so control tokens in the data are broken up here, where the
embedded engine never makes them in the first place.
"""

import os
import random
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from typing import Any

from minimix.engines.forms import UNREADABLE, Forms
from minimix.engines.sampling import Sampling, candidate_seed
from minimix.errors import ModelError, brief
from minimix.extras import need
from minimix.records import Answer, Engine, Finish, Message, Messages

KEY = "OPENAI_API_KEY"
TIMEOUT_S = 300.0
TRIES = 5
WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
BUSY = (408, 429)
ANSWERED = ("stop", "length")
CONTROL = re.compile(
    r"<(?=[|\uff5c]|/?s>|</?SYS>>|(?:start|end)_of_\w+>|/?tool_\w+>|extra_id_\d+>"
    r"|(?:bos|eos|pad|unk|mask|sep|cls)>)"
    r"|\[(?=/?(?:INST|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT|gMASK)\])"
)
"""Where a control token of a common vocabulary begins: <|im_start|>, </s>, [INST], <eos>."""
DECLINED = "the server will not answer it: status "
TOO_LONG = re.compile(r"context.{0,3}(?:length|size|window)", re.IGNORECASE)
"""How servers say that a prompt does not fit: OpenAI, vLLM, llama-server, llama-cpp-python."""


@dataclass(frozen=True)
class Reply:
    """How one request ended: an answer's text and finish, or a problem to try again after."""

    text: str = ""
    finish: Finish = "failed"
    problem: str = ""
    wait_s: float = 0.0


@dataclass(frozen=True)
class Server:
    """Where to ask, for which model, and how."""

    url: Any
    address: str
    model: str
    sampling: Sampling
    new: int
    parallel: int

    def generate(self, chats: Sequence[Messages]) -> Iterator[Answer]:
        """Yield every candidate of every chat as its request ends.

        A request that fails for good yields an answer marked "failed", a prompt too long for the
        server, or one that it will not answer though it answers others, one marked "refused".
        Raises ModelError where the server refuses all that is asked (4xx).
        """
        ended, forms = Event(), Forms(self.sampling.schema)
        with _client(self.url) as client, ThreadPoolExecutor(self.parallel) as pool:

            def ask(task: int, chat: Messages, candidate: int) -> Answer:
                post = partial(self._post, client, self._body(chat, candidate), forms)
                return self._ask(post, task, candidate, ended)

            asked = [
                pool.submit(ask, task, chat, candidate)
                for task, chat in enumerate(chats)
                for candidate in range(self.sampling.candidates)
            ]
            try:
                declined, others = "", False
                for future in as_completed(asked):
                    answer = future.result()
                    declined = answer.note if answer.note.startswith(DECLINED) else declined
                    others = others or answer.finish in ANSWERED
                    yield answer
                if declined and not others:
                    raise ModelError(f"{self.address}: {declined}")
            finally:
                ended.set()
                for future in asked:
                    future.cancel()

    def _body(self, chat: Messages, candidate: int) -> dict[str, Any]:
        greedy = self.sampling.is_greedy(candidate)
        return {
            "model": self.model,
            "messages": [escaped(message) for message in chat],
            "max_tokens": self.new,
            "temperature": 0.0 if greedy else self.sampling.temperature,
            "top_p": 1.0 if greedy else self.sampling.top_p,
            "seed": candidate_seed(self.sampling.seed, repr(chat).encode(), candidate),
        }

    def _ask(self, post: Callable[[], Reply], task: int, candidate: int, ended: Event) -> Answer:
        for attempt in range(TRIES):
            reply = post()
            if reply.finish != "failed":
                return Answer(task, candidate, reply.text, reply.finish, reply.problem)
            if attempt + 1 < TRIES:
                pause = min(reply.wait_s or WAIT_S * 2**attempt, LONGEST_WAIT_S)
                if ended.wait(pause * random.uniform(1.0, 1.2)):  # noqa: S311
                    break  # nobody waits for this answer any more
        return Answer(task, candidate, "", "failed", f"{TRIES} tries: {reply.problem}")

    def _post(self, client: Any, body: dict[str, Any], forms: Forms) -> Reply:
        for way in forms.ways:
            try:
                response = client.post("chat/completions", json={**body, **way})
            except need("httpx").RequestError as error:
                return Reply(problem=type(error).__name__)
            too_long = bool(TOO_LONG.search(response.text))
            if too_long or not forms.refuses(way, response):
                break
        return self._reply(response, way, forms, too_long=too_long)

    def _reply(self, response: Any, way: dict[str, Any], forms: Forms, *, too_long: bool) -> Reply:
        status = response.status_code
        if status in BUSY or status >= 500:
            return Reply(problem=f"status {status}", wait_s=_retry_after(response))
        if status == 200:
            forms.settle(way)
            reply = _read(response)
            return replace(reply, problem=reply.problem or forms.note_on(way))
        if 400 <= status < 500 and too_long:
            return Reply(finish="refused", problem=f"status {status}: the prompt does not fit")
        if status in UNREADABLE:
            return Reply(finish="refused", problem=f"{DECLINED}{status}: {_said(response)}")
        raise ModelError(f"{self.address}: status {status}: {_said(response)}")


def connect(base_url: str, model: str, *, sampling: Sampling, new: int, parallel: int) -> Engine:
    """Return the engine behind `base_url`; without a `model` name the server's first is taken.

    The key, where one is needed, comes from $OPENAI_API_KEY and goes nowhere else. Raises
    ModelError where nobody answers there.
    """
    httpx = need("httpx")
    try:
        url = httpx.URL(base_url.rstrip("/") + "/")
        address = str(url.copy_with(userinfo=b"")).rstrip("/")  # a password stays out of ledgers
        with _client(url) as client:
            response = client.get("models", timeout=LONGEST_WAIT_S)
    except (httpx.InvalidURL, httpx.RequestError) as error:
        raise ModelError(
            f"{base_url.rpartition('@')[2]}: nobody answers ({type(error).__name__}: "
            f"{brief(error)}); is the server up, and is that its address?"
        ) from error
    model = model or _first_model(response, address)
    server = Server(url, address, model, sampling, new, parallel)
    settings = {"parallel": parallel, "model": model}
    return Engine(server.generate, name=f"{model} at {address}", sha256=None, settings=settings)


def escaped(message: Message) -> Message:
    """Return a message whose text holds nothing a server would read as a control token."""
    text = CONTROL.sub(r"\g<0> ", _encodable(message["content"]))
    return {"role": message["role"], "content": text}


def _client(url: Any) -> Any:
    """Return a client to be closed after use: one list of chats each, so no socket goes stale."""
    return need("httpx").Client(base_url=url, headers=_headers(), timeout=TIMEOUT_S)


def _headers() -> dict[str, str]:
    """Return what carries the key. httpx would quote a key that no header can hold: not here."""
    key = os.environ.get(KEY, "").strip()
    if not all("!" <= sign <= "~" for sign in key):
        raise ModelError(f"${KEY}: expected printable ASCII without blanks, found other characters")
    return {"Authorization": f"Bearer {key}"} if key else {}


def _first_model(response: Any, address: str) -> str:
    found = f"status {response.status_code}"
    try:
        if response.status_code == 200:
            return str(response.json()["data"][0]["id"])
    except (ValueError, LookupError, TypeError):
        found = "a reply of another form"
    raise ModelError(
        f"{address}: expected a list of models, found {found}; "
        "does the address end in /v1? Or name the model: --model NAME"
    )


def _read(response: Any) -> Reply:
    """Return the answer in a reply with status 200."""
    try:
        choice = response.json()["choices"][0]
        text = choice["message"]["content"]
        length = choice.get("finish_reason") == "length"
    except ValueError:
        return Reply(problem="a reply that is not JSON")
    except (LookupError, TypeError, AttributeError):
        return Reply(problem="a reply without choices")
    if not isinstance(text, str | None):
        return Reply(problem="a reply without text")
    return Reply(_encodable(text or ""), "length" if length else "stop")


def _said(response: Any) -> str:
    """Return what a server says of a refusal as one short line, without the key it may quote."""
    key = os.environ.get(KEY, "").strip()
    if response.is_redirect:
        return f"it redirects to {response.headers.get('location', 'nowhere')[:200]}"
    text = response.text.replace(key, "...") if key else response.text
    return " ".join(text.split())[:200]


def _encodable(text: str) -> str:
    """Return `text` without lone surrogates, which JSON can carry and UTF-8 can not."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _retry_after(response: Any) -> float:
    value = response.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else 0.0
