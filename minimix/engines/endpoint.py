"""One OpenAI-compatible server: how it is found, asked once, and understood.

A server tokenises by itself, so control tokens in the data are broken up here, where the
embedded engine never makes them in the first place.
"""

import json
import os
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import quote

from minimix.addressed import CONTROL
from minimix.disk import parse_json
from minimix.engines.forms import UNREADABLE, Forms
from minimix.engines.received import received
from minimix.errors import ModelError
from minimix.extras import need
from minimix.records import Finish, Message, Messages

KEY = "OPENAI_API_KEY"
TIMEOUT_S = 300.0
CONNECT_S = 30.0
SPELLINGS = re.compile(
    CONTROL.pattern + r"|<(?=(?:unused|reserved_|special_|SPECIAL_)\d{1,4}>|[A-Z_]{1,30}_TOKEN>"
    r"|(?:image|fim_\w{1,9}|endoftext)>)"
    r"|\[(?=/?(?:THINK|TOOL_CONTENT|MODEL_SETTINGS|CALL_ID|IMG|CLS|SEP|MASK|PAD|UNK|sMASK)\])"
)
"""Where what a server may take for a control token begins: also what a text may well say."""
BUSY = (408, 429)
DECLINED = "the server will not answer it: status "
SAID = 200
"""Characters of what a server says that are shown."""
TOO_LONG = re.compile(r"context.{0,3}(?:length|size|window)", re.IGNORECASE)
"""How servers say that a prompt does not fit: OpenAI, vLLM, llama-server, llama-cpp-python."""


@dataclass(frozen=True)
class Reply:
    """How one request ended: an answer's text and finish, or a problem to try again after.

    `wait_s` is what the server asked for with Retry-After, in seconds.
    """

    text: str = ""
    finish: Finish = "failed"
    problem: str = ""
    wait_s: float = 0.0


@dataclass(frozen=True)
class Endpoint:
    """Where a server is; `auth` is the name and password that its address came with.

    They are parted from the address, which httpx writes into its log whole.
    """

    address: str
    auth: tuple[str, str] | None = field(default=None, repr=False)

    def client(self) -> AbstractContextManager[Any]:
        """Return a client to be closed after use: one list of chats, so no socket goes stale."""
        from minimix.engines.timed import bound

        httpx = need("httpx")
        client = httpx.Client(
            base_url=self.address,
            auth=self.auth,
            headers=_headers(),
            timeout=httpx.Timeout(TIMEOUT_S, connect=CONNECT_S),
            limits=httpx.Limits(max_connections=None),  # places are counted elsewhere
        )
        return bound(client)  # type: ignore[no-any-return]

    def post(self, client: Any, body: Mapping[str, Any], forms: Forms) -> Reply:
        """Return how one request ended.

        Raises ModelError where the server refuses it for good (4xx), whatever the text.
        """
        for way in forms.ways:
            try:
                response = received(client, "POST", "chat/completions", json={**body, **way})
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
            return Reply(finish="refused", problem=f"{DECLINED}{status}: {self._said(response)}")
        raise ModelError(f"{self.address}: status {status}: {self._said(response)}")

    def _said(self, response: Any) -> str:
        """Return what a server says of a refusal."""
        if response.is_redirect:
            return self.told(f"it redirects to {response.headers.get('location', 'nowhere')}")
        return self.told(response.text)

    def told(self, text: str) -> str:
        """Return what a server says, or httpx of it, as one short line that any terminal can show.

        The key and the password are not in it, however the server came to quote them.
        """
        for secret in _spellings(*_secrets(self.auth)):
            text = text.replace(secret, "...")
        shown = "".join(sign if sign.isprintable() else " " for sign in text)
        return " ".join(shown.split())[:SAID]

    def models(self, response: Any) -> list[str]:
        """Return the names in a list of models.

        Raises ModelError for a reply that is none.
        """
        found = f"status {response.status_code}"
        try:
            if response.status_code == 200:
                names = [str(model["id"]) for model in parse_json(response.content)["data"]]
                if names[0].isprintable():
                    return names
                found = "a name that no terminal can show"
        except (ValueError, LookupError, TypeError):
            found = "a reply of another form"
        raise ModelError(
            f"{self.address}: expected a list of models, found {found}; "
            "does the address end in /v1? A server alone may go without: --model NAME"
        )


