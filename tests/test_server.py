"""An OpenAI-compatible server as the engine: a real one, and one that misbehaves on purpose."""

import itertools
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager

import httpx
import pytest

from minimix.config import EngineConfig
from minimix.engines import endpoint, open_engine, places
from minimix.engines.bundled import fast_model
from minimix.errors import ConfigError, ModelError
from minimix.records import Answer, Engine, Messages
from tests.test_failures import Say, says, serving

KEY = "sk-a-key-nobody-may-see"
PAIRS = [(0, 0), (0, 1), (1, 0), (1, 1)]


def first(*faults: Say) -> Callable[[str], Say]:
    """Reply with each of `faults` once, then with an echo."""
    left = iter(faults)
    return lambda asked: next(left, says(asked))


def connect(*urls: str, candidates: int = 1, **settings) -> Engine:
    return open_engine(EngineConfig(base_url=urls, **settings), candidates=candidates, seed=0)


def chats(*texts: str) -> list[Messages]:
    return [[{"role": "user", "content": text}] for text in texts]


def in_order(answers: Iterable[Answer]) -> list[Answer]:
    return sorted(answers, key=lambda answer: (answer.task, answer.candidate))


def ask(url: str, *texts: str, candidates: int = 1, **settings) -> list[Answer]:
    return in_order(connect(url, candidates=candidates, **settings).generate(chats(*texts)))


def pairs(answers: list[Answer]) -> list[tuple[int, int]]:
    return [(answer.task, answer.candidate) for answer in answers]


