"""Servers at their worst, over real sockets: slow, cut, endless, strange, elsewhere, untrusted."""

import io
import itertools
import logging
import random
import ssl
import threading
import traceback
from collections.abc import Callable

import pytest
import trustme

from minimix.engines import endpoint, places, received
from minimix.errors import ModelError
from minimix.records import Answer
from tests.test_failures import Say, says, serving
from tests.test_server import KEY, ask, chats, connect, first, free_port, in_order, pairs, refusal

DEEP = "[" * 100_000
REQUESTS = 1_000


@pytest.fixture(autouse=True)
def _key_and_short_waits(monkeypatch):
    monkeypatch.setattr(places, "WAIT_S", 0.001)
    monkeypatch.setenv(endpoint.KEY, KEY)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(endpoint, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(received, "WHOLE_S", 0.5)


@pytest.mark.parametrize(
    "fault",
    [
        Say(wait_s=2),
        Say(body="x" * 200, drip_s=0.02),
        Say(body={"choices": []}, cut=5),
        Say(body="short", headers={"Content-Length": "2"}),
    ],
    ids=["no answer in time", "a byte now and then", "reset in mid-answer", "longer than it says"],
)
@pytest.mark.usefixtures("impatient")
def test_what_comes_late_or_broken_once_is_asked_again_and_answered_once(fault):
    with serving(first(fault)) as fake:
        assert ask(fake.url, "Hello") == [Answer(0, 0, "Hello", "stop")]
        assert len(fake.bodies) == 2


def test_a_reply_without_an_end_is_cut_off_and_asked_again(monkeypatch):
    monkeypatch.setattr(received, "LARGEST", 1_000_000)
    with serving(first(Say(body="x" * 1_100_000))) as fake:
        assert ask(fake.url, "Hello") == [Answer(0, 0, "Hello", "stop")]


@pytest.mark.parametrize(
    "body",
    [DEEP, "\ufeff{}", "null", '{"choices": {"0": 1}}', "9" * 5_000],
    ids=["deep", "bom", "null", "no list", "a long number"],
)
@pytest.mark.parametrize("charset", ["utf-8", "hex", "utf-7", "no such thing"])
def test_any_text_for_a_reply_is_a_failure_and_no_crash(body, charset):
    odd = Say(body=body, headers={"Content-Type": f"application/json; charset={charset}"})
    with serving(first(odd)) as fake:
        assert ask(fake.url, "Hello") == [Answer(0, 0, "Hello", "stop")]


def test_a_list_of_models_may_be_as_strange_and_is_one_line():
    with serving(models=Say(body=DEEP)) as fake:
        assert "expected a list of models, found a reply of another form" in refusal(fake.url)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_another_host_hears_nothing_whatever_the_redirect(status):
    with serving() as other:
        there = other.url.replace("127.0.0.1", "localhost")
        away = Say(status, headers={"Location": f"{there}/chat/completions"})
        with serving(lambda _: away) as one:
            assert f"status {status}: it redirects to {there}" in refusal(one.url)
            assert one.keys[-1] == f"Bearer {KEY}"
        assert other.keys == []


def tls(authority: trustme.CA, host: str = "127.0.0.1") -> ssl.SSLContext:
    """Return what a server needs to call itself `host`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return context


def test_a_server_whose_certificate_nobody_vouches_for_hears_no_key():
    with serving(tls=tls(trustme.CA())) as fake:
        line = refusal(fake.url)
        assert fake.keys == []
    assert "CERTIFICATE_VERIFY_FAILED" in line


def test_a_certificate_has_to_be_for_that_host(monkeypatch, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with serving(tls=tls(authority)) as fake:
        assert ask(fake.url, "Hello") == [Answer(0, 0, "Hello", "stop")]
    with serving(tls=tls(authority, "another.example")) as fake:
        assert "is not valid for '127.0.0.1'" in refusal(fake.url)
        assert fake.keys == []


def test_tls_asked_of_what_speaks_none_is_one_line():
    with serving() as fake:
        assert "nobody answers (ConnectError" in refusal(fake.url.replace("http:", "https:"))
        assert fake.keys == []


@pytest.fixture
def log():
    """All that is logged, down to the last level."""
    heard = io.StringIO()
    handler, root = logging.StreamHandler(heard), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(0)
    yield heard
    root.removeHandler(handler)
    root.setLevel(level)


def trail(url: str, *, capture_locals: bool) -> str:
    """Return all that asking shows: answers, or an error with its traceback, but for this file."""
    try:
        return repr(ask(url, "Hello"))
    except ModelError as error:
        shown = traceback.TracebackException.from_exception(error, capture_locals=capture_locals)
        return "".join(line for line in shown.format() if "tests/" not in line)


@pytest.mark.parametrize("fault", [Say(400, body=KEY), Say(307), Say(0), Say(500)], ids=repr)
def test_neither_key_nor_password_is_in_a_log_an_answer_or_a_traceback(fault, log):
    nobody = f"http://me:a-secret@127.0.0.1:{free_port()}"
    with serving(lambda _: fault) as fake, serving(models=fault) as strange:
        for url in (fake.url, strange.url, "http://127.0.0.1:1"):
            assert KEY not in trail(url, capture_locals=True)
        for url in (fake.url.replace("//", "//me:a-secret@"), nobody):
            assert "a-secret" not in trail(url, capture_locals=False)
        assert {key.split()[0] for key in fake.keys} == {"Bearer", "Basic"}
    assert "HTTP Request" in log.getvalue()
    assert KEY not in log.getvalue()
    assert "a-secret" not in log.getvalue()


def faults(rng: random.Random) -> Callable[[str], Say]:
    """Reply with one fault in five requests, of every kind that may pass."""
    kinds = [
        Say(wait_s=0.8),
        Say(0),
        Say(body="x" * 500, cut=20),
        Say(429),
        Say(429, headers={"Retry-After": "1"}),
        Say(500),
        Say(503, body="<html>"),
        Say(body='{"choices": [{"message": {"conte'),
        Say(body="cut", headers={"Content-Length": "99"}),
        Say(body={"error": {"message": "overloaded"}}),
        Say(body="x" * 100, drip_s=0.02),
        says(5),
    ]
    lock, turns = threading.Lock(), itertools.count()

    def reply(text: str) -> Say:
        with lock:
            faulty = rng.random() < 0.2
            return kinds[next(turns) % len(kinds)] if faulty else says(text)

    return reply


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_of_a_thousand_requests_one_in_five_faulty_none_is_lost_doubled_or_mixed_up(monkeypatch):
    monkeypatch.setattr(places, "LONGEST_HEARD_S", 0.05)
    texts = [f"chat {number}" for number in range(REQUESTS // 2)]
    reply = faults(random.Random(0))
    with serving(reply) as one, serving(reply) as two:
        engine = connect(one.url, two.url, candidates=2, parallel=16)
        came = list(engine.generate(chats(*texts)))
        asked = len(one.bodies) + len(two.bodies)
    answers = in_order(came)
    assert pairs(answers) == [(task, one) for task in range(len(texts)) for one in (0, 1)]
    answered = [answer for answer in answers if answer.finish == "stop"]
    failed = [answer for answer in answers if answer.finish == "failed"]
    assert len(answered) + len(failed) == REQUESTS
    assert all(answer.text == texts[answer.task] for answer in answered)
    assert all("tries: " in answer.note and not answer.text for answer in failed)
    assert asked > 1.1 * REQUESTS
    assert len(failed) <= 5