def find(base_url: str) -> tuple[Endpoint, Any]:
    """Return the server behind `base_url`, and its reply to the question for its models.

    The key, where one is needed, comes from $OPENAI_API_KEY and goes nowhere else. Raises
    ModelError where nobody answers there.
    """
    httpx = need("httpx")
    shown = base_url.rpartition("@")[2]
    try:
        url = httpx.URL(base_url.rstrip("/") + "/")
        address = str(url.copy_with(userinfo=b"")).rstrip("/")
        endpoint = Endpoint(address, (url.username, url.password) if url.userinfo else None)
        with endpoint.client() as client:
            return endpoint, received(client, "GET", "models", timeout=CONNECT_S)
    except (httpx.InvalidURL, UnicodeError):  # the second from a host that no name server can know
        reason = "expected an address such as http://host:8000/v1, found one that nobody can have"
    except httpx.RequestError as error:
        said = f"{type(error).__name__}: {endpoint.told(str(error))}"
        reason = f"nobody answers ({said}); is the server up, and is that its address?"
    raise ModelError(f"{shown}: {reason}")


def escaped(message: Message) -> Message:
    """Return a message in which spellings of control tokens of common models are broken up."""
    text = SPELLINGS.sub(r"\g<0> ", _encodable(message["content"]))
    return {"role": message["role"], "content": text}


def escapes(messages: Messages) -> int:
    """Return how many control tokens `escaped` breaks up in a chat."""
    return sum(len(SPELLINGS.findall(message["content"])) for message in messages)


def _headers() -> dict[str, str]:
    """Return what carries the key. httpx would quote a key that no header can hold: not here."""
    if re.search(r"[^!-~]", os.environ.get(KEY, "").strip()):  # no local of a traceback holds it
        raise ModelError(f"${KEY}: expected printable ASCII without blanks, found other characters")
    key = os.environ.get(KEY, "").strip()
    return {"Authorization": f"Bearer {key}"} if key else {}


def _secrets(auth: tuple[str, str] | None) -> list[str]:
    """Return what nobody may see: the key, and what an address came with."""
    key = os.environ.get(KEY, "").strip()
    basic = b64encode(":".join(auth).encode()).decode() if auth else ""
    return [one for one in (key, basic, *(auth or ())[1:]) if one]


def _spellings(*secrets: str) -> Sequence[str]:
    """Return secrets as they are, as Python and JSON quote them, and as an address spells them."""
    ways = (str, lambda one: repr(one)[1:-1], lambda one: json.dumps(one)[1:-1], quote)
    found = {way(one) for one in secrets for way in (*ways, partial(quote, safe=""))}
    return sorted(found, key=len, reverse=True)


def _read(response: Any) -> Reply:
    """Return the answer in a reply with status 200."""
    try:
        choice = parse_json(response.content)["choices"][0]
        text = choice["message"]["content"]
        length = choice.get("finish_reason") == "length"
    except ValueError:
        return Reply(problem="a reply that is not JSON")
    except (LookupError, TypeError, AttributeError):
        return Reply(problem="a reply without choices")
    if not isinstance(text, str | None):
        return Reply(problem="a reply without text")
    return Reply(_encodable(text or ""), "length" if length else "stop")


def _encodable(text: str) -> str:
    """Return `text` without lone surrogates, which JSON can carry and UTF-8 can not."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _retry_after(response: Any) -> float:
    """Return the seconds that a server asks for, which may name a date, by its own clock."""
    value = response.headers.get("retry-after", "")
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value).timestamp()
        now = parsedate_to_datetime(response.headers["date"]).timestamp()
    except (ValueError, KeyError, OverflowError):
        return 0.0
    return max(0.0, until - now)