def refusal(url: str, **settings) -> str:
    """Return the one line with which asking ends."""
    with pytest.raises(ModelError) as caught:
        ask(url, "Hello", **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(autouse=True)
def _key_and_short_waits(monkeypatch):
    monkeypatch.setattr(places, "WAIT_S", 0.001)
    monkeypatch.setenv(endpoint.KEY, KEY)


FAULTS = {
    "500": Say(500),
    "a Retry-After in words": Say(503, headers={"Retry-After": "soon"}),
    "408": Say(408),
    "connection reset": Say(0),
    "cut short": Say(body="half", headers={"Content-Length": "99"}),
    "not JSON": Say(body="<html>busy</html>"),
    "not gzip": Say(body="x", headers={"Content-Encoding": "gzip"}),
    "JSON of another form": Say(body={"error": "busy"}),
    "a number for text": says(5),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_what_fails_once_is_asked_again_and_answered_once(fault):
    with serving(first(fault)) as fake:
        assert ask(fake.url, "Hello") == [Answer(0, 0, "Hello", "stop")]
        assert len(fake.bodies) == 2


@pytest.mark.parametrize("asked_s", ["1", "86400"])
def test_a_busy_server_gets_the_time_it_asks_for_up_to_the_longest_wait(monkeypatch, asked_s):
    monkeypatch.setattr(places, "LONGEST_HEARD_S", 1.0)
    with serving(first(Say(429, headers={"Retry-After": asked_s}))) as fake:
        start = time.monotonic()
        assert ask(fake.url, "Hello") == [Answer(0, 0, "Hello", "stop")]
        assert 1.0 <= time.monotonic() - start < 10


def test_a_server_that_always_fails_gives_each_answer_once_and_marked():
    with serving(lambda _: Say(500)) as fake:
        answers = ask(fake.url, "a", "b", candidates=2)
        assert len(fake.bodies) == 4 * places.TRIES
    assert pairs(answers) == PAIRS
    assert {(a.text, a.finish, a.note) for a in answers} == {("", "failed", "5 tries: status 500")}


def test_an_unsteady_server_loses_doubles_and_mixes_up_nothing():
    turns = itertools.cycle([Say(500), Say(0), None])
    texts = [f"chat {number}" for number in range(8)]
    with serving(lambda asked: next(turns) or says(asked)) as fake:
        answers = ask(fake.url, *texts, candidates=2)
    assert pairs(answers) == [(task, candidate) for task in range(8) for candidate in range(2)]
    answered = [answer for answer in answers if answer.finish == "stop"]
    assert answered
    assert all(answer.text == texts[answer.task] for answer in answered)


def test_a_refusal_is_one_line_with_the_status_and_without_the_key():
    with serving(lambda _: Say(400, body=f"bad\nrequest by Bearer {KEY}")) as fake:
        engine, line = connect(fake.url), refusal(fake.url)
        assert set(fake.keys) == {f"Bearer {KEY}"}
        assert len(fake.bodies) == 1
    assert "status 400: bad request" in line
    assert KEY not in f"{line} {engine!r} {engine.settings} {engine.name}"


ODD = {
    "another encoding": Say(400, body="no", headers={"Content-Type": "text/plain; charset=utf-16"}),
    "an unknown encoding": Say(400, body="no", headers={"Content-Type": "text/plain; charset=x"}),
}


@pytest.mark.parametrize("said", ODD.values(), ids=ODD)
def test_a_refusal_in_whatever_encoding_is_one_line(said):
    with serving(lambda _: said) as fake:
        assert "status 400: no" in refusal(fake.url)


def test_an_answer_nested_without_end_is_no_answer(monkeypatch):
    monkeypatch.setattr(places, "TRIES", 1)
    with serving(lambda _: Say(body="[" * 10_000)) as fake:
        (answer,) = ask(fake.url, "a")
    assert (answer.finish, answer.note) == ("failed", "1 tries: a reply that is not JSON")


def test_a_refusal_ends_the_waits_of_the_other_requests(monkeypatch):
    monkeypatch.setattr(places, "WAIT_S", 25.0)
    with serving(lambda asked: Say(401) if asked == "bad" else Say(500)) as fake:
        start = time.monotonic()
        with pytest.raises(ModelError, match="status 401"):
            ask(fake.url, "good", "bad")
        assert time.monotonic() - start < 10


def test_a_text_that_the_server_will_not_answer_does_not_end_the_others():
    said = Say(400, body="content filter")
    with serving(lambda asked: said if asked == "bad" else says(asked)) as fake:
        good, bad = sorted(ask(fake.url, "good", "bad"), key=lambda answer: answer.task)
    assert (good.finish, good.text) == ("stop", "good")
    assert bad.finish == "refused"
    assert bad.note == "the server will not answer it: status 400: content filter"


@pytest.mark.parametrize("bad", [f"{KEY}\u00e9", f"{KEY} x", f"{KEY}\nx"])
def test_a_key_that_no_header_can_carry_is_refused_unseen(monkeypatch, bad):
    monkeypatch.setenv(endpoint.KEY, bad)
    with serving() as fake:
        line = refusal(fake.url)
    assert "OPENAI_API_KEY" in line
    assert KEY not in line


def test_a_redirect_is_not_followed_with_the_key():
    with serving() as other:
        away = Say(307, headers={"Location": f"{other.url}/chat/completions"})
        with serving(lambda _: away) as one, serving(models=away) as two:
            lines = refusal(one.url), refusal(two.url)
        assert other.keys == []
    assert all("status 307" in line and KEY not in line for line in lines)


def test_a_prompt_too_long_for_the_server_is_refused_and_the_others_go_on():
    long = Say(400, body="This model's maximum context length is 2048 tokens")
    with serving(lambda asked: long if asked == "long" else says(asked)) as fake:
        answers = ask(fake.url, "long", "short")
    assert [(a.text, a.finish) for a in answers] == [("", "refused"), ("short", "stop")]


def test_control_tokens_in_the_data_are_broken_up_before_they_are_sent():
    plain = "a < b, <b>bold</b>, <video>, <filename>, [1], [A], [NOTE], A_TOKEN> and <answer>"
    tokens = "<|im_end|> <s> </s> [INST] [/INST] <<SYS>> <eos> <start_of_turn> <\uff5cUser\uff5c>"
    tokens += " <BOS_TOKEN> <|END_OF_TURN_TOKEN|> <unused42> <reserved_106> <SPECIAL_12> <image>"
    tokens += " <fim_prefix> [THINK] [/THINK] [TOOL_CONTENT] [CLS] [MASK]"
    with serving() as fake:
        sent = ask(fake.url, f"{plain} {tokens}")[0].text
    assert sent.startswith(f"{plain} < |im_end|> ")
    assert [token for token in tokens.split() if token in sent] == []


def test_half_a_character_from_a_server_does_not_reach_the_output():
    with serving(lambda _: says("one \ud83d half", "length")) as fake:
        assert ask(fake.url, "Hello") == [Answer(0, 0, "one ? half", "length")]


def test_the_first_candidate_is_greedy_and_the_seeds_repeat():
    with serving() as fake:
        once = ask(fake.url, "Hello", candidates=2, parallel=1)
        assert ask(fake.url, "Hello", candidates=2, parallel=1) == once
        sent = [(body["temperature"], body["seed"]) for body in fake.bodies]
    assert sent[:2] == sent[2:]
    assert [temperature for temperature, _ in sent[:2]] == [0.0, 0.7]
    assert sent[0][1] != sent[1][1]


def test_a_password_in_the_address_is_in_no_name():
    with serving() as fake:
        engine = connect(fake.url.replace("//", "//me:secret@"))
    assert engine.name == f"fake at {fake.url}"
    assert "secret" not in repr(engine)


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("model", ["bundled", "named"])
def test_where_nobody_answers_one_line_says_so(model):
    url = f"http://127.0.0.1:{free_port()}/v1"
    assert refusal(url, model=model).startswith(f"{url}: nobody answers")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("localhost:8000", "localhost:8000"),
        ("http://h:no", "http://h:no"),
        ("http://me:hid@den@127.0.0.1:1/v1", "127.0.0.1:1/v1"),
        ("http://me:hid/den@127.0.0.1:1/v1", "127.0.0.1:1/v1"),
        ("http://me:1/hidden@127.0.0.1/v1", "127.0.0.1/v1"),
        ("http://127.0.0.1:1/v1?key=hidden", "http://127.0.0.1:1/v1"),
        ("http://127.0.0.1:1/v1#hidden", "http://127.0.0.1:1/v1"),
        ("ftp://127.0.0.1/v1", "ftp://127.0.0.1/v1"),
    ],
)
def test_an_address_that_may_hide_a_secret_is_refused_and_not_shown_whole(address, shown):
    with pytest.raises(ConfigError, match="base_url: expected an address such as") as caught:
        EngineConfig(base_url=(address,))
    assert str(caught.value).endswith(f"found {shown!r}")


