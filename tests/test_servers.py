"""Several servers as one engine: they share the work, and what one of them fails, another does."""

import itertools
import threading
import time
from collections import Counter
from types import SimpleNamespace

import pytest
import yaml

from minimix.config import DistillConfig, EngineConfig
from minimix.engines import open_engine, places
from minimix.engines.places import Request, Standing, Work
from minimix.errors import ConfigError, ModelError
from minimix.fuse import UNANSWERED
from minimix.records import Answer, Engine, Messages
from tests.test_failures import DOLLY, Fake, Say, accounted, minimix, says, serving
from tests.test_server import chats, connect, free_port, in_order, llama_server, pairs

TEXTS = [f"chat {number}" for number in range(12)]
OTHER = Say(body={"data": [{"id": "another"}, {"id": "third"}]})


class Slow:
    """Echoes after a while, and counts how many requests are with it at once."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.lock = seconds, threading.Lock()
        self.now = self.most = 0

    def __call__(self, asked: str) -> Say:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self.seconds)
        with self.lock:
            self.now -= 1
        return says(asked)


class Watched(list[Messages]):
    """Chats that know how many of them have been looked at to be sent."""

    def __init__(self, given: list[Messages]) -> None:
        super().__init__(given)
        self.sent = 0

    def __getitem__(self, place):
        self.sent += 1
        return super().__getitem__(place)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(places, "WAIT_S", 0.001)


def whole(answers: list[Answer]) -> bool:
    """Whether every text was answered by its echo, once."""
    found = [(answer.task, answer.text, answer.finish) for answer in in_order(answers)]
    return found == [(number, text, "stop") for number, text in enumerate(TEXTS)]


def asked(fake: Fake) -> Counter[str]:
    return Counter(body["messages"][-1]["content"] for body in fake.bodies)


def test_servers_share_the_work_and_none_has_more_than_its_places():
    one, two = Slow(0.05), Slow(0.05)
    with serving(one) as left, serving(two) as right:
        answers = list(connect(left.url, right.url, parallel=2).generate(chats(*TEXTS)))
        assert whole(answers)
        assert len(left.bodies) + len(right.bodies) == len(TEXTS)
        assert min(len(left.bodies), len(right.bodies)) >= 3
    assert (one.most, two.most) == (2, 2)


def test_a_faster_server_gets_more_of_the_work():
    with serving(Slow(0.02)) as fast, serving(Slow(0.3)) as slow:
        assert whole(list(connect(fast.url, slow.url, parallel=1).generate(chats(*TEXTS))))
        assert len(fast.bodies) > 2 * len(slow.bodies)


def test_no_body_is_made_before_there_is_a_place_for_it():
    watched = Watched(chats(*TEXTS))
    release = threading.Event()

    def held(text: str) -> Say:
        release.wait(5)
        return says(text)

    with serving(held) as left, serving(held) as right:
        answers = connect(left.url, right.url, parallel=2).generate(watched)
        reader = threading.Thread(target=lambda: list(answers))
        reader.start()
        time.sleep(0.3)
        assert watched.sent == 4
        release.set()
        reader.join()
    assert watched.sent == len(TEXTS)


@pytest.mark.parametrize("fault", [Say(500), Say(0), Say(429), says(5)], ids=str)
def test_what_one_server_fails_another_answers(fault):
    with serving(lambda _: fault) as bad, serving() as good:
        assert whole(list(connect(bad.url, good.url, parallel=2).generate(chats(*TEXTS))))
        assert set(asked(good)) == set(TEXTS)
        assert max(asked(bad).values()) == 1
        assert len(bad.bodies) <= places.GIVE_UP * 2 + 2


def test_a_server_that_dies_while_it_works_loses_nothing():
    turns = itertools.count()

    def dies(text: str) -> Say:
        return says(text) if next(turns) < 3 else Say(0)

    with serving(dies) as dying, serving(Slow(0.02)) as living:
        assert whole(list(connect(dying.url, living.url, parallel=2).generate(chats(*TEXTS))))
        assert len(living.bodies) == len(TEXTS) - 3


def test_a_server_that_has_gone_since_it_was_found_loses_nothing():
    with serving() as living:
        with serving() as gone:
            engine = connect(gone.url, living.url, parallel=2)
        gone.server_close()
        assert whole(list(engine.generate(chats(*TEXTS))))


def test_where_all_servers_only_fail_each_answer_comes_once_and_marked():
    with serving(lambda _: Say(500)) as one, serving(lambda _: Say(503)) as two:
        answers = in_order(connect(one.url, two.url, candidates=2).generate(chats("a", "b")))
    assert pairs(answers) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert {answer.finish for answer in answers} == {"failed"} <= UNANSWERED
    for answer in answers:
        tries, _, problem = answer.note.partition(" tries: status ")
        assert int(tries) >= places.TRIES
        assert problem in ("500", "503")


def test_unsteady_servers_lose_double_and_mix_up_nothing():
    turns = itertools.cycle([Say(500), None, Say(0), None, Say(429), None, None])

    def unsteady(text: str) -> Say:
        return next(turns) or says(text)

    with serving(unsteady) as one, serving(unsteady) as two, serving(unsteady) as three:
        engine = connect(one.url, two.url, three.url, candidates=3)
        answers = in_order(engine.generate(chats(*TEXTS)))
    assert pairs(answers) == [(task, one) for task in range(12) for one in range(3)]
    assert all(answer.text == TEXTS[answer.task] for answer in answers)


def test_a_server_that_asks_for_time_gets_no_request_before():
    times: list[float] = []
    said = itertools.chain([Say(429, headers={"Retry-After": "1"})], itertools.repeat(None))

    def busy(text: str) -> Say:
        times.append(time.monotonic())
        return next(said) or says(text)

    with serving(busy) as one, serving(Slow(0.15)) as two:
        assert whole(list(connect(one.url, two.url, parallel=1).generate(chats(*TEXTS))))
    assert len(times) > 1
    assert times[1] - times[0] >= 1


def test_a_server_given_up_is_left_alone_and_taken_back_when_one_request_has_shown_it_lives(
    monkeypatch,
):
    later = 0.0
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + later)
    monkeypatch.setattr(places, "time", clock)
    up = threading.Event()

    def returning(text: str) -> Say:
        return says(text) if up.is_set() else Say(500)

    with serving(returning) as one, serving(Slow(0.01)) as two:
        engine = connect(one.url, two.url, parallel=2)
        assert whole(list(engine.generate(chats(*TEXTS))))
        before = len(one.bodies)
        assert before >= places.GIVE_UP
        assert whole(list(engine.generate(chats(*TEXTS))))
        assert len(one.bodies) == before
        later += places.REST_S
        assert whole(list(engine.generate(chats(*TEXTS))))
        assert len(one.bodies) == before + 1
        up.set()
        later += 2 * places.REST_S
        assert whole(list(engine.generate(chats(*TEXTS))))
        assert len(one.bodies) > before + 2


def refused(engine: Engine) -> tuple[list[Answer], str]:
    """Return the answers that came before a refusal, and its one line."""
    kept: list[Answer] = []
    with pytest.raises(ModelError) as caught:
        kept.extend(engine.generate(chats(*TEXTS)))
    return kept, str(caught.value)


def test_answers_that_were_there_come_before_the_error():
    came = threading.Event()

    def refusing(_: str) -> Say:
        came.wait(5)
        return Say(401, body="no")

    def good(text: str) -> Say:
        if text == TEXTS[3]:
            came.set()
        return says(text)

    with serving(refusing) as one, serving(good) as two:
        kept, line = refused(connect(one.url, two.url, parallel=1))
    assert line == f"{one.url}: status 401: no"
    assert len(kept) >= 3
    assert all(answer.text == TEXTS[answer.task] for answer in kept)


def test_nobody_need_ask_again_for_what_was_answered_before_a_refusal():
    turns = itertools.count()

    def refusing(text: str) -> Say:
        return says(text) if next(turns) < 4 else Say(401)

    with serving(refusing) as one:
        kept, _ = refused(connect(one.url, parallel=1))
    assert [(answer.task, answer.text) for answer in kept] == [*enumerate(TEXTS[:4])]


def refusal(*urls: str, **settings) -> str:
    with pytest.raises(ModelError) as caught:
        connect(*urls, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_one_that_does_not_answer_at_the_start_is_named():
    nobody = f"http://127.0.0.1:{free_port()}/v1"
    with serving() as one:
        assert refusal(one.url, nobody).startswith(f"{nobody}: nobody answers (ConnectError")


def test_all_must_have_the_same_model():
    with serving() as one, serving(models=OTHER) as two, serving(models=Say(404)) as three:
        line = refusal(one.url, two.url)
        assert line == f"{two.url}: expected the model 'fake', found 'another', 'third'"
        assert refusal(one.url, two.url, model="third").startswith(f"{one.url}: expected the model")
        assert "expected a list of models, found status 404" in refusal(one.url, three.url)
        assert connect(two.url, two.url, model="third").settings["model"] == "third"


def test_all_addresses_are_in_the_name_and_no_password():
    with serving() as one, serving() as two:
        engine = connect(one.url.replace("//", "//me:secret@"), two.url)
    assert engine.name == f"fake at {one.url}, {two.url}"
    assert engine.settings["servers"] == [one.url, two.url]
    assert "secret" not in repr(engine)


def test_yaml_gives_one_address_or_several():
    read = DistillConfig().with_settings
    assert read({"base_url": "http://a/v1"}).engine.base_url == ("http://a/v1",)
    assert read({"base_url": ""}).engine.base_url == ()
    config = read(yaml.safe_load("base_url: ['http://me:secret@a/v1', 'http://b/v1']"))
    assert config.engine.base_url == ("http://me:secret@a/v1", "http://b/v1")
    assert config.flat()["base_url"] == ["http://a/v1", "http://b/v1"]
    assert read(config.flat()).flat() == config.flat()
    for wrong in (5, ["http://a/v1", 5]):
        with pytest.raises(ConfigError, match="base_url: expected a list of addresses"):
            read({"base_url": wrong})
    with pytest.raises(ConfigError, match="base_url: expected a list of addresses"):
        EngineConfig(base_url="http://a/v1")  # type: ignore[arg-type]


def test_an_engine_without_chats_asks_nothing():
    with serving() as one:
        engine = open_engine(EngineConfig(base_url=(one.url,)), candidates=2, seed=0)
        assert list(engine.generate([])) == []
        assert one.bodies == []


def test_failures_in_flight_together_count_as_one_and_rests_double(monkeypatch):
    monkeypatch.setattr(places, "REST_S", 60.0)
    standing = Standing()
    for _ in range(8):
        standing.fail(10.0, started=1.0, wait_s=0.0)
    assert (standing.failures, standing.rest_until) == (1, 0.0)
    standing.fail(20.0, started=11.0, wait_s=5.0)
    assert (standing.failures, standing.quiet_until) == (2, 25.0)
    rests = []
    for now in (30.0, 40.0, 50.0):
        standing.fail(now, started=now - 1, wait_s=0.0)
        rests.append(standing.rest_until - now)
    assert rests == [60, 120, 240]


def test_what_is_stopped_hands_out_nothing_more():
    work = Work([Request(0, 0), Request(1, 0)], [Standing()])
    assert work.take(0) is not None
    work.stop()
    assert work.take(0) is None


@pytest.mark.slow
def test_real_servers_share_the_work():
    with llama_server() as one, llama_server() as two:
        engine = connect(one, two, candidates=2, parallel=1, max_new_tokens=16)
        answers = in_order(engine.generate(chats("Say yes.", "Say no.", "Say what a boat is.")))
    assert engine.settings["servers"] == [one, two]
    assert pairs(answers) == [(task, candidate) for task in range(3) for candidate in (0, 1)]
    assert all(answer.text.strip() and answer.finish in ("stop", "length") for answer in answers)


@pytest.mark.slow
def test_a_run_on_two_servers_names_both_and_accounts_for_every_row(tmp_path):
    wanted = ["--budget", "50%", "--min-similarity", 0.1, "--limit", 16, "--cohort", 4]
    turns = itertools.count()

    def dies(_: str) -> Say:
        return says("blah") if next(turns) < 3 else Say(0)

    with serving(lambda _: says("blah")) as one, serving(dies) as two:
        secret = two.url.replace("//", "//me:secret@")
        flags = ["--base-url", one.url, "--base-url", secret]
        done = minimix(tmp_path, "distill", DOLLY, *flags, *wanted)
        assert one.bodies
        assert two.bodies
    assert done.returncode == 0, done.stderr
    output = tmp_path / "dolly.distilled"
    assert accounted(output) == list(range(1, 17))
    run = yaml.safe_load((output / "run.yaml").read_text("utf-8"))
    assert run["settings"]["base_url"] == [one.url, two.url]
    assert run["model"]["name"] == f"fake at {one.url}, {two.url}"
    assert run["engine"]["servers"] == [one.url, two.url]
    assert not [path for path in output.rglob("*.*") if b"secret" in path.read_bytes()]
