"""Servers at their worst, over real sockets: slow, cut, endless, strange, elsewhere, untrusted."""

import io
import itertools
import json
import logging
import random
import socket
import ssl
import threading
import time
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import trustme
import zstandard

from minimix.engines import endpoint, places, received, timed
from minimix.engines.endpoint import Endpoint, Reply
from minimix.engines.forms import Forms
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
    monkeypatch.setattr(timed, "WHOLE_S", 0.5)


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


@contextmanager
def rude(*sent: bytes, endless: bool = False, drip_s: float = 0.0) -> Iterator[str]:
    """Serve bytes over a socket, whatever is asked, `{KEY}` in them for the key that came."""

    def serve() -> None:
        while True:
            with suppress(OSError):
                connection, _ = listening.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()
            if listening.fileno() < 0:
                return

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            came = connection.recv(65_536).decode()
            key = came.partition("Authorization: ")[2].partition("\r\n")[0].partition(" ")[2]
            for part in itertools.cycle(sent) if endless else sent:
                connection.sendall(part.replace(b"{KEY}", key.encode()))
                time.sleep(drip_s)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"


OK = b"HTTP/1.1 200 OK\r\n"
QUOTED = {
    "as the first line": b"Authorization: Bearer {KEY}\r\n\r\n",
    "in a header that is none": OK + b"Authorization Bearer {KEY}\r\n\r\n",
    "in a refusal": b"HTTP/1.1 403 No\r\nContent-Length: 60\r\n\r\n" + b"{KEY}".ljust(60),
    "in a redirect": b"HTTP/1.1 307 X\r\nContent-Length: 0\r\n"
    b"Location: http://o/?token={KEY}\r\n\r\n",
}


@pytest.mark.parametrize("reply", QUOTED.values(), ids=QUOTED)
@pytest.mark.parametrize("key", [KEY, "sk-\\'\"%/+=secret"], ids=["plain", "with signs"])
def test_a_server_that_quotes_the_key_shows_it_to_nobody(reply, key, monkeypatch, log):
    monkeypatch.setenv(endpoint.KEY, key)
    with rude(reply) as url:
        shown = refusal(url, model="m") + trail(url, capture_locals=True)
        with_password = refusal(url.replace("//", "//me:a-secret@"), model="m")
    assert not {part for part in (key, repr(key)[1:-1], json.dumps(key)[1:-1]) if part in shown}
    assert key not in log.getvalue()
    basic = b64encode(b"me:a-secret").decode()
    assert basic not in with_password


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("sent", "drip_s"),
    [(b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 0.0), (OK, 0.0), (b"X", 0.01)],
    ids=["100 Continue", "first lines", "a byte now and then"],
)
def test_headers_without_an_end_are_not_waited_for(sent, drip_s):
    begun = time.monotonic()
    with rude(sent, endless=True, drip_s=drip_s) as url:
        assert "nobody answers" in refusal(url)
    assert time.monotonic() - begun < 5


def test_a_compressed_reply_is_not_unpacked():
    bomb = zstandard.compress(bytes(2**28))
    assert len(bomb) < 20_000
    head = OK + b"Content-Encoding: zstd\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    with rude(head + bomb) as url:
        assert "RemoteProtocolError: a compressed reply" in refusal(url)


@pytest.mark.parametrize("name", ["a\ud800", "a\x1b[31m", "a\nb"])
def test_a_model_whose_name_nobody_can_show_is_one_line(name):
    with serving(models=Say(body={"data": [{"id": name}]})) as fake:
        assert "found a name that no terminal can show" in refusal(fake.url)


def test_what_a_server_says_moves_no_cursor():
    said = Say(404, body="\x1b[31mred\x1b]0;title\x07\u202egone")
    with serving(lambda _: said) as fake:
        assert refusal(fake.url).endswith("status 404: [31mred ]0;title gone")


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (b"Retry-After: 7", 7.0),
        (b"Retry-After: Wed, 21 Oct 2026 07:28:07 GMT", 7.0),
        (b"Retry-After: Wed, 21 Oct 2026 07:27:00 GMT", 0.0),
        (b"Retry-After: soon", 0.0),
        (b"X: 7", 0.0),
    ],
)
def test_the_time_a_server_asks_for_may_be_a_date_by_its_own_clock(said, seconds):
    date = b"Date: Wed, 21 Oct 2026 07:28:00 GMT\r\nContent-Length: 0\r\n\r\n"
    sent = b"HTTP/1.1 503 Busy\r\n" + said + b"\r\n" + date
    with rude(sent) as url, Endpoint(url).client() as client:
        reply = Endpoint(url).post(client, {}, Forms(None))
    assert reply == Reply(problem="status 503", wait_s=seconds)


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