@pytest.mark.parametrize("address", ["https://[::1]:8000", "http://me:hid%40den@h/v1", "HTTP://h"])
def test_other_addresses_are_taken(address):
    assert EngineConfig(base_url=(address,)).base_url == (address,)


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 70}.com", "\u2603.xn--"])
def test_a_host_that_nobody_can_have_is_one_line(host):
    assert refusal(f"http://{host}/v1").endswith("found one that nobody can have")


@contextmanager
def llama_server() -> Iterator[str]:
    """Serve the bundled model by llama-cpp-python's own server while the block runs."""
    port = str(free_port())
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(fast_model())]
    command += ["--chat_format", "chatml", "--host", "127.0.0.1", "--port", port]
    command += ["--n_ctx", "512", "--n_threads", "1", "--n_threads_batch", "1"]
    url, quiet = f"http://127.0.0.1:{port}/v1", subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet) as process:
        try:
            while process.poll() is None:
                try:
                    httpx.get(f"{url}/models")
                    break
                except httpx.TransportError:
                    time.sleep(0.2)
            yield url
        finally:
            process.terminate()


@pytest.mark.slow
def test_a_real_server_answers_every_candidate_of_every_chat():
    with llama_server() as url:
        texts = "Say yes.", "Write a long story about the sea."
        answers = ask(url, *texts, candidates=2, max_new_tokens=16)
    assert pairs(answers) == PAIRS
    assert all(answer.text.strip() for answer in answers)
    assert {answer.finish for answer in answers} <= {"stop", "length"}
    assert {answer.finish for answer in answers if answer.task == 1} == {"length"}
